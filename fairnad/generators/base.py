"""What every generator is: four verbs over requests, and the table of the known ones. Writes no code itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fairnad.records import Child, Costs, Draft, Failed, Idea, Limits, MutationTarget, Verdict

__all__ = ["GENERATORS", "Generator", "Mender", "Parent", "Redrafter", "Refinement", "Request"]

GENERATORS = {
    "llm": "fairnad.generators.llm:LLMGenerator",
    "rules": "fairnad.generators.rules:RulesGenerator",
}
"""Known generators: name -> "module:Class". `my_package.mine:Class` works from a configuration too."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The source that is edited, and what is known of it."""

    source: str
    costs: Costs


@dataclass(frozen=True, slots=True)
class Request:
    """One child asked for. `seed` names the random stream of this attempt: equal requests give equal drafts.

    `earlier` are the trained children that the decision knew, for a generator that learns from them. `form` counts
    the forms in which this attempt has already asked for the idea, for a `Redrafter`.
    """

    parent: Parent
    idea: Idea
    target: MutationTarget
    limits: Limits
    seed: str
    earlier: tuple[Child, ...] = ()
    form: int = 0


@dataclass(frozen=True, slots=True)
class Refinement:
    """One child asked for in Stage III, where the generator chooses the idea from the record of an earlier step.

    `edit` is the source to edit: the mutated network after a gain, its parent (the grandparent of the child to come)
    after a loss. `before` and `after` are the two sources of the record, `idea` is the idea between them.
    `used` are the ids of the ideas that `edit` was already mutated by, `earlier` the trained children that the decision
    knew.
    """

    edit: Parent
    before: str
    after: str
    idea: Idea
    has_improved: bool
    used: frozenset[str]
    limits: Limits
    seed: str
    earlier: tuple[Child, ...] = ()
    form: int = 0


class Generator(Protocol):
    """Writes drafts. A verb that has nothing to offer returns `Failed` with failure NO_DRAFT.

    It is made with `ideas`, the database's and those of the stages, and `measure`, which counts the costs of sources.
    """

    name: str

    def draft(self, request: Request) -> Draft | Failed:
        """Return the parent changed by the idea."""

    def refine(self, refinement: Refinement) -> Draft | Failed:
        """Return `refinement.edit` changed by an idea of the generator's own choice; the draft carries that idea."""

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` with what `verdict` complains of mended."""

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` brought towards the limits of `request`."""


@runtime_checkable
class Mender(Protocol):
    """A generator with a program behind it, for what its own tries left refused."""

    def mend(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` with what `verdict` complains of mended by a program; the note says what."""


@runtime_checkable
class Redrafter(Protocol):
    """A generator that can write one idea in several forms, such as a new layer or a new block."""

    def redraft(self, draft: Draft, request: Request | Refinement) -> Draft | Failed | None:
        """Return the idea of `draft`, refused for good, in the form `request.form`; None where there is no other."""
