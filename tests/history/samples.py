"""Slots and outcomes to record, and a history that another process writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fairnad.records import (
    Costs,
    Draft,
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

CREATE = {"name": "sample", "config": {"plan": {"initial": 4}}, "seed": 3, "dataset": "digits"}
GRAPH = Graph((Node("input", (), (1, 3, 8, 8)), Node("convolution", (0,), (1, 4, 8, 8), '{"stride":[1,1]}')), 1)
SOURCE = "class Network: ..."


def idea(name: str = "squeeze", *, main: str | None = "attention") -> Idea:
    return Idea(name, f"Try {name}.", IdeaKind.KNOWLEDGE, "performance", "block", main, "channel", ("paper:1",))


def accepted(
    tag: str, *, of: Idea | None = None, params: int = 100, flops: int = 1000, source: str | None = None
) -> JudgedDraft:
    draft = Draft(source or f"{SOURCE}  # {tag}", "rules", of, note=f"made {tag}", prompt="p", reply="r", rewrites=1)
    verdict = Verdict(
        None,
        costs=Costs(params, flops),
        graph=GRAPH,
        graph_hash=f"hash of {tag}",
        is_dynamic=True,
        dead_parameters=("head.bias",),
        warnings=("slow",),
        step_seconds=0.25,
        step_batch=16,
        seconds=1.5,
    )
    return JudgedDraft(draft, verdict, attempt=1, target=MutationTarget.NEW_MODULE if of else None)


def refused(tag: str, failure: Failure = Failure.BUDGET, *, of: Idea | None = None) -> JudgedDraft:
    verdict = Verdict(failure, "make it smaller", "Traceback ...", seconds=0.5)
    return JudgedDraft(Draft(f"{SOURCE}  # {tag}", "rules", of), verdict, attempt=0)


def base_slot() -> FilledSlot:
    return FilledSlot(SlotKey(0, Stage.BASE, 0), None, None, (accepted("base"),), 0)


def child_slot(number: int, *, parent: int = 0, refines: int | None = None, main: str = "attention") -> FilledSlot:
    """A slot with a refused draft and its accepted rewrite."""
    of = idea(f"idea {main}", main=main)
    drafts = (refused(f"{number} at first", of=of), accepted(str(number), of=of, params=100 + number))
    return FilledSlot(SlotKey(1, Stage.FAIR, number), parent, refines, drafts, 1, known=(0,))


def trained(accuracy: float = 0.5, *, seed: int = 3) -> Trained:
    return Trained(accuracy, "val", 2, seed, (1.0, 0.25), 10.0, 100.0, 2**20)


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process that runs `code` from the root of the repository; it lives on while its stdin is open."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
