import pytest

from fairnad.records import Costs, Failure, Limits
from fairnad.sandbox.wire import VerifyReport
from fairnad.verification.base import Evidence, Known
from fairnad.verification.limits import judge

LIMITS = Limits(params=100, flops=1000)


def objection(costs, batch_costs=None):
    return judge(Evidence(VerifyReport(costs=costs, batch_costs=batch_costs), "hash", Known(), LIMITS))


def test_costs_at_the_limits_are_within_them():
    assert objection(Costs(100, 1000), Costs(100, 1000)) is None


@pytest.mark.parametrize(("costs", "told"), [(Costs(101, 1000), "params 101"), (Costs(100, 2000), "flops 2,000")])
def test_a_cost_over_its_limit_is_told(costs, told):
    found = objection(costs)
    assert found.failure is Failure.BUDGET
    assert told in found.reason


@pytest.mark.parametrize(
    ("trained", "failure"),
    [(500, None), (524, None), (600, Failure.INTEGRITY), (400, Failure.INTEGRITY), (1001, Failure.BUDGET)],
)
def test_training_must_cost_what_evaluation_costs(trained, failure):
    found = objection(Costs(10, 500), Costs(10, trained))
    assert (found.failure if found is not None else None) is failure
