"""The demo as a user sees it: wall time, children, where slot time goes, the controller's memory.

python benchmarks/demo.py [FOLDER]    (the run is kept in FOLDER/runs/demo)
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from report import print_table

from fairnad.history.store import History

FAIRNAD = Path(sys.executable).with_name("fairnad")
MIB = 2**20


def run_demo(folder: Path) -> tuple[float, int]:
    """Run the demo in `folder`; return its seconds and the peak resident bytes of the controller."""
    began = time.monotonic()
    process = subprocess.Popen([FAIRNAD, "search", "--config", "demo", "--run", "demo"], cwd=folder)
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_peak(process.pid))
        time.sleep(0.2)
    if process.returncode != 0:
        sys.exit(f"the demo ended with status {process.returncode}")
    return time.monotonic() - began, peak


def resident_peak(pid: int) -> int:
    """Return the peak resident bytes of a process, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def help_seconds(times: int = 7) -> float:
    """Return the median time of `fairnad --help`."""
    seconds = []
    for _ in range(times):
        began = time.monotonic()
        subprocess.run([FAIRNAD, "--help"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def main(folder: Path) -> None:
    seconds, peak = run_demo(folder)
    with History.open(folder / "runs" / "demo") as history:
        children, stages = history.children(), history.events("stage")
        verdicts = [
            judged.verdict.seconds for child in children if (slot := history.slot(child.key)) for judged in slot.drafts
        ]
        rejections = history.rejections()
    spent = {key: sum(event.data[key] for event in stages) for key in ("training", "barrier", "drafting")}
    total = sum(spent.values())
    by_stage = Counter(child.key.stage.value for child in children if child.accuracy is not None)
    best = max(child.accuracy or 0 for child in children)
    rows = [
        ("wall time", f"{seconds:.0f} s", "<= 300 s"),
        ("trained children by stage", dict(by_stage), "28 in all stages, and the base"),
        *((f"slot time: {key}", f"{100 * value / total:.1f} %", "") for key, value in spent.items()),
        ("slot time in training", f"{100 * spent['training'] / total:.1f} %", ">= 85 %"),
        ("verification in the demo, median", f"{statistics.median(verdicts):.2f} s of {len(verdicts)}", "<= 0.5 s"),
        ("rejections", {failure.value: count for failure, count in rejections.items()}, ""),
        ("controller's peak memory", f"{peak / MIB:.0f} MiB", "< 250 MB"),
        ("fairnad --help, median of 7", f"{help_seconds():.2f} s", "<= 0.5 s"),
        ("base -> best, validation", f"{100 * (children[0].accuracy or 0):.2f} -> {100 * best:.2f} %", ""),
    ]
    print_table("The demo", ("what", "measured", "must hold"), rows)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch))
