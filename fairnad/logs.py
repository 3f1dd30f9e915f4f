"""Logging of a command: lines for people on the console, `log.jsonl` in the run folder for tools."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["log_to"]

_DATABASES = ("history.db", "knowledge.db")


class _JsonLines(logging.Handler):
    """Appends records to `log.jsonl` once the folder has a database; a search or a build makes it, not the log."""

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.INFO)
        self._folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line; a disk that is full ends no search."""
        line = {
            "time": record.created,
            "run": self._folder.name,
            "level": record.levelname,
            "event": record.getMessage(),
        }
        if any((self._folder / name).exists() for name in _DATABASES):
            with contextlib.suppress(OSError), (self._folder / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")


@contextlib.contextmanager
def log_to(folder: Path, *, console: Console | None) -> Iterator[None]:
    """Log what this package says to `folder`/log.jsonl, and to `console` if one is given."""
    package = logging.getLogger("fairnad")
    handlers: list[logging.Handler] = [_JsonLines(folder)]
    if console is not None:
        handlers.append(_for_people(console))
    package.setLevel(logging.INFO)
    for handler in handlers:
        package.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            package.removeHandler(handler)


def _for_people(console: Console) -> logging.Handler:
    """Return what writes to a terminal in its width, and to a file or a pipe one line an event."""
    from rich.logging import RichHandler

    if console.is_terminal:
        return RichHandler(console=console, show_path=False, show_level=False, markup=False)
    lines = logging.StreamHandler(console.file)
    lines.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    return lines
