"""Writes every call down before its reply is read, and answers from what was written: no call is paid for twice."""

from __future__ import annotations

import logging

from fairnad.errors import LLMError, SpendLimitError
from fairnad.llm.base import LLM, Finish, Journal, Prompt, Reply, Service

__all__ = ["JournaledLLM"]

logger = logging.getLogger(__name__)

_MOST_UNANSWERED = 4
"""A fault of one prompt would be met again at every resume; so many in a row are a fault of the endpoint."""


class JournaledLLM:
    """Answers from `journal`, and asks `llm` only for what is not there; without an `llm` it is replay alone.

    `keeps_faults`: a prompt that is too long, or answered for ever, has an empty reply for good. Without it such a
    call raises, and is made again the next time.
    """

    def __init__(self, llm: LLM | None, journal: Journal, *, keeps_faults: bool = True) -> None:
        self.name = llm.name if llm is not None else "replay"
        self._llm = llm
        self._journal = journal
        self._most_unanswered = _MOST_UNANSWERED if keeps_faults else 0
        self._unanswered = 0

    def complete(self, prompt: Prompt, service: Service) -> Reply:
        """Return the reply to `prompt`; see `LLM`.

        Raises:
            LLMError: no reply could be had; in a replay, kind "replay": the call is not in the journal.
        """
        known = self._journal.recorded(service, prompt)
        if known is not None:
            return known
        if self._llm is None:
            raise LLMError(self._missing(prompt, service), kind="replay")
        try:
            reply = self._llm.complete(prompt, service)
        except SpendLimitError:
            raise  # nothing was asked
        except LLMError as error:
            self._unanswered += 1
            if not error.is_of_one_prompt or self._unanswered > self._most_unanswered:
                self._journal.record(service, prompt, None, f"{error.kind}: {error}")
                raise
            logger.warning("%s", error)
            reply = Reply("", Finish.OTHER)
        else:
            self._unanswered = 0
        self._journal.record(service, prompt, reply)
        return reply

    def _missing(self, prompt: Prompt, service: Service) -> str:
        call = f"replay: call {service.number} of {service.served!r} ({prompt.task})"
        found = self._journal.recorded_hash(service)
        if found is None:
            return f"{call} is not in the journal; the run was stopped before it, or took another way"
        return (
            f"{call} was recorded with another prompt ({found[:8]}, now {prompt.hash[:8]}); "
            "replay with the prompts, knowledge and version of FairNAD of the run"
        )
