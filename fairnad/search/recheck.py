"""Training children again with fresh seeds: before the best of a search is named, and for the final training of a pick.

The best validation accuracy of many trainings is partly luck; the mean of several of one child is less so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from fairnad.config import Config
from fairnad.executors.base import Executor, Finished, Training
from fairnad.history.rows import Evaluation
from fairnad.history.store import History
from fairnad.records import Failed, Trained
from fairnad.search.trainings import predicted_seconds

__all__ = ["FIRST_SEED", "SEEDS_A_RUN", "is_done", "recheck", "train_again"]

logger = logging.getLogger(__name__)

FIRST_SEED = 1_000_000
"""The seeds of a recheck are counted from here, `SEEDS_A_RUN` apart for each seed of a search: no other training
has them."""

SEEDS_A_RUN = 1_000


def recheck(
    history: History,
    executor: Executor,
    config: Config,
    num_images: int,
    *,
    told: Callable[[str], None] = lambda activity: None,
) -> None:
    """Train the best children of a search again, as `config.recheck` says; what is recorded already is not repeated.

    A child trains on `num_images`. `told` is called with a line on what is going on.
    """
    if config.recheck is None:
        return
    again, first = config.recheck, FIRST_SEED + SEEDS_A_RUN * config.seed
    trainings = [
        Training(child.id, child.source, seed, predicted_seconds(child, config.recipe, num_images), is_again=True)
        for seed in range(first, first + again.trainings)
        for child in history.ranked()[: again.networks]
    ]
    what = f"recheck: {again.networks} children are trained {again.trainings} times more"
    train_again(history, executor, trainings, told=lambda done: told(f"{what}, {done} of {len(trainings)} are done"))


def train_again(
    history: History,
    executor: Executor,
    trainings: Sequence[Training],
    *,
    told: Callable[[int], None] = lambda num_done: None,
) -> None:
    """Train what is not recorded yet, on the validation split as a recheck, on the test split as final trainings.

    A final training that failed is tried again, each time that it is asked for; a recheck belongs to its search.
    `told` is called with how many are done, at first and after each.
    """
    left = {(one.child_id, one.seed) for one in trainings}
    for child_id in {one.child_id for one in trainings}:
        left -= {(child_id, one.seed) for one in history.evaluations(child_id) if is_done(one)}
    for training in trainings:
        if (training.child_id, training.seed) in left:
            executor.submit(training)
    attempts: dict[tuple[int, int], int] = {}
    told(len(trainings) - len(left))
    while left:
        for message in executor.messages(timeout_seconds=None):
            training = message.training
            key = training.child_id, training.seed
            if not isinstance(message, Finished):
                attempts[key] = history.attempt_started(training.child_id, f"slot {message.slot}", at=message.time)
            elif message.outcome is None:
                history.attempt_ended(attempts.pop(key), "failed", at=message.time)
            else:
                _record(history, training, message.outcome, attempt=attempts.pop(key), at=message.time)
                left.remove(key)
                told(len(trainings) - len(left))


def is_done(one: Evaluation) -> bool:
    """Return whether a further training is not to be tried again; what a search itself trained is none."""
    return one.purpose == "recheck" or (one.purpose == "retrain" and isinstance(one.outcome, Trained))


def _record(history: History, training: Training, outcome: Trained | Failed, *, attempt: int, at: float) -> None:
    history.record_outcome(
        training.child_id,
        outcome,
        purpose="retrain" if training.split == "test" else "recheck",
        seed=training.seed,
        weights=f"children/{training.folder}/weights.safetensors",
        attempt=attempt,
        at=at,
    )
    told = (
        f"{100 * outcome.accuracy:.2f} % ({outcome.split})" if isinstance(outcome, Trained) else outcome.failure.value
    )
    logger.info("child %d, seed %d: %s", training.child_id, training.seed, told)
