"""The history of one run: what a search records, and what it, `resume` and `show` read. The only writer of history.db.

Judges nothing and plans nothing. The bodies of its transactions are in steps.py.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, Literal

from sqlite_utils import Database

from fairnad.errors import HistoryError
from fairnad.history import rows, steps
from fairnad.history.calls import CallJournal, TaskCalls, load_spent, load_task_calls
from fairnad.history.content import load_content
from fairnad.history.database import Connection, Reader, Writer, insert
from fairnad.history.lock import locked
from fairnad.history.pass_rates import FailureKind, load_failure_kinds, load_pass_rates
from fairnad.history.rows import Evaluation, Event, Purpose
from fairnad.history.schema import migrate
from fairnad.history.steps import Known
from fairnad.history.totals import Totals, load_rejections, load_totals
from fairnad.llm.spend import Spent
from fairnad.records import Child, Failed, Failure, FilledSlot, SlotKey, Trained

__all__ = ["History"]


class History:
    """One run's record, from `create`, `open` or `in_memory`; close it, or use it in a `with`.

    Every method may be called from any thread, and what it recorded is on the disk when it returns. All of them raise
    HistoryError when the file cannot be read or written.
    """

    def __init__(self, connection: Connection, memory: Known | None) -> None:
        self._connection = connection
        self._memory = memory
        self._resources = ExitStack()
        self.run = connection.run(steps.load_run)

    @classmethod
    def create(cls, folder: Path, *, name: str, config: Mapping[str, object], seed: int, dataset: str) -> History:
        """Start a run in `folder`, which is made if need be, and hold it for writing.

        Raises:
            HistoryError: the folder holds a run already, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(f"{folder}: {error.strerror}; choose a folder that can be written") from error
        row = rows.run_row(name, config, seed=seed, dataset=dataset)
        return cls._hold(folder, lambda db: steps.start(db, row))

    @classmethod
    def open(cls, folder: Path, *, write: bool = False) -> History:
        """Open the run in `folder`, for reading beside its writer, or to hold it for writing.

        A file of an older version is brought up to date first. A new writer marks the attempts that were under way as
        abandoned: whoever ran them is gone.

        Raises:
            HistoryError: there is no run, it is of another version, or (to write) another process holds it.
        """
        path = folder / "history.db"
        if not path.is_file():
            raise HistoryError(f"no run in {folder}: it has no history.db; check the name of the run")
        if write:
            return cls._hold(folder, steps.take_over)
        reader = Reader(path)
        if reader.run(steps.is_outdated):
            cls._hold(folder, migrate).close()
        reader.run(steps.check_readable)
        return cls(reader, None)

    @classmethod
    def is_begun(cls, folder: Path) -> bool:
        """Return whether the run in `folder` has its base; one whose start was cut short has none."""
        path = folder / "history.db"
        return Reader(path).run(lambda db: steps.has_base(db, path))

    @classmethod
    def in_memory(cls, *, config: Mapping[str, object] | None = None, seed: int = 0) -> History:
        """Return a new history that is gone when it is closed."""
        row = rows.run_row("memory", config or {}, seed=seed, dataset="none")
        return cls._hold(None, lambda db: steps.start(db, row))

    @classmethod
    def _hold(cls, folder: Path | None, begin: Callable[[Database], None]) -> History:
        with ExitStack() as stack:
            if folder is not None:
                stack.enter_context(locked(folder))
            writer = Writer(folder / "history.db" if folder is not None else None)
            stack.callback(writer.close)
            writer.run(begin)
            history = cls(writer, writer.run(steps.load_known))
            history._resources = stack.pop_all()
            return history

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is being recorded and let go of the run."""
        self._resources.close()

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration the run was started with."""
        return self.run.config

    @property
    def state(self) -> str:
        """What `set_state` was last told; "running" at first, and still so after a process that was killed."""
        return str(self._connection.run(lambda db: db.execute("SELECT state FROM runs").fetchone()[0]))

    def set_config(self, config: Mapping[str, object]) -> None:
        """Record the configuration that the run goes on with."""
        self._connection.run(lambda db: db.execute("UPDATE runs SET config = ?", (json.dumps(config),)))

    def set_state(self, state: Literal["running", "finished", "stopped"]) -> None:
        """Record whether the run goes on."""
        self._connection.run(lambda db: db.execute("UPDATE runs SET state = ?", (state,)))

    def record_slot(self, filled: FilledSlot) -> Child | None:
        """Record all that happened for one place of the plan; return the child, None when the slot stays empty.

        Children are numbered in the order recorded; the first one is the base.

        Raises:
            HistoryError: the slot is recorded already, names a child that does not exist, or chose a refused draft.
        """
        return self._connection.run(
            lambda db: steps.insert_slot(db, filled, self._held()),
            then=lambda child: self._remember_slot(filled.key, child),
        )

    def record_outcome(
        self,
        child_id: int,
        outcome: Trained | Failed,
        *,
        purpose: Purpose = "search",
        seed: int | None = None,
        fidelity: float = 1.0,
        init: Literal["scratch", "inherited"] = "scratch",
        weights: str | None = None,
        attempt: int | None = None,
        at: float | None = None,
    ) -> None:
        """Record what came of one training, once for a child, purpose and seed; end its `attempt` with it, now or `at`.

        A training that failed has the `seed` given here, else the run's. The other fields are those of `Evaluation`.

        Raises:
            HistoryError: there is no such child, or its evaluation of this purpose and seed is recorded already.
        """
        given = self.run.seed if seed is None else seed
        known = outcome.seed if isinstance(outcome, Trained) else given
        evaluation = Evaluation(outcome, purpose, known, fidelity, init, weights)

        def step(db: Database) -> None:
            steps.insert_evaluation(db, steps.find(self._held().children, child_id), evaluation)
            if attempt is not None:
                steps.end_attempt(db, attempt, "finished" if isinstance(outcome, Trained) else "failed", _time(at))

        self._connection.run(step, then=lambda _: self._remember_outcome(child_id, evaluation))

    def attempt_started(self, child_id: int, device: str, *, at: float | None = None) -> int:
        """Record that a training took its place on `device`, now or `at` (epoch seconds); return its number."""
        row: dict[str, object] = {"child": child_id, "state": "running", "device": device, "started": _time(at)}
        return self._connection.run(lambda db: insert(db, "attempts", row))

    def attempt_ended(
        self, attempt: int, state: Literal["finished", "failed", "abandoned"], *, at: float | None = None
    ) -> None:
        """Record that an attempt ended, now or `at` (seconds since the epoch).

        Raises:
            HistoryError: the attempt is not under way.
        """
        self._connection.run(lambda db: steps.end_attempt(db, attempt, state, _time(at)))

    def event(self, kind: str, **data: object) -> None:
        """Record that something happened; `data` must be JSON."""
        row = rows.event_row(kind, data)
        self._connection.run(lambda db: insert(db, "events", row))

    def children(self) -> tuple[Child, ...]:
        """Return all children in the order of their ids, with their outcomes of purpose "search"."""
        return self._known().children

    def child(self, child_id: int) -> Child:
        """Return one child.

        Raises:
            HistoryError: there is no such child.
        """
        return steps.find(self._known().children, child_id)

    def slots(self) -> frozenset[SlotKey]:
        """Return the places of the plan that are done: filled, or left empty."""
        return self._known().slots

    def slot(self, key: SlotKey) -> FilledSlot | None:
        """Return all that was recorded for one place of the plan, or None if it is not done."""
        return self._connection.run(lambda db: steps.load_slot(db, key))

    def evaluations(self, child_id: int) -> tuple[Evaluation, ...]:
        """Return every evaluation of a child, of any purpose, in the order recorded."""
        found = self._connection.run(lambda db: steps.load_evaluations(db, "child = ?", (child_id,)))
        return tuple(evaluation for _, evaluation in found)

    def num_drafts(self) -> int:
        """Return how many drafts are recorded: the `seen` of a decision that is taken now."""
        return int(self._connection.run(lambda db: db.execute("SELECT count(*) FROM drafts").fetchone()[0]))

    def decisions(self) -> dict[SlotKey, steps.Decided]:
        """Return what the places of the plan were decided by, in the order recorded; the base is not among them."""
        return self._connection.run(steps.load_decisions)

    def used_ideas(self, *, seen: int | None = None) -> dict[int, frozenset[str]]:
        """Return the ids of the ideas that each child was mutated by, refused drafts included; a new dict each time.

        Of what was recorded after the first `seen` drafts only the idea that each slot began with is among them.
        """
        return self._connection.run(lambda db: steps.load_used_ideas(db, seen))

    def graph_hashes(self, *, seen: int | None = None) -> frozenset[str]:
        """Return the hashes of the graphs of the children, the base included; of the first `seen` drafts alone."""
        if seen is None:
            return frozenset(child.graph_hash for child in self.children())
        return self._connection.run(lambda db: steps.load_graph_hashes(db, seen))

    def best(self) -> Child | None:
        """Return the first of `leaderboard`, or None."""
        return next(iter(self.leaderboard()), None)

    def leaderboard(self) -> tuple[Child, ...]:
        """Return the trained children, the best first; ties go to smaller FLOPs, then to the smaller id.

        Those trained again (purpose "recheck") come first, by the mean of all their trainings.
        """
        means, ranked = self.rechecked(), self.ranked()
        again = [child for child in ranked if child.id in means]
        again.sort(key=lambda child: (-means[child.id], child.costs.flops, child.id))
        return (*again, *(child for child in ranked if child.id not in means))

    def ranked(self) -> tuple[Child, ...]:
        """Return the trained children by the validation accuracy of the search's training, the highest first."""
        trained = [(child.accuracy, child) for child in self.children() if child.accuracy is not None]
        return tuple(
            child for _, child in sorted(trained, key=lambda pair: (-pair[0], pair[1].costs.flops, pair[1].id))
        )

    def rechecked(self) -> dict[int, float]:
        """Return the mean validation accuracy of each child that was trained again: of all its trainings, by id."""
        # fmean rounds once: the order in which several slots ended must not decide a tie.
        return {child_id: fmean(accuracies) for child_id, accuracies in self.rechecked_accuracies().items()}

    def rechecked_accuracies(self) -> dict[int, list[float]]:
        """Return the validation accuracies of all trainings of each child that was trained again, by id."""
        found = self._connection.run(
            lambda db: steps.load_evaluations(db, "purpose IN ('search', 'recheck') AND accuracy IS NOT NULL")
        )
        again = {child_id for child_id, evaluation in found if evaluation.purpose == "recheck"}
        accuracies: dict[int, list[float]] = {child_id: [] for child_id in sorted(again)}
        for child_id, evaluation in found:
            if child_id in again and isinstance(evaluation.outcome, Trained):
                accuracies[child_id].append(evaluation.outcome.accuracy)
        return accuracies

    def events(self, kind: str | None = None) -> tuple[Event, ...]:
        """Return the events, or those of one kind, in the order recorded."""
        found = self._connection.run(lambda db: list(db.query("SELECT * FROM events ORDER BY id")))
        return tuple(rows.read_event(row) for row in found if kind in (None, row["kind"]))

    def journal(self, model: str = "") -> CallJournal:
        """Return where the calls of the language model `model` are written down."""
        return CallJournal(self._connection, model)

    def spent(self) -> Spent:
        """Return what the calls of the language model took by now."""
        return self._connection.run(load_spent)

    def task_calls(self) -> tuple[TaskCalls, ...]:
        """Return the sums of the calls of the language model by task, the one with the most tokens first."""
        return self._connection.run(load_task_calls)

    def rejections(self) -> dict[Failure, int]:
        """Return the number of refused drafts by stage of failure, the most frequent first."""
        return self._connection.run(load_rejections)

    def content(self) -> dict[str, list[dict[str, object]]]:
        """Return the rows of the tables that a replay must arrive at, without what depends on time or machine."""
        return self._connection.run(load_content)

    def pass_rates(self) -> dict[str, tuple[int, int]]:
        """Return for each task of a language model how many replies became drafts, and how many were accepted."""
        return self._connection.run(load_pass_rates)

    def failure_kinds(self) -> Counter[FailureKind]:
        """Return how often each kind of failure refused a draft of a language model."""
        return self._connection.run(load_failure_kinds)

    def totals(self) -> Totals:
        """Return the sums of the run: children, drafts, time and spend."""
        return self._connection.run(load_totals)

    def _held(self) -> Known:
        if self._memory is None:
            raise HistoryError(f"run {self.run.name!r} was opened for reading; open it with write=True to record")
        return self._memory

    def _known(self) -> Known:
        return self._memory or self._connection.run(steps.load_known)

    def _remember_slot(self, key: SlotKey, child: Child | None) -> None:
        memory = self._held()
        children = memory.children if child is None else (*memory.children, child)
        self._memory = Known(children, memory.slots | {key})

    def _remember_outcome(self, child_id: int, evaluation: Evaluation) -> None:
        memory = self._held()
        child = memory.children[child_id]
        if evaluation.purpose == "search" and not isinstance(child.outcome, Trained):
            child = replace(child, outcome=evaluation.outcome)
            children = (*memory.children[:child_id], child, *memory.children[child_id + 1 :])
            self._memory = Known(children, memory.slots)


def _time(at: float | None) -> float:
    return time.time() if at is None else at
