"""Finds the passage of a paper that an idea came from: the sentence that shares most of its telling words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fairnad.knowledge.build.papers import Paper
from fairnad.knowledge.wording import telling_words, words

__all__ = ["Passage", "Passages"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z(])|\n{2,}")
_LEAST_LETTERS = 40
_MOST_LETTERS = 600
_SURE = 2  # shared words; a single one is taken only where no sentence shares more


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence as the paper has it, and its page from 1; empty and None where none was found."""

    text: str = ""
    page: int | None = None


class Passages:
    """The sentences of one paper, its references apart."""

    def __init__(self, paper: Paper) -> None:
        texts = [section.text for section in paper.sections] or list(paper.pages)
        self._paper = paper
        self._sentences = [sentence for text in [paper.abstract, *texts] for sentence in _sentences(text)]
        self._stems = [telling_words(sentence) for sentence in self._sentences]
        counts = Counter(stem for stems in self._stems for stem in stems)
        total = len(self._sentences)
        self._weights = {stem: math.log((1 + total) / count) for stem, count in counts.items()}
        self._pages: list[str] = []

    def find(self, idea: str) -> Passage:
        """Return the passage behind `idea`."""
        wanted = telling_words(idea)
        scores = [self._score(wanted & stems, stems) for stems in self._stems]
        best = max(range(len(scores)), key=lambda index: (scores[index], -index), default=None)
        if best is None or scores[best] <= (False, 0.0):
            return Passage()
        return Passage(self._sentences[best][:_MOST_LETTERS], self.page_of(self._sentences[best]))

    def page_of(self, passage: str) -> int | None:
        """Return the page, from 1, on which `passage` begins, or that is most like it."""
        if not self._pages:
            self._pages = [" ".join(words(page)) for page in self._paper.pages]
        start = " ".join(words(passage)[:12])
        pages = [number for number, page in enumerate(self._pages, start=1) if start and start in page]
        return pages[0] if pages else self._paper.page_of(passage)

    def _score(self, shared: frozenset[str], stems: frozenset[str]) -> tuple[bool, float]:
        # A long sentence shares more words with anything.
        weight = sum(map(self._weights.__getitem__, shared)) / math.sqrt(8 + len(stems))
        return len(shared) >= _SURE, weight


def _sentences(text: str) -> Sequence[str]:
    found = [" ".join(sentence.split()) for sentence in _SENTENCE_END.split(text)]
    return [sentence for sentence in found if len(sentence) >= _LEAST_LETTERS]
