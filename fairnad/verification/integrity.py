"""The judge of integrity: what a network says of an image must depend on that image alone."""

from __future__ import annotations

from fairnad.records import Failure
from fairnad.verification.base import Evidence, Objection

__all__ = ["MAX_DEVIATION", "judge"]

MAX_DEVIATION = 1e-3
"""Of the logits' spread (their standard deviation), in fp32 and eval mode."""


def judge(evidence: Evidence) -> Objection | None:
    """Return an objection if a sample's logits depend on its batch, on order, or on earlier calls."""
    deviation = evidence.report.deviation
    if evidence.integrity == "off" or deviation is None or deviation <= MAX_DEVIATION:
        return None
    return Objection(
        Failure.INTEGRITY,
        f"in eval mode the logits of an image move by {deviation:.2g} of their spread with the other images of its "
        "batch, their order, or earlier calls; nothing in forward may mix or normalise over the batch, keep state "
        "between calls, build layers or, in eval mode, draw random numbers",
        is_warning=evidence.integrity == "warn",
    )
