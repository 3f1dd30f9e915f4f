"""Training on this machine: one thread a slot, each watching one child process of the sandbox."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from pathlib import Path

from fairnad.config import ExecutorConfig
from fairnad.errors import ExecutorError, FairNADError
from fairnad.executors.base import Finished, Started, Training
from fairnad.executors.jobs import finished_before, outcome, training_job
from fairnad.records import DatasetInfo, Failed, Recipe, Trained
from fairnad.sandbox.launch import Sandbox

__all__ = ["LocalExecutor", "cpu_slots"]


def cpu_slots(config: ExecutorConfig, num_cores: int) -> int:
    """Return how many children train at once on `num_cores` CPU cores.

    One child on one thread a core: two such see 1.9 times the images of one child on two threads.
    """
    return config.slots or max(1, num_cores // config.threads)


class LocalExecutor:
    """Slots of this machine. A training that an earlier controller saw finish is scored, not repeated."""

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        dataset: DatasetInfo,
        recipe: Recipe,
        config: ExecutorConfig,
        num_slots: int,
        folder: Path,
    ) -> None:
        self.num_slots = num_slots
        self._sandbox = sandbox
        self._dataset = dataset
        self._recipe = recipe
        self._config = config
        self._folder = folder
        # Longest first: what is left for the end of a stage is short, so slots idle less at its barrier.
        self._waiting: queue.PriorityQueue[tuple[float, int, Training | None]] = queue.PriorityQueue()
        self._messages: queue.SimpleQueue[Started | Finished | FairNADError] = queue.SimpleQueue()
        self._order = itertools.count()
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"slot-{slot}", daemon=True)
            for slot in range(num_slots)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, training: Training) -> None:
        """Queue a training; returns at once."""
        self._waiting.put((-training.predicted_seconds, next(self._order), training))

    def messages(self, *, timeout_seconds: float | None) -> tuple[Started | Finished, ...]:
        """Return what happened since the last call, in order; wait up to `timeout_seconds` for the first."""
        found: list[Started | Finished] = []
        try:
            message = self._messages.get(timeout=timeout_seconds, block=timeout_seconds != 0)
            while True:
                if isinstance(message, FairNADError):
                    raise ExecutorError(f"a training slot stopped: {message}") from message
                found.append(message)
                message = self._messages.get(block=False)
        except queue.Empty:
            return tuple(found)

    def close(self) -> None:
        """End the slots; the sandbox ends the children."""
        for _ in self._threads:
            self._waiting.put((float("-inf"), next(self._order), None))

    def _work(self, slot: int) -> None:
        while (training := self._waiting.get()[2]) is not None:
            self._messages.put(Started(training, slot, time.time()))
            try:
                result = self._train(training)
            except FairNADError as error:
                self._messages.put(error)
                return
            self._messages.put(Finished(training, slot, time.time(), result))

    def _train(self, training: Training) -> Trained | Failed:
        folder = self._folder / str(training.child_id)
        job = training_job(
            training.source, self._dataset, self._recipe, seed=training.seed, threads=self._config.threads
        )
        report = finished_before(folder, job)
        if report is None:
            limit = max(self._config.timeout_floor_seconds, self._config.timeout_factor * training.predicted_seconds)
            report = self._sandbox.run(
                job, folder=folder, timeout_seconds=limit, memory_bytes=self._config.memory_bytes
            )
        return outcome(job, report, folder, self._dataset)
