"""The final training of a pick: fresh seeds, all the training images that the protocol allows, the test split.

The only place that asks for the test split; the history notes when it was opened, and for which child.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from fairnad.config import read_config
from fairnad.errors import ExecutorError, HistoryError
from fairnad.executors.base import Training
from fairnad.history.store import History
from fairnad.records import Child, Failed, Trained
from fairnad.sandbox.launch import Sandbox
from fairnad.search.data import open_data
from fairnad.search.recheck import SEEDS_A_RUN, train_again
from fairnad.search.run import fvcore_flops, make_executor
from fairnad.search.setting import settle
from fairnad.search.trainings import predicted_seconds

__all__ = ["FIRST_SEED", "Retrained", "final_seeds", "finals", "retrain"]

FIRST_SEED = 10_000
"""The seeds of final trainings are counted from here, `SEEDS_A_RUN` apart for each seed of a search: none was ever used
by that search, and two searches share none."""


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


def retrain(folder: Path, child_id: int | None, *, num_seeds: int, data_root: str | None = None) -> Retrained:
    """Train a child of the run in `folder` with fresh seeds and score it on the test split; the best one without an id.

    What an earlier call recorded is not trained again. `data_root`: where the data of the run are by now.

    Raises:
        HistoryError: `folder` is no run or in use, there is no such child, or none is trained yet.
        ExecutorError: none of the trainings came to its end.
    """
    with History.open(folder, write=True) as history, Sandbox() as sandbox:
        child = history.best() if child_id is None else history.child(child_id)
        if child is None:
            raise HistoryError(f"no network of {folder} is trained yet; name a child, or go on with the search")
        setting = settle(read_config(folder / "config.yaml").with_data_in(data_root))
        dataset = open_data(sandbox, setting.config, history)
        executor = make_executor(setting, sandbox, dataset, folder)
        flops = fvcore_flops(sandbox, child, dataset)
        history.event("test_split_opened", child=child.id, num_seeds=num_seeds, fvcore_flops=flops)
        with contextlib.closing(executor):
            num_images = dataset.num_final_train or dataset.num_train
            seconds = predicted_seconds(child, setting.config.recipe, num_images)
            seeds = final_seeds(history.run.seed, num_seeds)
            train_again(
                history, executor, [Training(child.id, child.source, seed, seconds, split="test") for seed in seeds]
            )
        outcomes = finals(history, child)
    done = Retrained(child, tuple(outcomes[seed] for seed in seeds), flops)
    if not done.accuracies:
        reasons = {outcome.reason for outcome in done.outcomes if isinstance(outcome, Failed)}
        raise ExecutorError(
            f"no final training of child {child.id} came to its end ({'; '.join(sorted(reasons))}); "
            "the same command tries again"
        )
    return done


def final_seeds(search_seed: int, num_seeds: int) -> range:
    """Return the seeds of the final trainings that belong to a search of `search_seed`."""
    first = FIRST_SEED + SEEDS_A_RUN * search_seed
    return range(first, first + num_seeds)


def finals(history: History, child: Child) -> dict[int, Trained | Failed]:
    """Return what came of the final trainings of `child`, by their seeds."""
    return {one.seed: one.outcome for one in history.evaluations(child.id) if one.purpose == "retrain"}
