"""What a draft is read from: the network, the edits or the class in a reply, put together with what was asked about."""

from __future__ import annotations

import re

from fairnad.architectures.parsing import parse_quietly
from fairnad.architectures.source import Source
from fairnad.errors import ReplyError
from fairnad.generators.llm_edits import apply_edits, code_of
from fairnad.generators.modules import Part
from fairnad.llm.base import Finish, Reply
from fairnad.llm.completeness import is_same_code
from fairnad.llm.replies import extract_code, read_class, read_edits, unwrap_registry

__all__ = ["raw_code", "read_edited", "read_network", "read_part"]

_FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)


def read_network(reply: Reply, parent: str) -> str:
    """Return the network in `reply`, which differs from `parent`.

    Raises:
        ReplyError: as `extract_code` does.
    """
    code = extract_code(reply.text, parent=parent, is_truncated=reply.finish is Finish.LENGTH)
    return unwrap_registry(code)


def read_edited(reply: Reply, parent: str) -> str:
    """Return the parent with the edits of `reply`, or the network that it writes out instead.

    Raises:
        ReplyError: as `read_edits`, `apply_edits` and `extract_code` do.
    """
    try:
        edits = read_edits(reply.text)
    except ReplyError as error:
        if error.kind != "no_code":
            raise
        return read_network(reply, parent)
    return apply_edits(parent, edits)


def read_part(reply: Reply, part: Part) -> str:
    """Return the network with the class of `reply`, which goes by the name that was asked for.

    Raises:
        ReplyError: as `read_class` and `Part.put` do; "unchanged" where the class is the one that was shown.
    """
    code = unwrap_registry(_class(reply, part))
    if part.replaced is not None and _is_copy(code, part):
        raise ReplyError("unchanged", f"{part.name} is {part.replaced} by another name")
    return part.put(code)


def raw_code(text: str, part: Part | None) -> str:
    """Return the code in a reply as it is, for the verifier to tell what is wrong with it."""
    code = max(_FENCED.findall(text), key=len, default=text).strip("\n") + "\n"
    if part is None:
        return code
    before, network, after = part.skeleton.partition("class Network(")
    return f"{code}\n" if part.name == "Network" else f"{before}{code}\n\n{network}{after}"


def _class(reply: Reply, part: Part) -> str:
    """Return the code that defines the class of `part`; one that goes by another name is given this one."""
    is_truncated = reply.finish is Finish.LENGTH
    try:
        code = read_class(reply.text, part.name, is_truncated=is_truncated)
    except ReplyError as error:
        if error.kind != "no_network_class" or part.name == "Network":
            raise
        code = read_class(reply.text, is_truncated=is_truncated)
    classes = Source(code).classes
    if part.name == "Network" or part.name in classes:
        return code
    names = [name for name in classes if name != "Network"]
    if not names:
        raise ReplyError("no_network_class", f"the code does not define {part.name} at its top level")
    known = Source(part.skeleton).definitions
    meant = [name for name in names if name not in known] or names
    return re.sub(rf"(?<!\.)\b{meant[-1]}\b", part.name, code)


def _is_copy(code: str, part: Part) -> bool:
    """Return whether the class is the one that was shown, but for its name."""
    assert part.replaced is not None
    renamed = re.sub(rf"\b{part.name}\b", part.replaced, code_of(Source(code), part.name))
    return is_same_code(parse_quietly(renamed), parse_quietly(part.example))
