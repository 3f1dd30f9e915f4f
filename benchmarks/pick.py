"""Is the pick better than just widening the base? Fresh seeds, the test split, paired differences.

python benchmarks/pick.py RUN [SEEDS]
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from report import print_table
from scipy import stats

from fairnad.config import read_config
from fairnad.executors.jobs import outcome, training_job
from fairnad.generators.fit import Direction, fit
from fairnad.history.store import History
from fairnad.records import Costs, Trained
from fairnad.sandbox.data import prepare_dataset
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import MeasureJob

FIRST_SEED = 1000
"""Far from any seed of a search."""


def main(folder: Path, num_seeds: int) -> None:
    config = read_config(folder / "config.yaml")
    with History.open(folder) as history:
        base, best = history.child(0), history.best()
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as scratch:
        dataset = prepare_dataset(sandbox, config.dataset, config.data_root)

        def measure(sources: list[str]) -> tuple[Costs | None, ...]:
            job = MeasureJob(sources=tuple(sources), input_shape=dataset.input_shape, num_classes=dataset.num_classes)
            return sandbox.run(job, timeout_seconds=120).costs

        widened = fit(base.source, config.limits, measure, direction=Direction.WIDTHS)
        sources = {"base": base.source, "base widened to the limits": widened, f"pick (child {best.id})": best.source}
        costs = dict(zip(sources, measure(list(sources.values())), strict=True))

        def train(task: tuple[str, int]) -> float:
            name, seed = task
            job = training_job(sources[name], dataset, config.recipe, seed=seed, split="test")
            place = Path(scratch) / f"{name.replace(' ', '-')}-{seed}"
            report = sandbox.run(job, folder=place, timeout_seconds=3600, memory_bytes=config.executor.memory_bytes)
            result = outcome(job, report, place, dataset, split="test")
            if not isinstance(result, Trained):
                raise SystemExit(f"{name}, seed {seed}: {result.failure.value}: {result.reason}")
            return 100 * result.accuracy

        tasks = [(name, FIRST_SEED + seed) for seed in range(num_seeds) for name in sources]
        with ThreadPoolExecutor(config.executor.slots or 2) as pool:
            scores = dict(zip(tasks, pool.map(train, tasks), strict=True))
    table = {name: np.array([scores[name, FIRST_SEED + seed] for seed in range(num_seeds)]) for name in sources}
    pick = table[f"pick (child {best.id})"]
    rows = [
        (
            name,
            f"{costs[name].params / 1e6:.3f} M",
            f"{costs[name].flops / 1e6:.2f} M",
            f"{values.mean():.2f} +- {values.std(ddof=1):.2f}",
            "" if values is pick else interval(pick - values),
        )
        for name, values in table.items()
    ]
    print_table(
        f"{config.dataset}, test split, {config.recipe.epochs} epochs, n = {num_seeds} fresh seeds, run {folder.name}",
        ("network", "params", "FLOPs", "accuracy %, mean +- std", "pick minus this, paired, 95 % interval"),
        rows,
    )


def interval(differences: np.ndarray) -> str:
    """Return mean and 95 % t-interval of paired differences."""
    half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    return f"{differences.mean():+.2f} [{differences.mean() - half:+.2f}, {differences.mean() + half:+.2f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
