"""The generator with a language model: drafts, repairs, shrinks and refinements are asked for, and read out of replies.

What the model is asked for has one of three styles: the whole network (the paper), search-and-replace edits of it, or
one class that a program puts in place. What its tries left refused may be mended by a program, which the note tells.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from fairnad.architectures.source import SourceError
from fairnad.config import Config
from fairnad.errors import ReplyError
from fairnad.generators.base import Refinement, Request
from fairnad.generators.fit import Measure
from fairnad.generators.library import ProvenClass, proven_classes
from fairnad.generators.llm_prompts import Questions
from fairnad.generators.llm_reading import raw_code, read_edited, read_network, read_part
from fairnad.generators.mending import mend
from fairnad.generators.modules import Part, choose_part
from fairnad.generators.rules import RulesGenerator
from fairnad.knowledge.attributes import AttributeTree
from fairnad.llm.base import LLM, Message, Prompt, Reply, Service
from fairnad.llm.prompts import Prompts
from fairnad.llm.replies import read_idea_line
from fairnad.records import Draft, Failed, Failure, Idea, IdeaKind, MutationTarget, Verdict

__all__ = ["LLMGenerator"]

_AGAIN = {
    "truncated": "Your reply must be short: give the code alone, without a plan and without comments.",
    "edit": "Copy the lines under SEARCH exactly from the source above; each must stand there once.",
}
"""What is added to a question that is asked once more, by what was wrong with the first reply."""
_REPAIRABLE = frozenset({"syntax", "incomplete", "no_network_class"})
"""Replies with code that a repair can start from."""


class LLMGenerator:
    """Writes drafts with `llm`; a reply that is no draft gives `Failed`, and an LLMError ends the search, resumable.

    `ideas` are those of the database and of Stage II. Safe to call from several threads.
    """

    name = "llm"

    def __init__(
        self,
        ideas: Sequence[Idea],
        measure: Measure,
        *,
        llm: LLM,
        prompts: Prompts,
        config: Config,
        input_shape: tuple[int, int, int],
        num_classes: int,
        tree: AttributeTree,
    ) -> None:
        tree = tree if config.ideas.source == "structured" else AttributeTree(())
        self._questions = Questions(prompts, ideas, tree, input_shape=input_shape, num_classes=num_classes)
        self._calls = _Calls(llm)
        self._rules = RulesGenerator(ideas, measure)
        self._measure = measure
        self._style = config.drafts.style
        self._library_size = config.drafts.library
        self._has_own_ideas = config.ideas.source == "llm"

    def draft(self, request: Request) -> Draft | Failed:
        """Return the parent changed by the idea; by one of the model's own where the configuration says so."""
        self._calls.begin(request.seed)
        if self._has_own_ideas and request.idea.kind is IdeaKind.KNOWLEDGE:
            prompt = self._questions.own_idea(request.parent, request.limits)
            return self._ask_with_idea(prompt, request.parent.source, request.seed)
        return self._write(request)

    def refine(self, refinement: Refinement) -> Draft | Failed:
        """Return `refinement.edit` changed by an idea that the model draws from the record."""
        self._calls.begin(refinement.seed)
        if self._style == "rewrite":
            prompt = self._questions.refinement(refinement)
            return self._ask_with_idea(prompt, refinement.edit.source, refinement.seed)
        asked = self._ask(
            refinement.seed, self._questions.next_idea(refinement), lambda reply: read_idea_line(reply.text)
        )
        if isinstance(asked.found, ReplyError):
            return Failed(Failure.NO_DRAFT, f"the reply has no idea ({asked.found.kind}): {asked.found}")
        return self._write(_as_request(refinement, _own(asked.found)))

    def redraft(self, draft: Draft, request: Request | Refinement) -> Draft | Failed | None:
        """Return the idea of `draft` in another class, in the styles that ask for one."""
        asked = _as_request(request, draft.idea)
        if draft.idea is None or self._part(asked) is None:
            return None
        return self._write(asked)

    def repair(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` with what `verdict` complains of mended by the model."""
        parent, part = _parent(request), self._part(_as_request(request, draft.idea))
        if part is not None and draft.idea is not None:
            # A small model copies what it is shown, so it writes the class once more and sees the error alone.
            library = self._library(_as_request(request, draft.idea), part)
            prompt = self._questions.module(part, draft.idea, library, error=verdict.reason)
            bare = self._bare(part, draft.idea, error=verdict.reason)
            return self._rewrite(draft, request, prompt, lambda reply: read_part(reply, part), bare=bare)
        if self._style == "rewrite":
            prompt = self._questions.repair(draft, verdict, request)
            return self._rewrite(draft, request, prompt, lambda reply: read_network(reply, parent))
        prompt = self._questions.short_repair(draft.source, verdict)
        return self._rewrite(draft, request, prompt, lambda reply: read_edited(reply, draft.source))

    def shrink(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` made smaller by the model."""
        prompt = self._questions.shrink(draft, verdict, request)
        return self._rewrite(draft, request, prompt, lambda reply: read_network(reply, _parent(request)))

    def mend(self, draft: Draft, verdict: Verdict, request: Request | Refinement) -> Draft | Failed:
        """Return `draft` mended by a program, where it knows how."""
        if verdict.failure is Failure.BUDGET:
            return self._rules.shrink(replace(draft, note=f"{draft.note}; mended by program"), verdict, request)
        asked = _as_request(request, draft.idea)
        shown = {proven.name: proven.code for proven in self._library(asked, self._part(asked))}
        mended = mend(draft.source, verdict, _parent(request), self._measure, shown=shown)
        if mended is None:
            return Failed(Failure.NO_DRAFT, f"no program mends this: {verdict.reason}")
        note = f"{draft.note}; mended by program: {mended.note}"
        return replace(draft, source=mended.source, note=note, rewrites=draft.rewrites + 1)

    def _write(self, request: Request) -> Draft | Failed:
        part, parent = self._part(request), request.parent.source
        if part is not None:
            prompt = self._questions.module(part, request.idea, self._library(request, part))
            bare = self._bare(part, request.idea)
            return self._draft(
                request.seed, prompt, lambda reply: read_part(reply, part), request.idea, part=part, bare=bare
            )
        if self._style == "edits":
            prompt = self._questions.mutation("edits", request)
            return self._draft(request.seed, prompt, lambda reply: read_edited(reply, parent), request.idea)
        prompt = self._questions.mutation("mutation", request)
        return self._draft(request.seed, prompt, lambda reply: read_network(reply, parent), request.idea)

    def _bare(self, part: Part, idea: Idea, *, error: str = "") -> Prompt | None:
        """Return the question for a block without the block that it replaces: what a small model sees it may copy."""
        if part.replaced is None:
            return None
        return self._questions.module(replace(part, example=""), idea, error=error)

    def _part(self, request: Request) -> Part | None:
        """Return the class to write in the styles that ask for one; the same one for each call of an attempt."""
        if self._style in ("rewrite", "edits") or (self._has_own_ideas and request.idea.kind is IdeaKind.OWN):
            return None
        rng = random.Random(f"{request.seed}/part")
        return choose_part(request.parent.source, request.idea, request.target, rng, form=request.form)

    def _library(self, request: Request, part: Part | None) -> tuple[ProvenClass, ...]:
        """Return the classes of earlier children that a question for `part` shows; the same in each call."""
        if part is None:
            return ()
        return proven_classes(part, request.idea.main, request.earlier, self._library_size)

    def _ask_with_idea(self, prompt: Prompt, parent: str, seed: str) -> Draft | Failed:
        """Return the draft of a reply that begins with the model's own idea."""
        return self._draft(seed, prompt, lambda reply: read_network(reply, parent), None)

    def _draft(
        self,
        seed: str,
        prompt: Prompt,
        read: _Read,
        idea: Idea | None,
        *,
        part: Part | None = None,
        bare: Prompt | None = None,
    ) -> Draft | Failed:
        asked = self._ask(seed, prompt, read, bare)
        note = f"{prompt.task}: {part.note}" if part is not None else prompt.task
        source = asked.found
        if isinstance(source, ReplyError):
            if source.kind not in _REPAIRABLE:
                reason = f"the reply is no draft ({source.kind}): {source}"
                return Failed(Failure.NO_DRAFT, reason, idea=idea or _idea_in(asked))
            note = f"{note}; the reply is {source.kind}"
            source = raw_code(asked.reply.text, part)
        idea = idea or _idea_in(asked)
        return Draft(source, self.name, idea, note, asked.prompt.text, asked.reply.text)

    def _rewrite(
        self, draft: Draft, request: Request | Refinement, prompt: Prompt, read: _Read, *, bare: Prompt | None = None
    ) -> Draft:
        """Return `draft` rewritten; unchanged, but with a try less, if the reply cannot be used."""
        asked = self._ask(request.seed, prompt, read, bare)
        is_usable = not isinstance(asked.found, ReplyError)
        told = prompt.task if not isinstance(asked.found, ReplyError) else f"{prompt.task} failed ({asked.found.kind})"
        return replace(
            draft,
            source=str(asked.found) if is_usable else draft.source,
            note=f"{draft.note}; {told}",
            prompt=asked.prompt.text,
            reply=asked.reply.text,
            rewrites=draft.rewrites + 1,
        )

    def _ask(self, seed: str, prompt: Prompt, read: _Read, bare: Prompt | None = None) -> _Asked:
        """Ask, and ask once more where the reply was cut off, has edits of what is not there, or copies its example.

        `bare` is the question without that example.
        """
        first = reply = self._calls.complete(seed, prompt)
        found = _tried(read, reply)
        again = _once_more(prompt, found.kind, bare) if isinstance(found, ReplyError) else None
        if again is not None:
            prompt, reply = again, self._calls.complete(seed, again)
            found = _tried(read, reply)
        return _Asked(prompt, reply, found, first)


_Read = Callable[[Reply], str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The last prompt of a question, its reply, what was read in it, and the first reply."""

    prompt: Prompt
    reply: Reply
    found: str | ReplyError
    first: Reply


class _Calls:
    """Numbers the calls of each attempt, whichever thread it runs in: a resumed search repeats the numbers."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, seed: str) -> None:
        with self._lock:
            self._numbers[_served(seed)] = 0

    def complete(self, seed: str, prompt: Prompt) -> Reply:
        served = _served(seed)
        with self._lock:
            number = self._numbers.get(served, 0)
            self._numbers[served] = number + 1
        return self._llm.complete(prompt, Service(served, number))


def _served(seed: str) -> str:
    """Return the name of the attempt, as the drafts of a history have it."""
    return seed.removesuffix("/write")


def _tried(read: _Read, reply: Reply) -> str | ReplyError:
    try:
        return read(reply)
    except ReplyError as error:
        return error
    except SourceError as error:
        return ReplyError("syntax", f"what the code was put into is not valid Python: {error}")


def _once_more(prompt: Prompt, kind: str, bare: Prompt | None) -> Prompt | None:
    """Return the question that follows a reply with an error of this kind, if there is one."""
    if kind == "unchanged":
        return bare
    if kind not in _AGAIN:
        return None
    *others, last = prompt.messages
    return replace(prompt, messages=(*others, Message(last.role, f"{last.text}\n\n{_AGAIN[kind]}")))


def _parent(request: Request | Refinement) -> str:
    return request.parent.source if isinstance(request, Request) else request.edit.source


def _as_request(request: Request | Refinement, idea: Idea | None) -> Request:
    """Return a refinement by `idea` as the request that it comes to."""
    if isinstance(request, Request):
        return request if idea is None else replace(request, idea=idea)
    rng = random.Random(f"{request.seed}/target")
    target = rng.choice((MutationTarget.NEW_MODULE, MutationTarget.CHANGE_MODULE))
    idea = idea or request.idea
    return Request(request.edit, idea, target, request.limits, request.seed, request.earlier, request.form)


def _idea_in(asked: _Asked) -> Idea:
    """Return the idea that a reply tells, the second time or the first, or one that says that there is none."""
    for reply in (asked.reply, asked.first):
        with suppress(ReplyError):
            return _own(read_idea_line(reply.text))
    return _own("The reply names no idea.")


def _own(text: str) -> Idea:
    text = " ".join(text.split())[:500]
    return Idea(f"own-{hashlib.sha256(text.encode()).hexdigest()[:12]}", text, IdeaKind.OWN)
