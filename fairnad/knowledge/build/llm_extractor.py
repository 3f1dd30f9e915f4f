"""Asks a language model what is in a paper: whether it counts, which ideas it holds, where they stand in the tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from fairnad.errors import ReplyError
from fairnad.knowledge.attributes import Attribute, AttributeTree
from fairnad.knowledge.build.papers import Paper
from fairnad.knowledge.build.passages import Passages
from fairnad.knowledge.build.places import map_tags
from fairnad.knowledge.build.relevance import off_topic, shipped_words
from fairnad.knowledge.build.steps import Candidate, Judged, Step, chained
from fairnad.llm.answers import answer_of
from fairnad.llm.base import LLM, Finish, Prompt, Reply, Service
from fairnad.llm.prompts import Prompts
from fairnad.llm.replies import read_filter, read_ideas

__all__ = ["LLMExtractor", "longest_prompt", "parts_of"]

_LEAST_PART = 6000  # characters of a paper that a prompt must have room for
_TRIES = 2
_NUMBERED = re.compile(r"^[\W_]*(?:idea\W*)?(\d{1,3})\b", re.MULTILINE | re.IGNORECASE)
_EDGES = " *_`\"'.\n"
_T = TypeVar("_T")


def longest_prompt(prompts: Prompts, tree: AttributeTree) -> int:
    """Return the characters of the longest prompt that cannot be made shorter.

    Raises:
        ConfigError: one of the prompts cannot be used.
    """
    return _LEAST_PART + max(len(prompt.text) for prompt in _empty(prompts, tree).values())


class LLMExtractor:
    """Asks `llm`; `room` is the number of characters that prompt and paper may have together, None any number."""

    name = "llm"

    def __init__(
        self,
        llm: LLM,
        prompts: Prompts,
        tree: AttributeTree,
        *,
        room: int | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        off_topic("")  # reads the words that ideas are judged by: else each thread would, at its first idea
        self.close = close
        self._llm, self._prompts, self._tree = llm, prompts, tree
        empty = _empty(prompts, tree)
        self._part_chars = None if room is None else max(_LEAST_PART, room - len(empty[Step.IDEAS].text))
        self._examples = empty[Step.IDEAS].text.casefold()  # small models may list them as if they were of the paper
        # The template's own hash too: what it writes for each idea or abstract is not in a prompt without any.
        hashes = {step: f"{prompt.template_hash} {prompt.hash}" for step, prompt in empty.items()}
        self.versions: Mapping[Step, str] = chained({**hashes, Step.TAGS: f"{hashes[Step.TAGS]} {shipped_words()}"})

    def judge(self, paper: Paper) -> Judged:
        """Return whether the paper belongs anywhere in the tree, by its abstract."""
        prompt = self._prompts.render("paper_filter", title=paper.title, abstract=paper.abstract, tree=self._tree)
        place = self._ask(prompt, paper.sha256, lambda reply: _read_place(reply.text))
        return Judged(place is not None, "" if place is not None else "not about the architecture of a backbone")

    def extract(self, paper: Paper) -> tuple[Candidate, ...]:
        """Return the ideas in the whole paper or, where that is too long, in the parts of its method."""
        passages = Passages(paper)
        found: dict[str, Candidate] = {}
        problem: ReplyError | None = None
        for number, part in enumerate(parts_of(paper, self._part_chars)):
            prompt = self._prompts.render("ideas", paper=part, tree=self._tree)
            try:
                ideas = self._ask(prompt, paper.sha256, _whole_ideas, number=number)
            except ReplyError as error:  # a part of proofs or tables has no ideas to list
                problem = error
                continue
            for idea in ideas:
                if idea.casefold().rstrip(".") not in self._examples:
                    passage = passages.find(idea)
                    found.setdefault(idea.casefold(), Candidate(idea, passage.page, passage.text))
        if problem is not None and not found:
            raise problem
        return tuple(found.values())

    def tag(self, sha256: str, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Return the ideas with places in the tree; those off the topic are dropped before the model is asked."""
        judged = [replace(one, why=_off_topic(one.text)) for one in candidates]
        asked = [number for number, one in enumerate(judged) if not one.why]
        if asked:
            prompt = self._prompts.render("tags", ideas=[judged[number].text for number in asked], tree=self._tree)
            places = self._ask(prompt, sha256, lambda reply: _read_tags(reply.text, len(asked)))
            for number, (place, why) in zip(asked, places, strict=True):
                judged[number] = self._placed(judged[number], place, why)
        return tuple(judged)

    def _placed(self, candidate: Candidate, place: Attribute | None, why: str) -> Candidate:
        if place is None:
            return replace(candidate, why=why)
        mapped = map_tags(place, self._tree)
        return replace(candidate, place=mapped, why="" if mapped else "outside the tree")

    def _ask(self, prompt: Prompt, sha256: str, read: Callable[[Reply], _T], *, number: int = 0) -> _T:
        """Return what the reply says; a reply that cannot be read is asked for once more."""
        # With the model's name: another one is asked afresh where the first gave nothing that can be used.
        served = f"{prompt.task} of {sha256[:16]} by {self._llm.name}"
        for attempt in range(_TRIES):
            reply = self._llm.complete(prompt, Service(served, _TRIES * number + attempt))
            try:
                return read(reply)
            except ReplyError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("the last try returns or raises")


def parts_of(paper: Paper, chars: int | None) -> tuple[str, ...]:
    """Return the whole text of a paper if it has no more than `chars`, else its method in parts that have no more."""
    sections = "\n\n".join(f"{section.title}\n\n{section.text}" for section in paper.sections) or paper.method
    head = f"{paper.title}\n\n"
    whole = f"{head}{paper.abstract}\n\n{sections}"
    if chars is None or len(whole) <= chars:
        return (whole,)
    return tuple(head + part for part in _cut(paper.method, max(1, chars - len(head))))


def _empty(prompts: Prompts, tree: AttributeTree) -> dict[Step, Prompt]:
    """Return the prompts without a paper: what they ask of every one."""
    return {
        Step.FILTER: prompts.render("paper_filter", title="", abstract="", tree=tree),
        Step.IDEAS: prompts.render("ideas", paper="", tree=tree),
        Step.TAGS: prompts.render("tags", ideas=(), tree=tree),
    }


def _cut(text: str, chars: int) -> Iterator[str]:
    """Yield `text` in parts, cut between paragraphs where these are short enough."""
    part = ""
    for paragraph in text.split("\n\n"):
        if part and len(part) + len(paragraph) + 2 > chars:
            yield part
            part = ""
        part = f"{part}\n\n{paragraph}" if part else paragraph
        while len(part) > chars:
            yield part[:chars]
            part = part[chars:]
    if part.strip():
        yield part


def _whole_ideas(reply: Reply) -> tuple[str, ...]:
    """Return the ideas of a reply; the last one of a reply that was cut short may be half an idea."""
    ideas = read_ideas(reply.text)
    if reply.finish is Finish.LENGTH and len(ideas) > 1:
        return ideas[:-1]
    return ideas


def _off_topic(text: str) -> str:
    """Return why an idea is off the topic, without the words that made it so: few reasons, to be counted."""
    found = off_topic(text, is_doubted=False)  # the model was told what to leave out, and is asked for its place
    return f"off topic: {found.partition(':')[0]}" if found else ""


def _read_place(text: str) -> Attribute | None:
    """Return the place that a reply names, or None for "no"; what the tree does not know is as the reply has it.

    Raises:
        ReplyError: it does neither.
    """
    try:
        return read_filter(text)
    except ReplyError as error:
        if error.kind == "no_response_marker" and text.strip(_EDGES).lower() == "no":
            return None
        # Small models may say yes first and name the place on the next line, or leave out the target.
        for line in text.rpartition("##response##")[2].splitlines():
            fields = [field.strip(_EDGES).lower() for field in line.split("*")]
            fields = ["", *fields] if fields[0].endswith("level") else fields
            if error.kind == "bad_fields" and len(fields) >= 3 and all(fields[1:3]):
                return Attribute(fields[0], fields[1], fields[2], fields[3] if len(fields) > 3 else None)
        raise


def _read_tags(reply: str, count: int) -> list[tuple[Attribute | None, str]]:
    """Return a place for each of `count` ideas, or None and why it has none.

    Raises:
        ReplyError: not one of them has a line that can be read.
    """
    text = answer_of(reply).text
    marks = list(_NUMBERED.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    lines = {int(mark[1]): text[mark.end() : end] for mark, end in zip(marks, ends, strict=False)}
    if count == 1 and not marks:
        lines = {1: text}
    found: list[tuple[Attribute | None, str]] = []
    problem = ReplyError("no_response_marker", "the reply has no line for any of the ideas")
    num_read = 0
    for number in range(1, count + 1):
        try:
            place = _read_place(lines.get(number, ""))
        except ReplyError as error:
            problem = error if number in lines else problem
            found.append((None, "no tags that can be read"))
            continue
        num_read += 1
        found.append((place, "" if place else "not about the architecture of a backbone"))
    if not num_read:
        raise problem
    return found
