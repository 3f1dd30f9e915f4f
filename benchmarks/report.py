"""What the scripts of this folder share: a table in Markdown, and where and when it was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

__all__ = ["print_table"]


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table under its title, with machine and date."""
    print(f"### {title}\n\n{machine()}, {date.today().isoformat()}\n")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")
    print(flush=True)


def machine() -> str:
    """Return the processor and the number of its cores that this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")}
    return f"{', '.join(sorted(names))}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
