"""Evaluations that were recorded before: a training is a look-up by child, seed and purpose. For replay."""

from __future__ import annotations

from collections.abc import Mapping

from fairnad.errors import ExecutorError
from fairnad.executors.base import Finished, Started, Training
from fairnad.history.store import History
from fairnad.records import Failed, Trained

__all__ = ["RecordedExecutor"]

_Key = tuple[int, str, int | None]


class RecordedExecutor:
    """Answers every training with what a history says came of it. Failures of a search have no seed of their own."""

    num_slots = 1

    def __init__(self, history: History) -> None:
        self._outcomes: Mapping[_Key, Trained | Failed] = {
            (child.id, one.purpose, one.seed if one.purpose != "search" else None): one.outcome
            for child in history.children()
            for one in history.evaluations(child.id)
        }
        self._waiting: list[Training] = []

    def submit(self, training: Training) -> None:
        """Queue a training; returns at once."""
        self._waiting.append(training)

    def messages(self, *, timeout_seconds: float | None) -> tuple[Started | Finished, ...]:
        """Return the start and the recorded end of everything that waits.

        Raises:
            ExecutorError: one of them is not in the history.
        """
        waiting, self._waiting = self._waiting, []
        return tuple(
            message
            for training in waiting
            for message in (Started(training, 0, 0.0), Finished(training, 0, 0.0, self._outcome(training)))
        )

    def close(self) -> None:
        """Nothing runs."""

    def _outcome(self, training: Training) -> Trained | Failed:
        purpose = "recheck" if training.is_again else "retrain" if training.split == "test" else "search"
        key = (training.child_id, purpose, training.seed if purpose != "search" else None)
        if key not in self._outcomes:
            raise ExecutorError(f"child {training.child_id}: its {purpose} is not recorded and cannot be replayed")
        return self._outcomes[key]
