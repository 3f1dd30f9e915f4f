"""kill -9 of a search at random moments, then `resume`: is the history the same as without the kill?

The demo's plan with one epoch a training, so that many kills fit into the time.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import print_table

from fairnad.history.store import History

FAIRNAD = Path(sys.executable).with_name("fairnad")
SEARCH = ["search", "--config", "demo", "--set", "recipe.epochs=1", "--budget", "8", "--run", "demo"]


def told(folder: Path) -> list[tuple[object, ...]]:
    """Return all that a history says, times apart."""
    with History.open(folder) as history:
        rows: list[tuple[object, ...]] = []
        for child in history.children():
            slot = history.slot(child.key)
            drafts = [
                (
                    j.attempt,
                    j.draft.source,
                    j.draft.idea,
                    j.draft.note,
                    j.verdict.failure,
                    j.verdict.reason,
                    j.verdict.graph_hash,
                )
                for j in (slot.drafts if slot else ())
            ]
            outcomes = [
                (
                    one.purpose,
                    one.seed,
                    getattr(one.outcome, "accuracy", one.outcome),
                    getattr(one.outcome, "losses", None),
                )
                for one in history.evaluations(child.id)
            ]
            rows.append((child.id, child.key, child.parent, child.refines, drafts, outcomes))
        return [*rows, ("slots", sorted(history.slots()))]


def start(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start fairnad in `folder`."""
    return subprocess.Popen([FAIRNAD, *arguments], cwd=folder, stdout=subprocess.DEVNULL)


def main(kills: int = 10) -> None:
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        began = time.monotonic()
        if start(whole, SEARCH).wait() != 0:
            sys.exit("the search without a kill failed")
        seconds = time.monotonic() - began
        expected = told(whole / "runs" / "demo")
        rows = []
        for number in range(kills):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            process = start(folder, SEARCH)
            when = rng.uniform(0.15, 0.95) * seconds
            time.sleep(when)
            process.send_signal(signal.SIGKILL)
            process.wait()
            run = folder / "runs" / "demo"
            before = told(run) if (run / "history.db").exists() else []
            again = start(folder, ["resume", "demo"] if before else SEARCH)
            status = again.wait()
            after = told(run)
            finished = sum(bool(row[-1]) for row in before[:-1])
            children = len(before) - 1 if before else "no history yet"
            rows.append((number, f"{when:.1f} s", children, finished, status, after == expected))
    print_table(
        f"kill -9 at random moments of a search of {seconds:.0f} s, then resume, or the search where nothing is yet",
        ("kill", "after", "children then", "evaluations then", "exit status", "same final history"),
        rows,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
