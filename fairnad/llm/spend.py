"""What calls cost: the running sums with their hard stops, and the estimate before a run. Asks nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fairnad.config import LLMConfig
from fairnad.errors import SpendLimitError

__all__ = ["Estimate", "Spend", "Spent", "cost_of", "estimate", "guess_tokens"]

_CHARS_PER_TOKEN = 3.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens, money in the unit of the configured prices, and wall time."""

    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a number of calls will take."""

    calls: int
    tokens: int
    cost: float
    hours: float


class Spend:
    """Counts what is spent, from any thread, and says when a limit is reached.

    `before` is what earlier sessions of the run spent. Wall time runs from here on, whether calls are made or not.
    """

    def __init__(
        self, config: LLMConfig, before: Spent | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._spent = before or Spent()
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()

    @property
    def total(self) -> Spent:
        """What is spent by now."""
        with self._lock:
            spent = self._spent
        return Spent(spent.tokens, spent.cost, spent.seconds + self._clock() - self._began)

    def add(self, tokens: int, cost: float) -> None:
        """Count one call."""
        with self._lock:
            self._spent = Spent(self._spent.tokens + tokens, self._spent.cost + cost, self._spent.seconds)

    def check(self) -> None:
        """Return if another call is allowed.

        Raises:
            SpendLimitError: a limit is reached.
        """
        total, config = self.total, self._config
        for name, used, limit in (
            ("max_total_tokens", total.tokens, config.max_total_tokens),
            ("max_cost", total.cost, config.max_cost),
            ("max_hours", total.seconds / 3600, config.max_hours),
        ):
            if limit is not None and used >= limit:
                raise SpendLimitError(
                    f"llm.{name} is reached: {used:.6g} of {limit:.6g}; raise it in config.yaml of the run, and "
                    f"resume; for a build by --set llm.{name}=... and the same command",
                    kind="spend",
                )


def cost_of(config: LLMConfig, prompt_tokens: float, reply_tokens: float) -> float:
    """Return the money for so many tokens."""
    return (prompt_tokens * config.price_prompt + reply_tokens * config.price_reply) / 1e6


def estimate(
    config: LLMConfig, *, calls: int, prompt_tokens: int, reply_tokens: int, seconds_per_call: float
) -> Estimate:
    """Return what `calls` of so many tokens each will take, `config.concurrency` of them at once."""
    return Estimate(
        calls=calls,
        tokens=calls * (prompt_tokens + reply_tokens),
        cost=calls * cost_of(config, prompt_tokens, reply_tokens),
        hours=calls * seconds_per_call / min(config.concurrency, max(calls, 1)) / 3600,
    )


def guess_tokens(chars: int) -> int:
    """Return about how many tokens a text of `chars` characters has, rather too many: source code has about 3.5."""
    return round(chars / _CHARS_PER_TOKEN)
