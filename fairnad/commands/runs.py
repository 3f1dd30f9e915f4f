"""What the commands that take a RUN share: its folder, a search that is watched, and Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairnad.errors import HistoryError, StoppedError, name_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fairnad.records import Child
    from fairnad.search.progress import Observer, Progress

__all__ = ["RunArgument", "begun_folder", "stoppable", "watch"]

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run folder, the name of one in ./runs, or 'latest': the one there last written to."
    ),
]

_WRITTEN = ("history.db", "history.db-wal", "log.jsonl")  # a search writes to the second for as long as it runs


def begun_folder(run: str) -> Path:
    """Return the folder of the run that was named.

    Raises:
        HistoryError: there is none, or its start was cut short.
    """
    from fairnad.history.store import History

    folder = _run_folder(run)
    if not History.is_begun(folder):
        raise HistoryError(
            f"{folder} holds no base: its start was cut short; `fairnad search --run {name_of(folder)}` starts it anew"
        )
    return folder


@contextlib.contextmanager
def stoppable(advice: Callable[[], str] = lambda: "the same command goes on") -> Iterator[None]:
    """Turn Ctrl-C into an error that says what to do next; without it, typer exits in silence.

    Raises:
        StoppedError: a person pressed Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError(f"stopped; {advice()}") from error


def watch(folder: Path, work: Callable[[Observer], Child]) -> None:
    """Run a search with a live view, or with log lines where the output is no terminal; then say what it found.

    Raises:
        StoppedError: a person pressed Ctrl-C.
    """
    from rich.console import Console
    from rich.live import Live

    from fairnad import terminal
    from fairnad.logs import log_to

    console = Console()
    state: list[Progress] = []

    def view() -> RenderableType:
        return terminal.live_view(folder.name, state[0]) if state else f"{folder.name}: starting"

    with stoppable(lambda: _way_on(folder)), log_to(folder, console=None if console.is_terminal else console):
        if console.is_terminal:
            with Live(get_renderable=view, console=console, refresh_per_second=4):
                best = work(lambda progress: state.__setitem__(slice(None), [progress]))
        else:
            best = work(lambda progress: None)
    console.print(terminal.farewell(folder, best), soft_wrap=not console.is_terminal)


def _run_folder(run: str) -> Path:
    runs = sorted((path.parent for path in Path("runs").glob("*/history.db")), key=_last_written)
    if run == "latest":
        if not runs:
            raise HistoryError("there is no run in ./runs yet; `fairnad search` makes one")
        return runs[-1]
    for folder in (Path(run), Path("runs") / run):
        if (folder / "history.db").is_file():
            return folder
    known = ", ".join(folder.name for folder in reversed(runs[-5:])) or "none"
    raise HistoryError(f"{run} is no run folder (no history.db in it); the latest in ./runs: {known}")


def _last_written(folder: Path) -> float:
    times = [0.0]
    for name in _WRITTEN:
        with contextlib.suppress(FileNotFoundError):
            times.append((folder / name).stat().st_mtime)
    return max(times)


def _way_on(folder: Path) -> str:
    from fairnad.history.store import History

    if (folder / "history.db").is_file() and History.is_begun(folder):
        return f"`fairnad resume {name_of(folder)}` goes on"
    return "nothing was recorded yet"
