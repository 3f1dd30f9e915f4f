"""`fairnad knowledge tag`: where ideas, one a line, stand in the attribute tree, without a language model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairnad.errors import KnowledgeError

if TYPE_CHECKING:
    from fairnad.knowledge.build.tagging import Rejected, Tagged

__all__ = ["tag"]

_LEVELS = ("target", "granularity", "main", "sub")


def tag(
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="Ideas, one a line; the standard input without it.")
    ] = "-",
    tree: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Attribute tree; the shipped one without it.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Tag ideas by their words: the place of each in the attribute tree, or why it is off the topic."""
    from fairnad.knowledge.attributes import AttributeTree
    from fairnad.knowledge.build.tagging import tag_idea

    places = AttributeTree.load(tree)
    for text in _ideas(file):
        result = tag_idea(text, places)
        print(json.dumps(_record(text, result), ensure_ascii=False) if json_ else _line(text, result))


def _ideas(file: str) -> Iterator[str]:
    """Yield the lines of a file, or of the standard input for "-"; empty ones are none."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise KnowledgeError(f"{file}: the ideas cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KnowledgeError(f"{file}: expected text in UTF-8, one idea a line: {error}") from error
    yield from filter(None, map(str.strip, text.splitlines()))


def _record(text: str, result: Tagged | Rejected) -> dict[str, str | bool | float | None]:
    from fairnad.knowledge.build.tagging import Rejected

    nowhere = dict.fromkeys(_LEVELS)
    place = nowhere if isinstance(result, Rejected) else {level: getattr(result.place, level) for level in _LEVELS}
    return {
        "text": text,
        "on_topic": not isinstance(result, Rejected),
        **place,
        "score": round(result.score, 3),
        "reason": result.reason if isinstance(result, Rejected) else None,
    }


def _line(text: str, result: Tagged | Rejected) -> str:
    record = _record(text, result)
    names = [str(record[level]) for level in _LEVELS if record[level] is not None]
    return f"{' * '.join(names) or 'off: ' + str(record['reason'])}\t{text}"
