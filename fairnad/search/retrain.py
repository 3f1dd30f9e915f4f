"""The final training of a pick: fresh seeds, all the training images that the protocol allows, the test split.

The only place that asks for the test split; the history notes when it was opened, and for which child.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from fairnad.config import read_config
from fairnad.errors import HistoryError
from fairnad.executors.base import Executor, Finished, Training
from fairnad.history.store import History
from fairnad.records import Child, Failed, Trained
from fairnad.sandbox.data import prepare_dataset
from fairnad.sandbox.launch import Sandbox
from fairnad.search.run import fvcore_flops, make_executor, settle

__all__ = ["FIRST_SEED", "Retrained", "retrain"]

logger = logging.getLogger(__name__)

FIRST_SEED = 10_000
"""The final trainings count their seeds from here, so that none was ever used by a search."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """What came of the final trainings of one child; `fvcore_flops` is fvcore's own count."""

    child: Child
    outcomes: tuple[Trained | Failed, ...]
    fvcore_flops: int | None

    @property
    def accuracies(self) -> tuple[float, ...]:
        """The test accuracies of the trainings that ended well."""
        return tuple(outcome.accuracy for outcome in self.outcomes if isinstance(outcome, Trained))


def retrain(folder: Path, child_id: int | None, *, num_seeds: int) -> Retrained:
    """Train a child of the run in `folder` with fresh seeds and score it on the test split; the best one without an id.

    What an earlier call recorded is not trained again.

    Raises:
        HistoryError: `folder` is no run or in use, there is no such child, or none is trained yet.
    """
    with History.open(folder, write=True) as history, Sandbox() as sandbox:
        child = history.best() if child_id is None else history.child(child_id)
        if child is None:
            raise HistoryError(f"no network of {folder} is trained yet; name a child, or go on with the search")
        setting = settle(read_config(folder / "config.yaml"))
        dataset = prepare_dataset(
            sandbox, setting.config.dataset, setting.config.data_root, split_dir=setting.config.split_dir
        )
        executor = make_executor(setting, sandbox, dataset, folder)
        flops = fvcore_flops(sandbox, child, dataset)
        history.event("test_split_opened", child=child.id, num_seeds=num_seeds, fvcore_flops=flops)
        with contextlib.closing(executor):
            wanted = range(FIRST_SEED, FIRST_SEED + num_seeds)
            _train(history, executor, child, [seed for seed in wanted if seed not in _recorded(history, child)])
        found = _recorded(history, child)
    return Retrained(child, tuple(found[seed] for seed in wanted), flops)


def _recorded(history: History, child: Child) -> dict[int, Trained | Failed]:
    return {one.seed: one.outcome for one in history.evaluations(child.id) if one.purpose == "retrain"}


def _train(history: History, executor: Executor, child: Child, seeds: list[int]) -> None:
    for seed in seeds:
        executor.submit(Training(child.id, child.source, seed, _predicted(child), split="test"))
    left = len(seeds)
    while left:
        for message in executor.messages(timeout_seconds=None):
            if not isinstance(message, Finished) or message.outcome is None:
                continue
            left -= 1
            history.record_outcome(
                child.id,
                message.outcome,
                purpose="retrain",
                seed=message.training.seed,
                weights=f"children/{message.training.folder}/weights.safetensors",
            )
            _tell(message.training, message.outcome)


def _tell(training: Training, outcome: Trained | Failed) -> None:
    if isinstance(outcome, Trained):
        logger.info("child %d, seed %d: %.2f %% (test)", training.child_id, training.seed, 100 * outcome.accuracy)
    else:
        logger.info("child %d, seed %d: failed (%s)", training.child_id, training.seed, outcome.failure.value)


def _predicted(child: Child) -> float:
    """Return how long the search's training took, so that the time limit has something to go by."""
    return 2 * child.outcome.seconds if child.outcome is not None else 0.0
