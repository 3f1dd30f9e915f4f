"""The judge of costs: within the limits, and the same in training as in evaluation."""

from __future__ import annotations

from fairnad.records import Costs, Failure, Limits
from fairnad.verification.base import Evidence, Objection

__all__ = ["judge"]

_TOLERANCE = 0.05
"""How much the FLOPs an image may differ between eval mode at batch 1 and train mode at batch 2."""


def judge(evidence: Evidence) -> Objection | None:
    """Return an objection if a cost is over its limit, or if training does other work than evaluation."""
    costs = evidence.report.costs
    if costs is None:
        return Objection(Failure.CRASH, "the network was executed but not measured; try it again")
    over = [name for name, used in evidence.limits.usage(costs).items() if used > 1.0]
    if over:
        told = " and ".join(_over(name, costs, evidence) for name in over)
        return Objection(Failure.BUDGET, f"{told}; use fewer channels or fewer repeats")
    return _training_objection(costs, evidence.report.batch_costs, evidence.limits)


def _over(name: str, costs: Costs, evidence: Evidence) -> str:
    used, limit = getattr(costs, name), getattr(evidence.limits, name)
    return f"{name} {used:,} are over the limit of {limit:,} ({used / limit:.2f} times)"


def _training_objection(costs: Costs, trained: Costs | None, limits: Limits) -> Objection | None:
    if trained is None or abs(trained.flops - costs.flops) <= _TOLERANCE * max(costs.flops, 1):
        return None
    is_over = any(used > 1.0 for used in limits.usage(trained).values())
    return Objection(
        Failure.BUDGET if is_over else Failure.INTEGRITY,  # what is within the limits is repaired, not shrunk
        f"the network does {trained.flops:,} FLOPs an image in train mode at batch 2, but {costs.flops:,} in eval mode "
        "at batch 1; make both do the same work on every image",
    )
