"""Training on this machine: one thread a place, each watching one child process of the sandbox."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fairnad.config import ExecutorConfig
from fairnad.errors import ExecutorError, FairNADError
from fairnad.executors.base import Finished, Started, Training
from fairnad.executors.devices import Place
from fairnad.executors.jobs import finished_before, outcome, training_job
from fairnad.records import DatasetInfo, Failed, Failure, Recipe, Trained
from fairnad.sandbox.launch import Sandbox

__all__ = ["LocalExecutor"]

logger = logging.getLogger(__name__)

MAX_DEVICE_FAULTS = 2
"""A GPU that crashes with as many children in a row is left out while another remains; each is tried once more."""

_HANDOVER_SECONDS = 0.1
"""How long a place waits for another device to take what crashed on its own."""


class LocalExecutor:
    """The places of this machine. A training that an earlier controller saw finish is scored, not repeated."""

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        dataset: DatasetInfo,
        recipe: Recipe,
        config: ExecutorConfig,
        places: Sequence[Place],
        folder: Path,
    ) -> None:
        self.num_slots = len(places)
        self._sandbox = sandbox
        self._dataset = dataset
        self._recipe = recipe
        self._config = config
        self._folder = folder
        # Largest first: what is left for the end of a stage is short, so places idle less at its barrier.
        self._waiting: queue.PriorityQueue[tuple[float, int, Training | None]] = queue.PriorityQueue()
        self._messages: queue.SimpleQueue[Started | Finished | FairNADError] = queue.SimpleQueue()
        self._order = itertools.count()
        self._crashed: dict[int, _DeviceUse] = {}
        self._devices = {place.device: _DeviceUse() for place in places}
        self._lock = threading.Lock()
        for slot, place in enumerate(places):
            threading.Thread(target=self._work, args=(slot, place), name=f"slot-{slot}", daemon=True).start()

    def submit(self, training: Training) -> None:
        """Queue a training; returns at once."""
        self._waiting.put((-training.size, next(self._order), training))

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
        for _ in range(self.num_slots):
            self._waiting.put((float("-inf"), -1, None))

    def _work(self, slot: int, place: Place) -> None:
        use = self._devices[place.device]
        while (training := self._waiting.get()[2]) is not None:
            if use.is_out:
                self.submit(training)
                logger.warning("%s failed with %d children and is left out", place, MAX_DEVICE_FAULTS)
                return
            if self._crashed.get(training.child_id) is use and self._has_others(use):
                self._retry(training)
                time.sleep(_HANDOVER_SECONDS)
                continue
            self._messages.put(Started(training, slot, time.time()))
            try:
                result = self._try(training, place, use)
            except FairNADError as error:
                self._messages.put(error)
                return
            except Exception as error:  # noqa: BLE001 - a slot that died unheard would be waited for without an end
                self._messages.put(_unforeseen(training, error))
                return
            self._messages.put(Finished(training, slot, time.time(), result))
            if result is None:
                self._retry(training)

    def _retry(self, training: Training) -> None:
        self._waiting.put((float("-inf"), next(self._order), training))

    def _has_others(self, use: _DeviceUse) -> bool:
        return any(other is not use and not other.is_out for other in self._devices.values())

    def _try(self, training: Training, place: Place, use: _DeviceUse) -> Trained | Failed | None:
        """Return the outcome at `place`; None if it is to be tried again, since the GPU may be to blame."""
        with use.shared() as had_neighbours:
            result = self._train(training, place)
        if not isinstance(result, Failed):
            use.crashed.clear()
            return result
        if not place.device.is_gpu:
            return result
        if result.failure is Failure.MEMORY and (had_neighbours or place.memory_share < 1.0):
            logger.info("child %d: out of memory beside a neighbour; again, alone", training.child_id)
            with use.alone():
                return self._train(training, replace(place, memory_share=1.0))
        if result.failure is not Failure.CRASH or "CUDA" not in f"{result.reason} {result.details}":
            return result
        return None if self._blames_device(training.child_id, use) else result

    def _blames_device(self, child_id: int, use: _DeviceUse) -> bool:
        """Note a crash on a device; return whether that is to blame: of a child that crashed before, itself is."""
        with self._lock:
            if (first := self._crashed.get(child_id)) is not None:
                first.crashed.discard(child_id)
                return False
            self._crashed[child_id] = use
            use.crashed.add(child_id)
            use.is_out = use.is_out or (len(use.crashed) >= MAX_DEVICE_FAULTS and self._has_others(use))
            return True

    def _train(self, training: Training, place: Place) -> Trained | Failed:
        folder = self._folder / training.folder
        job = training_job(
            training.source,
            self._dataset,
            self._recipe,
            seed=training.seed,
            split=training.split,
            threads=place.threads,
            gpu=place.device.index,
            memory_share=place.memory_share,
        )
        report = finished_before(folder, job)
        if report is None:
            limit = max(self._config.timeout_floor_seconds, self._config.timeout_factor * training.predicted_seconds)
            report = self._sandbox.run(
                job, folder=folder, timeout_seconds=limit, memory_bytes=self._config.memory_bytes
            )
        return outcome(job, report, folder, self._dataset, split=training.split)


def _unforeseen(training: Training, error: Exception) -> ExecutorError:
    """Return what to tell of a full disk, of labels that are gone or damaged, or of a fault of ours."""
    told = ExecutorError(f"child {training.child_id}: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told


class _DeviceUse:
    """Who is on a device now, several side by side or one alone; and which children it seems to have failed."""

    def __init__(self) -> None:
        self.crashed: set[int] = set()
        self.is_out = False
        """Whether the device failed too many children to be used further."""
        self._changed = threading.Condition()
        self._num_here = 0
        self._num_loners = 0

    @contextlib.contextmanager
    def shared(self) -> Iterator[bool]:
        """Hold a place beside others; yields whether there were any when it was taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._num_loners == 0)
            self._num_here += 1
            had_neighbours = self._num_here > 1
        try:
            yield had_neighbours
        finally:
            self._release()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the whole device: newcomers wait, and those who are there are waited for."""
        with self._changed:
            self._num_loners += 1
            self._changed.wait_for(lambda: self._num_here == 0)
            self._num_here += 1
        try:
            yield
        finally:
            with self._changed:
                self._num_loners -= 1
            self._release()

    def _release(self) -> None:
        with self._changed:
            self._num_here -= 1
            self._changed.notify_all()
