"""Finds ideas without a language model: a classifier of abstracts, and sentences of the method. Of lower grade."""

from __future__ import annotations

from collections.abc import Mapping

from fairnad import __version__
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.build.keywords import extract_ideas, judge_abstract
from fairnad.knowledge.build.papers import Paper
from fairnad.knowledge.build.relevance import shipped_words
from fairnad.knowledge.build.steps import Candidate, Judged, Step, chained

__all__ = ["KeywordExtractor"]


class KeywordExtractor:
    """Reads papers by the shipped vocabulary and weights, for the places of `tree`."""

    name = "keywords"

    def __init__(self, tree: AttributeTree) -> None:
        self._tree = tree
        self.versions: Mapping[Step, str] = chained(
            {Step.FILTER: f"{__version__} {tree} {shipped_words()}", Step.IDEAS: "", Step.TAGS: ""}
        )

    def judge(self, paper: Paper) -> Judged:
        """Return whether the words of title and abstract are those of an architecture."""
        verdict = judge_abstract(paper.title, paper.abstract, self._tree)
        if verdict.kept:
            return Judged(True)
        kind, colon, _ = verdict.reasons[0].partition(":")
        return Judged(False, f"off topic: {kind}" if colon else kind)

    def extract(self, paper: Paper) -> tuple[Candidate, ...]:
        """Return the sentences of the method that tell a design, already with their places."""
        found = extract_ideas(paper, self._tree)
        return tuple(Candidate(one.text, one.page, one.passage, one.place) for one in found)

    def tag(self, sha256: str, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Return the ideas as they are: the words that found them are those that place them."""
        return candidates

    def close(self) -> None:
        """Nothing is under way elsewhere."""
