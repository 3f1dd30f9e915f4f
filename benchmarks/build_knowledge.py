"""A build of knowledge against an endpoint of this machine: how near to what its latency allows, and kill -9.

python benchmarks/build_knowledge.py [papers] [kills]

The endpoint answers after a second, 64 calls at once; the papers are short texts, so that reading them is no part of
the measurement. The second table kills smaller builds at random moments and goes on with each.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from report import print_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.knowledge.build.librarian import librarian, write_papers

FAIRNAD = Path(sys.executable).with_name("fairnad")
TIMES = {"created", "latency_seconds"}


def start(folder: Path, url: str, *, out: Path, parallel: int) -> subprocess.Popen[bytes]:
    """Start a build."""
    options = ["--out", out, "--llm", url, "--set", f"llm.concurrency={parallel}"]
    return subprocess.Popen(
        [str(part) for part in (FAIRNAD, "build-knowledge", folder, *options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def told(out: Path) -> dict[str, object]:
    """Return all that a build says, times apart: every table of its database, and its result."""
    connection = sqlite3.connect(out / "knowledge.db")
    connection.row_factory = sqlite3.Row
    try:
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found: dict[str, object] = {
            table: sorted(
                repr({name: row[name] for name in row.keys() if name not in TIMES})  # noqa: SIM118 - a row is no mapping
                for row in connection.execute(f"SELECT * FROM {table}")
            )
            for table in tables
        }
    finally:
        connection.close()
    results = [out / name for name in ("ideas.jsonl", "attributes.json")]
    return found | {path.name: path.read_text() for path in results if path.exists()}


def num_rows(out: Path, table: str) -> int:
    """Return the number of rows of a table; 0 where there is none yet."""
    if not (out / "knowledge.db").exists():
        return 0
    connection = sqlite3.connect(out / "knowledge.db")
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def calling_seconds(out: Path) -> float:
    """Return the time from the beginning of the first call to the end of the last one."""
    connection = sqlite3.connect(out / "knowledge.db")
    try:
        rows = connection.execute("SELECT created, latency_seconds FROM calls").fetchall()
    finally:
        connection.close()
    ends = [datetime.fromisoformat(created).timestamp() for created, _ in rows]
    return max(ends) - min(end - latency for end, (_, latency) in zip(ends, rows, strict=True))


def measure(scratch: Path, num_papers: int, *, latency: float = 1.0, parallel: int = 64) -> None:
    """Print how long a build takes beside calls x latency / parallel."""
    papers, out = scratch / "papers", scratch / "out"
    write_papers(papers, num_papers)
    with librarian(latency_seconds=latency) as url:
        began = time.monotonic()
        status = start(papers, url, out=out, parallel=parallel).wait()
        seconds = time.monotonic() - began
        began = time.monotonic()
        again = start(papers, url, out=out, parallel=parallel).wait()
        seconds_again = time.monotonic() - began
    calls = num_rows(out, "calls")
    least, calling = calls * latency / parallel, calling_seconds(out)
    print_table(
        f"A build of {num_papers} papers, {parallel} calls at once of {latency:g} s each",
        ("what", "measured", "must hold"),
        [
            ("exit status, first and second build", f"{status}, {again}", "0, 0"),
            ("calls", calls, ""),
            ("calls x latency / parallel", f"{least:.1f} s", ""),
            ("from the first call to the end of the last", f"{calling:.1f} s: {calling / least:.3f}", "<= 1.05"),
            ("from the start of the process to its end", f"{seconds:.1f} s: {seconds / least:.3f}", ""),
            ("the same build again, which asks nothing", f"{seconds_again:.1f} s", ""),
        ],
    )


def kill(scratch: Path, kills: int, *, num_papers: int = 100, latency: float = 0.5, parallel: int = 8) -> None:
    """Kill builds at random moments, go on with each, and compare with one that was not killed."""
    papers = scratch / "papers"
    write_papers(papers, num_papers)
    rng = random.Random(0)
    rows = []
    with librarian(latency_seconds=latency) as url:
        began = time.monotonic()
        if start(papers, url, out=scratch / "whole", parallel=parallel).wait() != 0:
            sys.exit("the build without a kill failed")
        seconds = time.monotonic() - began
        expected = told(scratch / "whole")
        for number in range(kills):
            out = scratch / str(number)
            process = start(papers, url, out=out, parallel=parallel)
            when = rng.uniform(0.2, 0.98) * seconds
            time.sleep(when)
            process.kill()
            process.wait()
            then = (num_rows(out, "steps"), num_rows(out, "calls"))
            status = start(papers, url, out=out, parallel=parallel).wait()
            rows.append((number, f"{when:.1f} s", *then, status, told(out) == expected))
    print_table(
        f"kill -9 at random moments of a build of {seconds:.0f} s, then the same command",
        ("kill", "after", "steps then", "calls then", "exit status", "same database and result"),
        rows,
    )


def main(num_papers: int, kills: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if num_papers:
            measure(Path(scratch) / "measure", num_papers)
        if kills:
            kill(Path(scratch) / "kill", kills)


if __name__ == "__main__":
    main(*(int(sys.argv[place]) if len(sys.argv) > place else default for place, default in ((1, 1149), (2, 20))))
