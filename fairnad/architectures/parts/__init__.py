"""Layers that generated networks are made with: plain PyTorch modules beside this file, read as text, never imported.

Each class stands for itself: it needs torch, and no other class here.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fairnad.architectures.source import Source

__all__ = ["PART_FILES", "part_source", "part_sources"]

PART_FILES = ("convolutions.py", "recalibration.py", "attention.py", "stages.py")


@lru_cache(maxsize=1)
def part_sources() -> dict[str, str]:
    """Return the source of every class of the files, by name."""
    files = [Source(Path(__file__).with_name(name).read_text(encoding="utf-8")) for name in PART_FILES]
    return {name: file.code(node) for file in files for name, node in file.classes.items()}


def part_source(name: str) -> str:
    """Return the source of the class `name`."""
    return part_sources()[name]
