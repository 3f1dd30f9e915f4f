"""A finished search once more, from its journal and its recorded evaluations: no LLM is asked and nothing is trained.

The drafts are written and verified anew, so the same history can come out only if every decision was a function of
what is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairnad.config import Config, read_config
from fairnad.errors import HistoryError
from fairnad.executors.recorded import RecordedExecutor
from fairnad.history.lock import standing
from fairnad.history.store import History
from fairnad.records import FilledSlot, JudgedDraft, SlotKey, Stage
from fairnad.sandbox.launch import Sandbox
from fairnad.search.data import known_data, open_data
from fairnad.search.loop import Search
from fairnad.search.progress import Observer, Progress
from fairnad.search.recheck import recheck
from fairnad.search.run import make_tools, make_verifier
from fairnad.search.schedule import RecordedSchedule, Schedule
from fairnad.search.setting import settle
from fairnad.verification.base import Known

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: how many rows of each table are the same, and the differences in words."""

    rows: dict[str, int]
    differences: tuple[str, ...]


def replay(folder: Path, *, observer: Observer | None = None) -> Replayed:
    """Run the search in `folder` again in memory, and compare the histories row by row, times apart.

    Raises:
        HistoryError: the run is not finished, or holds no base.
        LLMError: a call that is asked for now was not recorded.
    """
    with History.open(folder) as source:
        if source.state != "finished":
            raise HistoryError(f"only a finished search can be replayed; {folder}: {standing(folder, source.state)}")
        config = read_config(folder / "config.yaml")
        with Sandbox(memory_bytes=config.verification.memory_bytes) as sandbox:
            sandbox.start()
            with History.in_memory(config=source.config, seed=config.seed) as again:
                _replay(config, source, again, sandbox, observer)
                return _compare(source, again)


def _replay(config: Config, source: History, again: History, sandbox: Sandbox, observer: Observer | None) -> None:
    setting = settle(config)
    dataset = known_data(source) or open_data(sandbox, config)
    base = source.slot(SlotKey(0, Stage.BASE, 0))
    assert base is not None  # a run is created with it
    draft = base.drafts[0].draft
    verdict = make_verifier(sandbox, dataset, config).judge(draft.source, Known())
    again.record_slot(FilledSlot(base.key, None, None, (JudgedDraft(draft, verdict, attempt=0),), chosen=0))
    executor = RecordedExecutor(source)
    schedule: Schedule | None = None
    if config.schedule != "stage":
        schedule = RecordedSchedule(setting.config.plan, source.decisions())
    with make_tools(setting, again, sandbox, dataset, executor, replayed=source) as tools:
        Search(setting.config, tools, Progress(config.budget, 1, observer), schedule=schedule).run()
        recheck(again, executor, setting.config, dataset.num_train)


def _compare(source: History, again: History) -> Replayed:
    expected, found = source.content(), again.content()
    differences = []
    for table, rows in expected.items():
        if table == "evaluations":  # what was trained after the search is not its own
            rows = [row for row in rows if row["purpose"] != "retrain"]
        if len(rows) != len(found[table]):
            differences.append(f"{table}: {len(rows)} rows, now {len(found[table])}")
        for row, other in zip(rows, found[table], strict=False):
            names = [name for name in row if row[name] != other[name]]
            if names:
                differences.append(f"{table} {row.get('id', row.get('child'))}: {', '.join(names)}")
    return Replayed({table: len(rows) for table, rows in found.items()}, tuple(differences))
