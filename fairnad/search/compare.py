"""Several strategies on one setting, as one job: a folder with `compare.json` and a run folder a strategy and seed.

A killed job goes on with the same call: what is finished is not repeated, what was under way is resumed. Each pick is
then trained with fresh seeds and scored on the test split. Draws nothing and prints nothing: that is `report`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fairnad import __version__
from fairnad.config import Config
from fairnad.errors import ConfigError, ExecutorError, HistoryError, nearest
from fairnad.history.lock import LOCK, locked
from fairnad.history.store import History
from fairnad.search.recheck import is_done
from fairnad.search.retrain import final_seeds, retrain
from fairnad.search.run import resume_search, start_search
from fairnad.search.strategies import STRATEGIES, apply

__all__ = [
    "ComparePlan",
    "Steps",
    "compare_plan",
    "differences",
    "flat",
    "read_plan",
    "run_compare",
    "run_folders",
]

logger = logging.getLogger(__name__)

PLAN_FILE = "compare.json"

_MAY_DIFFER = {"strategy", "seed", "data_root", "split_dir", "executor.slots", "executor.streams_per_gpu"}
"""Settings of runs that may be compared: beside strategy and seed, where files lie and how many train at once."""


class ComparePlan(BaseModel):
    """What is compared. All of `config` but strategy and seed holds for every run; the seeds count from its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: Config
    strategies: tuple[str, ...]
    num_seeds: int
    reference: str
    final_trainings: int
    format: Literal[1] = 1
    fairnad_version: str = __version__

    def runs(self) -> Iterator[Config]:
        """Yield the configuration of each run, seed by seed."""
        for seed in range(self.config.seed, self.config.seed + self.num_seeds):
            for strategy in self.strategies:
                yield self.config.model_copy(update={"strategy": strategy, "seed": seed})


def compare_plan(
    config: Config, *, strategies: str | None = None, num_seeds: int, reference: str | None, final_trainings: int
) -> ComparePlan:
    """Return the plan that a command line asks for; `strategies` are names with commas between, None is all.

    The reference is "base" if it is among them, else the first one, unless it is named.

    Raises:
        ConfigError: a strategy is not known, the reference is not among them, or a number is not positive.
    """
    names = tuple(STRATEGIES) if strategies is None else tuple(name.strip() for name in strategies.split(","))
    for name in names:
        apply(config.model_copy(update={"strategy": name}))
    if len(set(names)) < len(names):
        raise ConfigError(f"strategies {', '.join(names)}: each may be named once")
    if num_seeds < 1 or final_trainings < 1:
        raise ConfigError(f"{num_seeds} seeds, {final_trainings} final trainings: at least one of each is needed")
    chosen = reference or ("base" if "base" in names else names[0])
    if chosen not in names:
        raise ConfigError(f"reference {chosen!r} is not among the strategies: {nearest(chosen, names)}")
    return ComparePlan(
        config=config, strategies=names, num_seeds=num_seeds, reference=chosen, final_trainings=final_trainings
    )


def read_plan(folder: Path) -> ComparePlan | None:
    """Return the plan of the job in `folder`; None if it holds none.

    Raises:
        HistoryError: the plan is damaged or of another version.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        return None
    try:
        return ComparePlan.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HistoryError(
            f"{path} is damaged or was written by another version of FairNAD (this is {__version__}): "
            f"{where}: {first['msg']}"
        ) from error


@dataclass(frozen=True, slots=True)
class Steps:
    """What a job is made of."""

    start: Callable[[Config, Path], object] = start_search
    resume: Callable[[Path], object] = resume_search
    finish: Callable[[Path, int], object] = lambda folder, number: retrain(folder, None, num_seeds=number)


def run_compare(
    plan: ComparePlan, folder: Path, *, steps: Steps | None = None, told: Callable[[str], None] = lambda line: None
) -> None:
    """See the job in `folder` through, new or begun; `told` is called with a line for each run that is done.

    A job that was begun may be given more strategies or seeds, and keeps those that are not named again. Final
    trainings that failed are tried again, once a call.

    Raises:
        ConfigError: the job was begun with other settings; they are listed.
        HistoryError: the folder is in use, cannot be written, or is no job.
        ExecutorError: of some picks no final training came to its end; all other runs are done.
    """
    known = read_plan(folder)
    if known is not None:
        _check_same(known, plan, folder)
        plan = _joined(known, plan)
    elif folder.exists() and any(path.name != LOCK for path in folder.iterdir()):
        raise HistoryError(f"{folder} is not empty and holds no {PLAN_FILE}; name another run")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        _write(folder / PLAN_FILE, plan.model_dump_json(indent=1))
        failures = list(_run_all(plan, folder, steps or Steps(), told))
    if failures:
        raise ExecutorError("; ".join(failures))


def run_folders(folder: Path) -> tuple[Path, ...]:
    """Return the run folders that `folder` is or holds: those that the plan of a job names, or all there are.

    Raises:
        HistoryError: there are none.
    """
    plan = read_plan(folder)
    if plan is not None:
        return tuple(_place(folder, config) for config in plan.runs())
    found = sorted(path.parent for path in [*folder.glob("history.db"), *folder.glob("*/history.db")])
    if not found:
        raise HistoryError(f"{folder} is no run and holds none: no history.db in it or one level below")
    return tuple(found)


def flat(settings: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested settings with dotted keys, without those in which compared runs may differ."""
    found: dict[str, object] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        elif prefix + key not in _MAY_DIFFER:
            found[prefix + key] = value
    return found


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Return a line for each setting in which two flat configurations differ."""
    return [
        f"{key}: {one.get(key, 'missing')} and {other.get(key, 'missing')}"
        for key in sorted(one.keys() | other.keys())
        if one.get(key, "missing") != other.get(key, "missing")
    ]


def _place(folder: Path, config: Config) -> Path:
    return folder / f"{config.strategy.replace(':', '.')}-seed-{config.seed}"


def _run_all(plan: ComparePlan, folder: Path, steps: Steps, told: Callable[[str], None]) -> Iterator[str]:
    """Bring each run to its end; yield a line for each whose pick has no final training."""
    runs = list(plan.runs())
    for number, config in enumerate(runs, start=1):
        place, name = _place(folder, config), f"{config.strategy}, seed {config.seed}"
        is_old = _search(config, place, steps)
        if not _is_final(place, plan.final_trainings):
            is_old = False
            try:
                steps.finish(place, plan.final_trainings)
            except ExecutorError as error:
                yield f"{name}: {error}"
                told(f"{number} of {len(runs)}: {name}: no final training")
                continue
        told(f"{number} of {len(runs)}: {name}: {'already ' if is_old else ''}done")


def _search(config: Config, folder: Path, steps: Steps) -> bool:
    """Bring the search of one run to its end; return whether it was there already."""
    if not _is_begun(folder):
        steps.start(config, folder)
        return False
    if not _is_searched(folder):
        steps.resume(folder)
        return False
    return True


def _is_begun(folder: Path) -> bool:
    if not (folder / "config.yaml").is_file():
        return False
    with History.open(folder) as history:
        return bool(history.children())


def _is_searched(folder: Path) -> bool:
    with History.open(folder) as history:
        return history.state == "finished"


def _is_final(folder: Path, final_trainings: int) -> bool:
    with History.open(folder) as history:
        best = history.best()
        if best is None:
            return False
        done = {one.seed for one in history.evaluations(best.id) if is_done(one)}
        return done.issuperset(final_seeds(history.run.seed, final_trainings))


def _joined(known: ComparePlan, plan: ComparePlan) -> ComparePlan:
    """Return `plan` with what a job has beyond it; the reference is that of the larger one."""
    is_larger = set(known.strategies) <= set(plan.strategies)
    return plan.model_copy(
        update={
            "strategies": tuple(dict.fromkeys((*known.strategies, *plan.strategies))),
            "num_seeds": max(known.num_seeds, plan.num_seeds),
            "reference": plan.reference if is_larger else known.reference,
        }
    )


def _check_same(known: ComparePlan, plan: ComparePlan, folder: Path) -> None:
    """Raise ConfigError if the job was begun with settings that no run of it may change."""
    told = differences(_settings(known), _settings(plan))
    if told:
        raise ConfigError(
            f"{folder} was begun with other settings, which are (then and now) {'; '.join(told)}; "
            "go on with those, or name another run"
        )


def _settings(plan: ComparePlan) -> dict[str, object]:
    settings = flat(plan.config.model_dump(mode="json"))
    first = {"first seed": plan.config.seed, "final trainings": plan.final_trainings}
    return {**settings, **first, "version of FairNAD": plan.fairnad_version}


def _write(path: Path, text: str) -> None:
    """Write `text` so that a kill leaves the old file or the new one."""
    new = path.with_suffix(".new")
    new.write_text(f"{text}\n")
    new.replace(path)
