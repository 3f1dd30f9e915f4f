"""Records to rows and back: one function each way for everything a history holds. Talks to no database."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from fairnad import __version__
from fairnad.records import (
    Child,
    Costs,
    Draft,
    Failed,
    Failure,
    FilledSlot,
    Graph,
    Idea,
    IdeaKind,
    JudgedDraft,
    MutationTarget,
    Node,
    SlotKey,
    Stage,
    Trained,
    Verdict,
)

__all__ = [
    "Evaluation",
    "Event",
    "Purpose",
    "Row",
    "Run",
    "digest",
    "draft_row",
    "evaluation_row",
    "event_row",
    "idea_row",
    "now",
    "read_child",
    "read_draft",
    "read_evaluation",
    "read_event",
    "read_idea",
    "read_key",
    "read_run",
    "run_row",
    "slot_row",
]

Row = dict[str, Any]

Purpose = Literal["search", "rung", "recheck", "retrain"]


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was started with."""

    name: str
    config: Mapping[str, Any]
    seed: int
    dataset: str
    created: str
    fairnad_version: str
    python_version: str
    torch_version: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run, as told to `History.event`."""

    kind: str
    data: Mapping[str, Any]
    created: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One training of one child, by its purpose and seed.

    `fidelity` is the fraction of the full training; `weights` a file, relative to the run's folder.
    """

    outcome: Trained | Failed
    purpose: Purpose
    seed: int
    fidelity: float = 1.0
    init: Literal["scratch", "inherited"] = "scratch"
    weights: str | None = None


def now() -> str:
    """Return the time in the form of all `created` columns."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def digest(source: str) -> str:
    """Return the hash that `source` is stored under."""
    return hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()


def run_row(name: str, config: Mapping[str, object], *, seed: int, dataset: str) -> Row:
    """Return the row of a run that starts now, with the versions of what it runs on."""
    try:
        torch_version = version("torch")
    except PackageNotFoundError:
        torch_version = None
    return {
        "name": name,
        "config": json.dumps(config),
        "seed": seed,
        "dataset": dataset,
        "state": "running",
        "created": now(),
        "fairnad_version": __version__,
        "python_version": platform.python_version(),
        "torch_version": torch_version,
    }


def read_run(row: Row) -> Run:
    """Return the run in `row`."""
    names = ("name", "seed", "dataset", "created", "fairnad_version", "python_version", "torch_version")
    return Run(config=json.loads(row["config"]), **{name: row[name] for name in names})


def event_row(kind: str, data: Mapping[str, object]) -> Row:
    """Return the row of an event that happens now."""
    return {"kind": kind, "data": json.dumps(data), "created": now()}


def read_event(row: Row) -> Event:
    """Return the event in `row`."""
    return Event(row["kind"], json.loads(row["data"]), row["created"])


def slot_row(filled: FilledSlot) -> Row:
    """Return what is stored of a place of the plan itself, whether it was filled or not."""
    seen = {"known": json.dumps(filled.known), "decided": filled.decided, "seen": filled.seen}
    return {**_place(filled), **seen}


def _place(filled: FilledSlot) -> Row:
    key = {"generation": filled.key.generation, "stage": filled.key.stage.value, "slot": filled.key.slot}
    return {**key, "parent": filled.parent, "refines": filled.refines}


def read_key(row: Mapping[str, Any]) -> SlotKey:
    """Return the place of the plan that `row` belongs to."""
    return SlotKey(row["generation"], Stage(row["stage"]), row["slot"])


def idea_row(idea: Idea) -> Row:
    """Return the row of an idea."""
    return {
        "id": idea.id,
        "text": idea.text,
        "kind": idea.kind.value,
        "target": idea.target,
        "granularity": idea.granularity,
        "main": idea.main,
        "sub": idea.sub,
        "sources": json.dumps(idea.sources),
    }


def read_idea(row: Row) -> Idea:
    """Return the idea in `row`."""
    return Idea(**{**row, "kind": IdeaKind(row["kind"]), "sources": tuple(json.loads(row["sources"]))})


def draft_row(filled: FilledSlot, judged: JudgedDraft) -> Row:
    """Return the row of one draft of a slot with its verdict; idea and source are rows of their own."""
    draft = judged.draft
    return {
        **_place(filled),
        "attempt": judged.attempt,
        "rewrite": draft.rewrites,
        "generator": draft.generator,
        "idea": draft.idea.id if draft.idea is not None else None,
        "target": judged.target.value if judged.target is not None else None,
        "source": digest(draft.source),
        "note": draft.note,
        "prompt": draft.prompt,
        "reply": draft.reply,
        **_verdict_row(judged.verdict),
        "created": now(),
    }


def read_draft(row: Row, ideas: Mapping[str, Idea]) -> JudgedDraft:
    """Return the draft in `row`, which also holds the `text` of its source."""
    idea = ideas[row["idea"]] if row["idea"] is not None else None
    draft = Draft(row["text"], row["generator"], idea, row["note"], row["prompt"], row["reply"], row["rewrite"])
    target = MutationTarget(row["target"]) if row["target"] is not None else None
    return JudgedDraft(draft, _read_verdict(row), row["attempt"], target)


def read_child(row: Row, ideas: Mapping[str, Idea], outcome: Trained | Failed | None) -> Child:
    """Return the child in `row`, which also holds its draft and the `text` of its source."""
    return Child(
        id=row["id"],
        key=read_key(row),
        parent=row["parent"],
        refines=row["refines"],
        idea=ideas[row["idea"]] if row["idea"] is not None else None,
        source=row["text"],
        costs=Costs(row["params"], row["flops"]),
        graph_hash=row["graph_hash"],
        step_seconds=row["step_seconds"],
        step_batch=row["step_batch"],
        activations=row["activations"],
        outcome=outcome,
    )


def evaluation_row(child_id: int, evaluation: Evaluation) -> Row:
    """Return the row of an evaluation recorded now."""
    return {
        "child": child_id,
        "purpose": evaluation.purpose,
        "seed": evaluation.seed,
        "fidelity": evaluation.fidelity,
        "init": evaluation.init,
        "weights": evaluation.weights,
        **_outcome_row(evaluation.outcome),
        "created": now(),
    }


def read_evaluation(row: Row) -> Evaluation:
    """Return the evaluation in `row`."""
    names = ("purpose", "seed", "fidelity", "init", "weights")
    return Evaluation(_read_outcome(row), **{name: row[name] for name in names})


def _verdict_row(verdict: Verdict) -> Row:
    return {
        "failure": verdict.failure.value if verdict.failure is not None else None,
        "reason": verdict.reason,
        "details": verdict.details,
        "params": verdict.costs.params if verdict.costs is not None else None,
        "flops": verdict.costs.flops if verdict.costs is not None else None,
        "graph_hash": verdict.graph_hash,
        "graph": _graph_text(verdict.graph) if verdict.graph is not None else None,
        "is_dynamic": verdict.is_dynamic,
        "dead_parameters": json.dumps(verdict.dead_parameters),
        "warnings": json.dumps(verdict.warnings),
        "step_seconds": verdict.step_seconds,
        "step_batch": verdict.step_batch,
        "activations": verdict.graph.activations if verdict.graph is not None else None,
        "seconds": verdict.seconds,
    }


def _read_verdict(row: Row) -> Verdict:
    return Verdict(
        failure=Failure(row["failure"]) if row["failure"] is not None else None,
        reason=row["reason"],
        details=row["details"],
        costs=Costs(row["params"], row["flops"]) if row["params"] is not None else None,
        graph=_read_graph(row["graph"]) if row["graph"] is not None else None,
        graph_hash=row["graph_hash"],
        is_dynamic=bool(row["is_dynamic"]),
        dead_parameters=tuple(json.loads(row["dead_parameters"])),
        warnings=tuple(json.loads(row["warnings"])),
        step_seconds=row["step_seconds"],
        step_batch=row["step_batch"],
        seconds=row["seconds"],
    )


def _graph_text(graph: Graph) -> str:
    nodes = [[node.op, node.inputs, node.shape, node.attributes] for node in graph.nodes]
    return json.dumps({"nodes": nodes, "output": graph.output}, separators=(",", ":"))


def _read_graph(text: str) -> Graph:
    data = json.loads(text)
    nodes = (Node(op, tuple(inputs), tuple(shape), attributes) for op, inputs, shape, attributes in data["nodes"])
    return Graph(tuple(nodes), data["output"])


def _outcome_row(outcome: Trained | Failed) -> Row:
    if isinstance(outcome, Failed):
        row = {"failure": outcome.failure.value, "reason": outcome.reason, "details": outcome.details}
        return {**row, "seconds": outcome.seconds}
    return {
        "accuracy": outcome.accuracy,
        "split": outcome.split,
        "epochs": outcome.epochs,
        "losses": json.dumps(outcome.losses),
        "seconds": outcome.seconds,
        "images_per_second": outcome.images_per_second,
        "peak_memory_bytes": outcome.peak_memory_bytes,
    }


def _read_outcome(row: Row) -> Trained | Failed:
    if row["failure"] is not None:
        return Failed(Failure(row["failure"]), row["reason"], row["details"], row["seconds"])
    return Trained(
        accuracy=row["accuracy"],
        split=row["split"],
        epochs=row["epochs"],
        seed=row["seed"],
        losses=tuple(json.loads(row["losses"])),
        seconds=row["seconds"],
        images_per_second=row["images_per_second"],
        peak_memory_bytes=row["peak_memory_bytes"],
    )
