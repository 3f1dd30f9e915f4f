from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fairnad.history import History
from fairnad.history.pass_rates import FailureKind, classify
from fairnad.llm.base import Message, Prompt, Reply, Service
from fairnad.records import Failure, Verdict
from tests.history.samples import base_slot, child_slot


@pytest.mark.parametrize(
    ("failure", "reason", "kind"),
    [
        (Failure.SYNTAX, "", FailureKind.INCOMPLETE),
        (Failure.NO_DRAFT, "the reply is cut off (truncated)", FailureKind.INCOMPLETE),
        (Failure.INIT_ERROR, "NameError: name 'SEBlock' is not defined", FailureKind.HALLUCINATION),
        (Failure.FORWARD_ERROR, "RuntimeError: expected input to have 16 channels, but got 8", FailureKind.SHAPE),
        (Failure.BUDGET, "params 9 are over the limit of 8", FailureKind.DOWNSCALING),
        (Failure.STRUCTURE, "the same as its parent's", FailureKind.STRUCTURE),
        (Failure.INTEGRITY, "logits depend on the batch", FailureKind.OTHER),
    ],
)
def test_a_refusal_has_one_of_the_kinds(failure, reason, kind):
    assert classify(failure, reason) is kind


def test_drafts_are_counted_by_the_task_that_asked_for_them():
    with History.in_memory() as history:
        history.record_slot(base_slot())
        journal = history.journal("a-model")
        for number, task in enumerate(("mutation", "debug")):
            prompt = Prompt(task, (Message("user", f"question {number}"),))
            journal.record(Service("0/1/I/1/0", number), prompt, Reply(f"answer {number}"))
        slot = child_slot(1)
        judged = slot.drafts[-1]
        asked = [
            replace(judged.draft, prompt=f"[user]\nquestion {n}", reply=f"answer {n}", generator="llm") for n in (0, 1)
        ]
        refused = replace(judged, draft=asked[0], verdict=Verdict(Failure.SHAPE, "mend the head"))
        history.record_slot(replace(slot, drafts=(refused, replace(judged, draft=asked[1])), chosen=1))
        assert history.pass_rates() == {"debug": (1, 1), "mutation": (1, 0)}
        assert history.failure_kinds() == Counter({FailureKind.SHAPE: 1})
