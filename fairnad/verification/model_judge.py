"""A language model as the judge of structure: is the child a new network, of several layers (paper, 4.4 and F.2.5)?

Asked last, about what every other judge lets pass; what the graph itself refutes is never asked.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from fairnad.errors import ReplyError
from fairnad.llm.base import LLM, Message, Prompt, Service
from fairnad.llm.replies import read_choice
from fairnad.records import Failure, Verdict
from fairnad.verification.structure import too_shallow

if TYPE_CHECKING:  # a search by the rules does without jinja2
    from fairnad.llm.prompts import Prompts

__all__ = ["ModelJudge"]

logger = logging.getLogger(__name__)

_TRIES = 2
_AGAIN = "End your reply with one line: ##response##yes or ##response##no."
_REFUSAL = "the language model judges that this is no new network of several layers; make a different change"


class ModelJudge:
    """Asks `llm` with the prompt `structure`. Safe to call from several threads."""

    def __init__(self, llm: LLM, prompts: Prompts) -> None:
        self._llm = llm
        self._prompts = prompts

    def judge(self, verdict: Verdict, source: str, *, parent: str, attempt: str, number: int = 0) -> Verdict:
        """Return `verdict` on `source`; where it accepts, the model is asked whether it may.

        `number` counts the verdicts of the `attempt`: a resumed search names its questions the same. A reply that
        cannot be read is asked for once more; then the graph's answer counts, with a warning.
        """
        if not verdict.is_accepted:
            return verdict
        prompt = self._prompts.render("structure", parent=parent, child=source)
        answer = self._ask(prompt, f"{attempt}/structure", first=_TRIES * number)
        if not isinstance(answer, ReplyError):
            return verdict if answer else replace(verdict, failure=Failure.STRUCTURE, reason=_REFUSAL)
        told = f"the language model's judgement of the structure cannot be read ({answer.kind}); the graph's counts"
        logger.info("%s: %s", attempt, told)
        shallow = too_shallow(verdict.graph)
        return replace(
            verdict,
            failure=Failure.STRUCTURE if shallow else None,
            reason=shallow or "",
            warnings=(*verdict.warnings, told),
        )

    def _ask(self, prompt: Prompt, served: str, *, first: int) -> bool | ReplyError:
        error = None
        for number, asked in enumerate((prompt, _once_more(prompt)), start=first):
            reply = self._llm.complete(asked, Service(served, number))
            try:
                return read_choice(reply.text)
            except ReplyError as unread:
                error = unread
        assert error is not None
        return error


def _once_more(prompt: Prompt) -> Prompt:
    *others, last = prompt.messages
    return replace(prompt, messages=(*others, Message(last.role, f"{last.text}\n\n{_AGAIN}")))
