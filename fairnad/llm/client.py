"""The client of an OpenAI-compatible endpoint: retries, outages, limits. Parses no code and keeps no record."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType

from fairnad.config import LLMConfig
from fairnad.errors import ConfigError, LLMError
from fairnad.llm.base import Finish, Prompt, Reply, Service
from fairnad.llm.endpoint import EndpointFacts
from fairnad.llm.exchange import Exchange
from fairnad.llm.faults import Fault
from fairnad.llm.spend import Spend, cost_of, guess_tokens

__all__ = ["Client"]

logger = logging.getLogger(__name__)

_MAX_BACKOFF_SECONDS = 30.0
_FINISHES = {"stop": Finish.STOP, "length": Finish.LENGTH, "max_tokens": Finish.LENGTH}
_MAX_COUNT = 2**53
"""No reply has more tokens: a larger number is nonsense that arithmetic and SQLite cannot take."""


class Client:
    """Asks the endpoint of `config`; safe to call from several threads. A context manager; `close` ends all calls.

    `facts` is what `check_endpoint` found: an endpoint that was there is waited for when it goes away. `wait` sleeps
    that many seconds.

    Raises:
        ConfigError: the address, the key or the model is missing.
    """

    def __init__(
        self,
        config: LLMConfig,
        facts: EndpointFacts | None = None,
        *,
        spend: Spend | None = None,
        wait: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = _model(config, facts)
        self._config = config
        self._spend = spend or Spend(config)
        self._is_closed = threading.Event()
        self._wait = wait or self._is_closed.wait
        self._clock = clock
        self._slots = threading.BoundedSemaphore(config.concurrency)
        self._outage = _Outage(config.base_url or "")
        self._was_there = facts is not None
        self._jitter = random.Random()
        self._exchange = Exchange(config)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the calls under way, each with an LLMError."""
        self._is_closed.set()
        self._exchange.close()

    def complete(self, prompt: Prompt, service: Service) -> Reply:
        """Return the reply to `prompt`; see `LLM`. A reply that was cut short or is empty is one too."""
        body = _body(self._config, self.name, prompt, service)
        attempts = failures = 0
        with self._slots:
            while True:
                self._spend.check()
                found = self._attempt(body, prompt)
                if isinstance(found, Reply):
                    self._was_there = True
                    self._outage.end(self._clock())
                    return found
                self._wait(self._pause(found, attempts, failures))
                attempts += 1
                failures += not (found.is_outage and self._was_there)

    def _attempt(self, body: dict[str, object], prompt: Prompt) -> Reply | Fault:
        if self._is_closed.is_set():
            return Fault("closed", "the client was closed")
        began = self._clock()
        text = self._exchange.post("/chat/completions", body, seconds=self._config.total_seconds)
        if isinstance(text, Fault):
            return text
        found = _read_answer(text)
        if found is None:
            start = self._exchange.clean(text)[:80]
            return Fault("bad_body", f"the answer is no chat completion: {start!r}", is_retried=True)
        return self._count(found, prompt, self._clock() - began)

    def _count(self, reply: Reply, prompt: Prompt, seconds: float) -> Reply:
        """Return `reply` with what it took; tokens that nobody told are guessed for the limits only."""
        asked, answered = reply.prompt_tokens, reply.reply_tokens
        asked = guess_tokens(len(prompt.text)) if asked is None else asked
        answered = guess_tokens(len(reply.text)) if answered is None else answered
        cost = cost_of(self._config, asked, answered)
        self._spend.add(asked + answered, cost)
        return Reply(reply.text, reply.finish, reply.prompt_tokens, reply.reply_tokens, seconds, cost)

    def _pause(self, fault: Fault, attempts: int, failures: int) -> float:
        """Return the seconds to wait before the next attempt, after `attempts` earlier ones.

        `failures` of them were no outage, for which there is a limit of its own.

        Raises:
            LLMError: no other attempt is to be made.
        """
        end = self._end(fault, failures)
        if end is not None:
            raise LLMError(f"{self.name} at {self._config.base_url}: {fault.text}{end}", kind=fault.kind)
        if fault.wait_seconds is not None:
            return fault.wait_seconds + self._jitter.uniform(0.0, 0.5)
        return min(_MAX_BACKOFF_SECONDS, 2.0 ** min(attempts, 10)) * self._jitter.uniform(0.5, 1.0)

    def _end(self, fault: Fault, failures: int) -> str | None:
        """Return why no other attempt is to be made, as the end of a message; None if one is."""
        if not fault.is_retried:
            return ""
        if (fault.wait_seconds or 0.0) > self._config.outage_seconds:
            return f"; it asks to wait {fault.wait_seconds:.0f} s, longer than llm.outage_seconds"
        if fault.is_outage and self._was_there:
            away = self._outage.seconds(self._clock())
            is_over = away >= self._config.outage_seconds
            return f"; it was away for {away:.0f} s: start it again and resume the run" if is_over else None
        return f"; given up after {failures + 1} attempts" if failures >= self._config.max_retries else None


class _Outage:
    """The time since the endpoint was last there, for all threads together; says once that it began and ended."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since: float | None = None
        self._lock = threading.Lock()

    def seconds(self, now: float) -> float:
        """Return how long the endpoint has been away; the first call is the beginning."""
        with self._lock:
            if self._since is None:
                self._since = now
                logger.warning("the language model at %s went away; waiting for it", self._url)
            return now - self._since

    def end(self, now: float) -> None:
        """Take note that the endpoint answered."""
        with self._lock:
            if self._since is not None:
                logger.warning("the language model is back after %.0f s; going on", now - self._since)
                self._since = None


def _model(config: LLMConfig, facts: EndpointFacts | None) -> str:
    model = facts.model if facts is not None else config.model
    if model is None:
        raise ConfigError("llm.model is not set: name a model of the endpoint")
    return model


def _body(config: LLMConfig, model: str, prompt: Prompt, service: Service) -> dict[str, object]:
    body: dict[str, object] = {
        "model": model,
        # What a generator wrote may hold lone surrogates, which are no UTF-8.
        "messages": [{"role": message.role, "content": _encodable(message.text)} for message in prompt.messages],
        "temperature": config.temperature if prompt.temperature is None else prompt.temperature,
        "top_p": config.top_p,
        "max_tokens": config.max_tokens,
        "seed": _seed(service),
    }
    if config.thinking is not None:
        body["chat_template_kwargs"] = {"enable_thinking": config.thinking}
    return body | config.extra_body


def _seed(service: Service) -> int:
    """Return the same number, of 31 bits, for the same call of the same run."""
    name = f"{service.served}/{service.number}"
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:4], "big") >> 1


def _read_answer(text: str) -> Reply | None:
    """Return the first choice of a chat completion, or None if `text` is none."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match body:
        case {"choices": [{"message": dict() as message} as choice, *_]}:
            content, usage = _text_of(message.get("content")), body.get("usage")
            if content is None:
                return None
            return Reply(
                _encodable(content),
                _FINISHES.get(str(choice.get("finish_reason")).lower(), Finish.OTHER),
                _count_in(usage, "prompt_tokens"),
                _count_in(usage, "completion_tokens"),
            )
    return None


def _text_of(content: object) -> str | None:
    """Return the text of a message: a string, a list of strings and parts of which some have text, or nothing."""
    match content:
        case None:
            return ""
        case str():
            return content
        case [*parts]:
            texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
            return "".join(text for text in texts if isinstance(text, str))
    return None


def _count_in(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and 0 <= value < _MAX_COUNT else None


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
