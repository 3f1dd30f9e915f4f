"""What the steps of a build say about a paper: judged by its abstract, read for ideas, its ideas tagged. Data alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from pydantic import TypeAdapter, ValidationError

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import Attribute

__all__ = ["Candidate", "Judged", "Result", "Step", "chained", "dump_result", "read_result"]


class Step(str, Enum):
    """The steps of one paper, in their order; a paper that is not kept takes the first one alone."""

    FILTER = "filter"
    IDEAS = "ideas"
    TAGS = "tags"


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a paper is kept, and why not."""

    is_kept: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One idea of a paper: where it was found, and its place in the tree or, once it is dropped, the reason.

    `page` counts from 1; None where no page shares wording with the idea.
    """

    text: str
    page: int | None
    passage: str
    place: Attribute | None = None
    why: str = ""


Result = Judged | tuple[Candidate, ...]
"""What a step says: the filter a judgement, the others ideas in the order of the paper."""

_JUDGED = TypeAdapter(Judged)
_CANDIDATES = TypeAdapter(tuple[Candidate, ...])


def dump_result(result: Result) -> str:
    """Return `result` as JSON; equal results give equal texts."""
    written = _JUDGED.dump_json(result) if isinstance(result, Judged) else _CANDIDATES.dump_json(result)
    return written.decode()


def read_result(step: Step, text: str) -> Result:
    """Return the result of `step` that was written as `text`.

    Raises:
        KnowledgeError: it is none.
    """
    try:
        return _JUDGED.validate_json(text) if step is Step.FILTER else _CANDIDATES.validate_json(text)
    except ValidationError as error:
        raise KnowledgeError(f"a result of the step {step.value!r} cannot be read; build into a new folder") from error


def chained(deciding: Mapping[Step, str]) -> dict[Step, str]:
    """Return a version for each step: a hash of what decides its result, and that of the steps before it."""
    found, before = {}, ""
    for step in Step:
        before = hashlib.sha256(f"{before} {deciding[step]}".encode()).hexdigest()[:16]
        found[step] = before
    return found
