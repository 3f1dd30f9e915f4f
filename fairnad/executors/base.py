"""What every executor is: it takes trainings, runs them somewhere, and gives back what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from fairnad.records import Failed, Trained

__all__ = ["EXECUTORS", "Executor", "Finished", "Started", "Training"]

EXECUTORS = {
    "local": "fairnad.executors.local:LocalExecutor",
}
"""Known executors: name -> "module:Class". `my_package.mine:Class` works from a configuration too."""


@dataclass(frozen=True, slots=True)
class Training:
    """One child to train. Of several that wait, the one of the largest `size` starts first.

    A search evaluates on the validation split; the test split is for the final training of a pick alone. What
    `is_again` is a further training of a child with a fresh seed, and leaves the files of the first one alone.
    """

    child_id: int
    source: str
    seed: int
    predicted_seconds: float
    size: float = 0.0
    """Anything that training time grows with, the same on every machine."""
    split: Literal["val", "test"] = "val"
    is_again: bool = False

    @property
    def folder(self) -> str:
        """The name of its folder among those of the children."""
        is_first = self.split == "val" and not self.is_again
        return str(self.child_id) if is_first else f"{self.child_id}-{self.split}-seed-{self.seed}"


@dataclass(frozen=True, slots=True)
class Started:
    """A training took a slot at `time` (seconds since the epoch)."""

    training: Training
    slot: int
    time: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A training left its slot at `time` (seconds since the epoch); with no outcome it waits for another slot."""

    training: Training
    slot: int
    time: float
    outcome: Trained | Failed | None


class Executor(Protocol):
    """Where and when children train, never how.

    It is made with `sandbox`, `dataset`, `recipe`, `config`, `places` and `folder`, as `search.run.make_executor` does.
    """

    num_slots: int

    def submit(self, training: Training) -> None:
        """Queue a training; returns at once."""

    def messages(self, *, timeout_seconds: float | None) -> tuple[Started | Finished, ...]:
        """Return what happened since the last call, in order; wait up to `timeout_seconds` for the first.

        Of each training a `Started` comes first, then a `Finished`; another `Started` where that has no outcome.

        With None the wait has no end; with 0 there is none.

        Raises:
            ExecutorError: the machinery failed; the trainings that were under way are lost.
        """

    def close(self) -> None:
        """End what is running and give the slots back."""
