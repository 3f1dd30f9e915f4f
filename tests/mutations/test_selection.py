from fairnad.mutations.selection import nsga2, pareto_fronts, top_k
from tests.fakes import child


def ids(children):
    return [one.id for one in children]


def test_top_k_prefers_accuracy_then_fewer_flops_then_the_older():
    children = [child(1, 0.8), child(2, 0.9, flops=50), child(3, 0.9, flops=40), child(4, 0.9, flops=40)]
    assert ids(top_k(children, 4)) == [3, 4, 2, 1]


def test_top_k_goes_round_again_when_there_are_too_few():
    assert ids(top_k([child(1, 0.2), child(2, 0.3)], 5)) == [2, 1, 2, 1, 2]
    assert top_k([], 3) == ()


def test_fronts_are_those_of_accuracy_params_and_flops():
    small, large, dominated = child(1, 0.5, params=10, flops=10), child(2, 0.9), child(3, 0.4, params=10, flops=11)
    assert [ids(front) for front in pareto_fronts([dominated, large, small])] == [[1, 2], [3]]


def test_equal_children_share_a_front():
    assert [ids(front) for front in pareto_fronts([child(1, 0.5), child(2, 0.5)])] == [[1, 2]]


def test_nsga2_cuts_the_front_that_does_not_fit_by_crowding():
    # On one line of trade-offs the two ends are kept first, then whoever stands most alone.
    front = [child(number, 0.1 * number, params=100 * number, flops=100 * number) for number in (1, 2, 3, 7, 9)]
    assert set(ids(nsga2(front, 2))) == {1, 9}
    assert set(ids(nsga2(front, 3))) == {1, 9, 7}


def test_nsga2_fills_up_from_later_fronts():
    first, second = child(1, 0.9, params=1, flops=1), child(2, 0.8)
    assert ids(nsga2([second, first], 2)) == [1, 2]
    assert ids(nsga2([first, second], 3)) == [1, 2, 1]
