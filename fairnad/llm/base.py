"""What passes between those who ask a language model, the model, and the journal. Asks nothing itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

__all__ = ["LLM", "Finish", "Journal", "Message", "Prompt", "Reply", "Service"]


class Finish(str, Enum):
    """Why a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    """The limit on tokens was hit: the reply is truncated."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt; `role` is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked. `task` names the template, `template_hash` its text; `temperature` None is the configured one."""

    task: str
    messages: tuple[Message, ...]
    template_hash: str = ""
    temperature: float | None = None

    @property
    def text(self) -> str:
        """The whole prompt as one text, for the journal and for people."""
        return "\n\n".join(f"[{message.role}]\n{message.text}" for message in self.messages)

    @property
    def hash(self) -> str:
        """A hash of all that is asked; equal prompts have equal hashes."""
        return hashlib.sha256(f"{self.task}\n{self.temperature}\n{self.text}".encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `cost` is money in the unit of the configured prices; token counts that nobody told are None."""

    text: str
    finish: Finish = Finish.STOP
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    latency_seconds: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Service:
    """What a call is for. `served` names the attempt of a slot or the step of a build; `number` counts its calls."""

    served: str
    number: int


class LLM(Protocol):
    """Answers prompts; safe to call from several threads."""

    name: str

    def complete(self, prompt: Prompt, service: Service) -> Reply:
        """Return the reply to `prompt`.

        Raises:
            LLMError: no reply could be had, after the retries that its kind of error allows.
            SpendLimitError: a limit on tokens, money or time is reached.
        """


class Journal(Protocol):
    """Where every call is written down before its reply is read; safe to call from several threads."""

    def recorded(self, service: Service, prompt: Prompt) -> Reply | None:
        """Return the reply that was recorded for this call, if its prompt was the same."""

    def recorded_hash(self, service: Service) -> str | None:
        """Return the hash of the prompt whose reply was recorded for this call, or None if there is none."""

    def record(self, service: Service, prompt: Prompt, reply: Reply | None, error: str = "") -> None:
        """Record a call, whose reply is None if none came."""
