"""What the cell generator writes for each kind of idea, and where it gives up."""

import pytest

from fairnad.architectures.cells import EDGES, OPERATIONS, Cell, cell_costs, neighbours, parse_cell
from fairnad.generators.base import Parent, Refinement, Request
from fairnad.generators.cells import CellGenerator, cell_ideas
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.records import Draft, Failed, Failure, Limits, MutationTarget, Verdict

PARENT = Cell(("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3", "skip_connect"))
LARGEST = Cell(("nor_conv_3x3",) * 6)
SEEDS = [str(number) for number in range(60)]
TOO_LARGE = Verdict(Failure.BUDGET, "too large")


def parent_of(cell):
    return Parent(str(cell), cell_costs(cell))


def request(idea, cell=PARENT, seed="0"):
    return Request(parent_of(cell), idea, MutationTarget.NETWORK, Limits(), seed)


def refinement(cell=PARENT, used=frozenset(), seed="0"):
    idea = cell_ideas().ideas[0]
    return Refinement(parent_of(cell), str(cell), str(cell), idea, True, used, Limits(), seed)


def written(draft):
    assert isinstance(draft, Draft), draft
    return parse_cell(draft.source)


def changes(before, after):
    pairs = zip(before.operations, after.operations, strict=True)
    return [(edge, old, new) for edge, (old, new) in enumerate(pairs) if old != new]


def test_there_is_an_idea_for_each_operation_on_each_edge():
    database = cell_ideas()
    assert len(database) == len(OPERATIONS) * len(EDGES)
    assert [len(ideas) for ideas in database.by_main.values()] == [6] * 5


@pytest.mark.parametrize("idea", cell_ideas().ideas, ids=lambda idea: idea.id)
def test_an_idea_changes_its_edge_and_no_other(idea):
    drafted = CellGenerator().draft(request(idea))
    if isinstance(drafted, Failed):
        assert drafted.failure is Failure.NO_DRAFT
        assert idea.main in PARENT.operations
    else:
        ((edge, _, new),) = changes(PARENT, written(drafted))
        source, target = EDGES[edge]
        assert idea.text == f"Make the edge from node {source} to node {target} {new}."


@pytest.mark.parametrize("idea", SCALE_UP_IDEAS, ids=lambda idea: idea.id)
def test_scaling_up_raises_the_cost(idea):
    found = {written(CellGenerator().draft(request(idea, seed=seed))) for seed in SEEDS}
    assert len(found) > 1
    assert all(cell_costs(cell).params > cell_costs(PARENT).params for cell in found)
    assert all(len(changes(PARENT, cell)) == 1 for cell in found)


def test_the_largest_cell_is_not_scaled_up():
    assert CellGenerator().draft(request(SCALE_UP_IDEAS[0], LARGEST)).failure is Failure.NO_DRAFT


def test_a_hyper_parameter_is_an_operation_of_like_cost():
    convolutions = {"nor_conv_1x1", "nor_conv_3x3"}
    for seed in SEEDS:
        ((_, old, new),) = changes(PARENT, written(CellGenerator().draft(request(HYPERPARAMETER_IDEAS[0], seed=seed))))
        assert (old in convolutions) == (new in convolutions)


def test_a_refinement_changes_what_it_is_told_to_edit_by_an_idea_of_its_own():
    for seed in SEEDS:
        draft = CellGenerator().refine(refinement(seed=seed))
        ((edge, _, new),) = changes(PARENT, written(draft))
        assert draft.idea == next(idea for idea in cell_ideas().ideas if idea.id == f"{edge}/{new}")


def test_a_refinement_uses_no_idea_twice():
    ideas = {idea.id for idea in cell_ideas().ideas}
    last = "3/nor_conv_3x3"
    draft = CellGenerator().refine(refinement(used=frozenset(ideas - {last})))
    assert draft.idea.id == last
    assert CellGenerator().refine(refinement(used=frozenset(ideas))).failure is Failure.NO_DRAFT


def test_equal_requests_give_equal_drafts_and_other_seeds_other_ones():
    drafts = [CellGenerator().draft(request(SCALE_UP_IDEAS[0], seed=seed)) for seed in ("a", "a", *SEEDS)]
    assert drafts[0] == drafts[1]
    assert len({draft.source for draft in drafts}) > 2


def test_only_operations_of_the_table_are_written():
    generator = CellGenerator(("none", "nor_conv_3x3"))
    cell = Cell(("none",) * 6)
    for seed in SEEDS:
        ((_, _, new),) = changes(cell, written(generator.draft(request(SCALE_UP_IDEAS[0], cell, seed))))
        assert new == "nor_conv_3x3"


def test_known_cells_are_passed_over_and_then_looked_beyond():
    dearer = [cell for cell in neighbours(PARENT) if cell_costs(cell).params > cell_costs(PARENT).params]
    one_left = CellGenerator(known=set(dearer[1:]))
    assert {written(one_left.draft(request(SCALE_UP_IDEAS[0], seed=seed))) for seed in SEEDS} == {dearer[0]}
    around = {PARENT, *neighbours(PARENT)}
    for seed in SEEDS:
        beyond = written(CellGenerator(known=around).draft(request(SCALE_UP_IDEAS[0], seed=seed)))
        assert beyond not in around


def test_nothing_is_written_when_everything_is_known():
    class Everything:
        def __contains__(self, cell):
            return True

    assert CellGenerator(known=Everything()).refine(refinement()).failure is Failure.NO_DRAFT


def test_shrinking_takes_weights_away_until_none_are_left():
    generator, asked = CellGenerator(), request(SCALE_UP_IDEAS[0], LARGEST)
    draft = Draft(str(LARGEST), "cells", SCALE_UP_IDEAS[0])
    sizes = [cell_costs(LARGEST).params]
    while isinstance(shrunk := generator.shrink(draft, TOO_LARGE, asked), Draft):
        assert shrunk.rewrites == draft.rewrites + 1
        draft = shrunk
        sizes.append(cell_costs(written(draft)).params)
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[-1] == 0


def test_there_is_nothing_to_repair():
    draft = Draft(str(PARENT), "cells", SCALE_UP_IDEAS[0])
    assert CellGenerator().repair(draft, TOO_LARGE, request(SCALE_UP_IDEAS[0])).failure is Failure.NO_DRAFT
