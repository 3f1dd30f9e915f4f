"""The trainings of a search: handed to the executor, and what it tells of them written into the history."""

from __future__ import annotations

import logging
from dataclasses import replace

from fairnad.config import Config
from fairnad.errors import ExecutorError
from fairnad.executors.base import Executor, Finished, Training
from fairnad.history.store import History
from fairnad.records import Child, Failed, Recipe, Trained
from fairnad.search.board import Board
from fairnad.search.progress import Progress

__all__ = ["Trainings", "predicted_seconds"]

logger = logging.getLogger(__name__)


class Trainings:
    """The children that train or wait for it."""

    def __init__(
        self, config: Config, history: History, executor: Executor, board: Board, progress: Progress, num_images: int
    ) -> None:
        self._config = config
        self._history = history
        self._executor = executor
        self._board = board
        self._progress = progress
        self._num_images = num_images
        self._attempts: dict[int, int] = {}

    def submit(self, child: Child) -> None:
        """Hand `child` to the executor."""
        self._board.training[child.id] = child
        self._board.num_waiting += 1
        self._progress.waiting += 1
        training = Training(
            child.id,
            child.source,
            seed=self._config.seed,
            predicted_seconds=predicted_seconds(child, self._config.recipe, self._num_images),
            size=float(child.activations or 0),
        )
        self._executor.submit(training)
        self._progress.change()

    def collect(self, *, timeout_seconds: float | None) -> None:
        """Record what the executor has to tell; wait up to `timeout_seconds` for it, without an end if None.

        Raises:
            ExecutorError: the base could not be trained.
        """
        for message in self._executor.messages(timeout_seconds=timeout_seconds):
            child = self._board.training[message.training.child_id]
            if not isinstance(message, Finished):
                place = f"slot {message.slot}"
                self._attempts[child.id] = self._history.attempt_started(child.id, place, at=message.time)
                self._board.num_waiting -= 1
                self._progress.started(child, message.slot, message.time)
            elif message.outcome is None:
                self._history.attempt_ended(self._attempts.pop(child.id), "failed", at=message.time)
                self._board.num_waiting += 1
                self._progress.gave_back(message.slot, message.time)
            else:
                self._record(child, message.outcome, message)

    def _record(self, child: Child, outcome: Trained | Failed, message: Finished) -> None:
        del self._board.training[child.id]
        self._history.record_outcome(child.id, outcome, attempt=self._attempts.pop(child.id), at=message.time)
        self._progress.finished(replace(child, outcome=outcome), message.slot, message.time)
        if isinstance(outcome, Trained):
            logger.info("child %d: %.2f %% (%s)", child.id, 100 * outcome.accuracy, outcome.split)
        elif child.id == 0:
            raise ExecutorError(f"the base could not be trained: {outcome.reason}; `fairnad resume` tries again")
        else:
            logger.info("child %d: training failed (%s)", child.id, outcome.failure.value)


def predicted_seconds(child: Child, recipe: Recipe, num_images: int) -> float:
    """Return how long a training of `child` on `num_images` takes, by its measured step; 0 if none was measured."""
    if not child.step_seconds or not child.step_batch:
        return 0.0
    return recipe.epochs * num_images * child.step_seconds / child.step_batch
