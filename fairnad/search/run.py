"""Setting a search up and seeing it through: a new one in an empty folder, or one that was stopped."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fairnad.architectures.bases import base_source
from fairnad.config import Config, dump_config, read_config
from fairnad.errors import ConfigError, HistoryError, name_of
from fairnad.executors.base import EXECUTORS, Executor
from fairnad.generators.fit import Direction, Measure, fit
from fairnad.history.database import Database, Reader
from fairnad.history.export import export
from fairnad.history.lock import LOCK, locked
from fairnad.history.schema import TABLES
from fairnad.history.store import History
from fairnad.knowledge.ideas import SamplingLevel
from fairnad.mutations.base import Workshop
from fairnad.plugins import load
from fairnad.records import (
    Child,
    Costs,
    DatasetInfo,
    DataShape,
    Draft,
    Failure,
    FilledSlot,
    JudgedDraft,
    Limits,
    SlotKey,
    Stage,
    Verdict,
)
from fairnad.sandbox.launch import Sandbox
from fairnad.sandbox.wire import MeasureJob
from fairnad.search.data import known_data, open_data, record_data
from fairnad.search.loop import Search, Tools
from fairnad.search.progress import Observer, Progress
from fairnad.search.recheck import recheck
from fairnad.search.setting import Setting, check_names, settle, take_changes
from fairnad.search.writers import Model, connected, writer
from fairnad.verification.base import Known
from fairnad.verification.verifier import NetworkShape, Verifier

__all__ = [
    "export_child",
    "fvcore_flops",
    "make_executor",
    "make_tools",
    "make_verifier",
    "resume_search",
    "start_search",
]

logger = logging.getLogger(__name__)

_MEASURE_SECONDS = 120.0

_DATABASE = "history.db"
_OF_A_START = ("config.yaml", "log.jsonl", f"{_DATABASE}-shm", f"{_DATABASE}-wal", f"{_DATABASE}-journal", _DATABASE)
"""What a start may have written beside its lock before it recorded the base."""


def start_search(config: Config, folder: Path, *, observer: Observer | None = None) -> Child:
    """Search in the new run folder `folder`, and return the best child.

    Nothing is written to `folder` before the data set is there and the base is verified.

    Raises:
        ConfigError: the base, the limits or another setting cannot be used.
        DatasetError: the data set cannot be had.
        HistoryError: `folder` cannot be written, or is a run already.
    """
    if folder.exists() and any(folder.iterdir()):
        _clear(folder)
    config = config.with_absolute_paths()
    setting = settle(config)
    check_names(setting.config)
    with Sandbox(memory_bytes=config.verification.memory_bytes) as sandbox, connected(config) as model:
        sandbox.start()
        base = _base_draft(setting.config)
        dataset = open_data(sandbox, config)
        if setting.config.base.widened:
            base = _widened(base, config.limits, _measure(sandbox, dataset))
        verdict = make_verifier(sandbox, dataset, config).judge(base.source, Known())
        _check_base(base, verdict, config.limits)
        with History.create(
            folder, name=folder.name, config=config.model_dump(mode="json"), seed=config.seed, dataset=config.dataset
        ) as history:
            record_data(history, dataset)
            (folder / "config.yaml").write_text(dump_config(config))
            judged = JudgedDraft(base, verdict, attempt=0)
            history.record_slot(FilledSlot(SlotKey(0, Stage.BASE, 0), None, None, (judged,), chosen=0))
            return _search(setting, history, sandbox, dataset, folder, observer, model)


def _clear(folder: Path) -> None:
    """Take away what a start left that was killed before it recorded its base, and nothing else.

    Raises:
        HistoryError: `folder` holds anything else, or a start is under way there.
    """
    if _was_cut_short(folder):
        with locked(folder):  # a start that is under way has no base yet either; the lock itself stays
            if _was_cut_short(folder):
                for name in _OF_A_START:
                    (folder / name).unlink(missing_ok=True)
                return
    raise HistoryError(
        f"{folder} exists and is not empty; `fairnad resume {name_of(folder)}` goes on with a run, or name another"
    )


def _was_cut_short(folder: Path) -> bool:
    """Return whether all that `folder` holds is of a start that recorded no base."""
    found = {path.name: path for path in folder.iterdir()}
    if not found.keys() <= {LOCK, *_OF_A_START} or not all(path.is_file() for path in found.values()):
        return False
    if _DATABASE not in found:
        return found.keys() == {LOCK}
    tables = set(Reader(found[_DATABASE]).run(Database.table_names))
    return tables in (set(), TABLES) and not History.is_begun(folder)


def resume_search(folder: Path, *, observer: Observer | None = None, data_root: str | None = None) -> Child:
    """Go on with the run in `folder`, and return its best child; `data_root`: where its data are by now.

    A finished run is left as it is, unless its config.yaml was given a larger budget.

    Raises:
        HistoryError: `folder` is no run, is in use, or was made by a newer version.
        ConfigError: its config.yaml was changed where that would make it another search.
    """
    with History.open(folder, write=True) as history:
        config = read_config(folder / "config.yaml")
        is_changed = take_changes(history, config)
        if history.state == "finished" and not is_changed and (best := history.best()) is not None:
            return best
        config = config.with_data_in(data_root)
        setting = settle(config)
        check_names(setting.config)
        with Sandbox(memory_bytes=config.verification.memory_bytes) as sandbox, connected(config) as model:
            sandbox.start()
            dataset = open_data(sandbox, config, history)
            return _search(setting, history, sandbox, dataset, folder, observer, model)


def export_child(folder: Path, child_id: int | None, out: Path) -> tuple[Path, ...]:
    """Write child `child_id` of the run in `folder`, the best one without an id, to `out`; return the files.

    Raises:
        HistoryError: there is no such child, or none is trained yet.
        ConfigError: `out` is not empty.
    """
    with History.open(folder) as history:
        child = history.best() if child_id is None else history.child(child_id)
        if child is None:
            raise HistoryError(f"no network of {folder} is trained yet; name a child, or wait")
        config = read_config(folder / "config.yaml")
        with Sandbox() as sandbox:
            dataset = known_data(history) or open_data(sandbox, config)
            flops = fvcore_flops(sandbox, child, dataset)
    return export(folder, child, out, dataset=dataset, limits=config.limits, fvcore_flops=flops)


def fvcore_flops(sandbox: Sandbox, child: Child, dataset: DataShape) -> int | None:
    """Return fvcore's own count of the FLOPs of `child`; None where it cannot count them."""
    job = MeasureJob(
        sources=(child.source,), input_shape=dataset.input_shape, num_classes=dataset.num_classes, with_fvcore=True
    )
    (flops,) = sandbox.run(job, timeout_seconds=_MEASURE_SECONDS).fvcore_flops or (None,)
    return flops


def make_executor(setting: Setting, sandbox: Sandbox, dataset: DatasetInfo, folder: Path) -> Executor:
    """Return the executor of `setting`, whose trainings keep their files in `folder`/children."""
    config = setting.config
    logger.info("%d slots: %s", len(setting.places), "; ".join(str(place) for place in setting.places))
    executor: Executor = load(config.executor.name, EXECUTORS, what="executor")(
        sandbox=sandbox,
        dataset=dataset,
        recipe=config.recipe,
        config=config.executor,
        places=setting.places,
        folder=folder / "children",
    )
    return executor


def _search(
    setting: Setting,
    history: History,
    sandbox: Sandbox,
    dataset: DatasetInfo,
    folder: Path,
    observer: Observer | None,
    model: Model | None,
) -> Child:
    config = setting.config
    executor = make_executor(setting, sandbox, dataset, folder)
    progress = Progress(config.budget, executor.num_slots, observer)
    with (
        _noted(history),
        contextlib.closing(executor),
        make_tools(setting, history, sandbox, dataset, executor, model=model) as tools,
    ):
        best = Search(config, tools, progress).run()
        recheck(history, executor, config, dataset.num_train, told=progress.change)
    return history.best() or best


@contextlib.contextmanager
def make_tools(
    setting: Setting,
    history: History,
    sandbox: Sandbox,
    dataset: DataShape,
    executor: Executor,
    *,
    model: Model | None = None,
    replayed: History | None = None,
) -> Iterator[Tools]:
    """Yield what a search works with; where one is `replayed`, its journal answers for the language model."""
    config = setting.config
    measure = _measure(sandbox, dataset)
    level = SamplingLevel.NONE if config.ideas.source == "flat" else SamplingLevel(config.ideas.level)
    with writer(setting, dataset, measure, history, model=model, replayed=replayed) as (generator, model_judge):
        yield Tools(
            history=history,
            executor=executor,
            generator=generator,
            verifier=make_verifier(sandbox, dataset, config),
            workshop=Workshop(setting.ideas, level, config.limits, config.plan),
            num_train_images=dataset.num_train,
            model_judge=model_judge,
        )


def _measure(sandbox: Sandbox, dataset: DataShape) -> Measure:
    """Return what counts the costs of sources on `dataset`."""

    def measure(sources: Sequence[str]) -> Sequence[Costs | None]:
        job = MeasureJob(sources=tuple(sources), input_shape=dataset.input_shape, num_classes=dataset.num_classes)
        return sandbox.run(job, timeout_seconds=_MEASURE_SECONDS).costs or (None,) * len(sources)

    return measure


@contextlib.contextmanager
def _noted(history: History) -> Iterator[None]:
    """Keep the state of the run true: running, then finished, or stopped by whatever ended it."""
    history.set_state("running")
    is_finished = False
    try:
        yield
        is_finished = True
    finally:
        history.set_state("finished" if is_finished else "stopped")


def make_verifier(sandbox: Sandbox, dataset: DataShape, config: Config) -> Verifier:
    """Return the judge of sources on `dataset`."""
    shape = NetworkShape(dataset.input_shape, dataset.num_classes, config.recipe.batch_size, config.recipe.precision)
    return Verifier(sandbox, shape, config.limits, config.verification)


def _base_draft(config: Config) -> Draft:
    if config.base.file is None:
        source = base_source(config.base.name, width=config.base.width, depth=config.base.depth)
        return Draft(
            source, "base", None, note=f"{config.base.name}, width {config.base.width}, depth {config.base.depth}"
        )
    path = Path(config.base.file)
    try:
        return Draft(path.read_text(), "base", None, note=path.name)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"base {path} cannot be read: {reason}") from error


def _widened(base: Draft, limits: Limits, measure: Measure) -> Draft:
    source = fit(base.source, limits, measure, direction=Direction.WIDTHS)
    if source is None:
        raise ConfigError(
            f"the base ({base.note}) cannot be widened: there are no limits, or it has no widths to change"
        )
    return replace(base, source=source, note=f"{base.note}, widened to the limits")


def _check_base(base: Draft, verdict: Verdict, limits: Limits) -> None:
    if verdict.is_accepted:
        return
    if verdict.failure is Failure.BUDGET:
        what = verdict.reason.split(";")[0]
        raise ConfigError(f"the base ({base.note}) does not fit: {what}; raise the limit or take a smaller base")
    stage = verdict.failure.value if verdict.failure else ""
    details = f"\n{verdict.details.rstrip()}" if verdict.details else ""
    raise ConfigError(f"the base ({base.note}) does not verify: {stage}: {verdict.reason}{details}")
