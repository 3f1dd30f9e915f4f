"""The commands of `fairnad llm`: for those who write prompts or serve a model."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairnad.errors import ConfigError, ReplyError

if TYPE_CHECKING:
    from fairnad.llm.replies import NamedAttributes

__all__ = ["app"]

app = typer.Typer(help="Work with language models.", no_args_is_help=True)


class Task(str, Enum):
    """What was asked of the model."""

    MUTATION = "mutation"
    STRUCTURE = "structure"
    PAPER_FILTER = "paper_filter"
    ATTRIBUTES = "attributes"
    IDEAS = "ideas"


@app.callback()
def _group() -> None:
    """Work with language models."""


@app.command()
def parse(
    task: Annotated[Task, typer.Option(help="What was asked.")],
    file: Annotated[Path, typer.Argument(metavar="[FILE|-]", help="The reply; standard input without it.")] = Path("-"),
    parent: Annotated[Path | None, typer.Option(metavar="FILE.py", help="Source that a mutation must change.")] = None,
    truncated: Annotated[bool, typer.Option("--truncated", help="The reply hit the limit on tokens.")] = False,
) -> None:
    """Print what a reply says as JSON: its code, its value, or the kind of error."""
    reply = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    source = None if parent is None else _read(parent).decode(errors="replace")
    try:
        result = _parsed(task, reply.decode(errors="replace"), parent=source, is_truncated=truncated)
    except ReplyError as error:
        result = {"error": error.kind}
    print(json.dumps(result))


def _parsed(task: Task, reply: str, *, parent: str | None, is_truncated: bool) -> dict[str, object]:
    from fairnad.llm import replies

    if task is Task.MUTATION:
        return {"code": replies.extract_code(reply, parent=parent, is_truncated=is_truncated)}
    if task is Task.STRUCTURE:
        return {"value": replies.read_choice(reply)}
    if task is Task.IDEAS:
        return {"value": list(replies.read_ideas(reply))}
    if task is Task.ATTRIBUTES:
        return {"value": _by_level(replies.read_attributes(reply))}
    place = replies.read_filter(reply)
    if place is None:
        return {"value": None}
    level = replies.LEVELS[place.granularity]
    names = {"target": place.target, "granularity": level, "main_category": place.main, "sub_category": place.sub}
    return {"value": names}


def _by_level(attributes: tuple[NamedAttributes, ...]) -> dict[str, dict[str, dict[str, list[str]]]]:
    """Return the attributes as the prompt asks for them: target, level, category, names; no level is left out."""
    from fairnad.llm.replies import LEVELS

    tree: dict[str, dict[str, dict[str, list[str]]]] = {
        target: {level: {} for level in LEVELS.values()} for target in ("Performance", "Efficiency")
    }
    for one in attributes:
        tree[one.target.capitalize()][LEVELS[one.granularity]].setdefault(one.main, []).extend(one.names)
    return tree


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
