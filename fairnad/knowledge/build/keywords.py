"""Finds ideas without a language model: papers judged by their abstracts, sentences of the method that tell a design.

The result is of lower grade than a language model's: a sentence of a paper is no instruction, and needs its context.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from fairnad.knowledge.attributes import Attribute, AttributeTree
from fairnad.knowledge.build.places import Tagged, tag_idea
from fairnad.knowledge.build.relevance import relevance
from fairnad.knowledge.build.vocabulary import plain, vocabulary
from fairnad.knowledge.ideas import MAX_WORDS

__all__ = ["FoundIdea", "PaperText", "Verdict", "extract_ideas", "judge_abstract"]

_FEWEST_WORDS, _LONGEST_SENTENCE = 8, 90
_MOST_IDEAS = 12  # of one paper, the best by score
_BEST_SENTENCES = 3  # of an abstract: the others tell of results and of the problem
_WHOLE = 0.5  # what the whole of title and abstract counts beside its best sentences
_KEPT_ABOVE = -0.9  # a paper that is read in vain costs little, one that is missed is lost
_REASONS = 3

_VISION = re.compile(r" (images?|imagenet|vision|visual|cifar|pixels?|segmentation|object|mnist|coco|photos?) ")
_BACKBONE = re.compile(r" (image (classification|recognition)|imagenet|ilsvrc|cifar|backbones?) ")
_ABBREVIATIONS = (
    "e.g.",
    "i.e.",
    "al.",
    "ig.",
    "igs.",
    "q.",
    "qs.",
    "ec.",
    "ef.",
    "ab.",
    "lg.",
    "cf.",
    "vs.",
    "resp.",
)
_SENTENCE = re.compile(
    "(?<=[.!?])" + "".join(f"(?<!{re.escape(one)})" for one in _ABBREVIATIONS) + r"\s+(?=[A-Z\"(])|\n{2,}"
)
_DESIGN = re.compile(
    r"\b(we|which|that|it|they|(layer|block|module|network|architecture|model|stage|unit)s?|branch(es)?)\b[^.]{0,60}?"
    r"\b(propos|introduc|present|design|us(e|es|ed|ing)\b|employ|adopt|appl(y|ies|ied)|replac|insert|add(s|ed)?\b"
    r"|stack|combin|divid|split|connect|concatenat|consists?\b|compos|compris|contain|follow|reduc|expand|perform"
    r"|comput|normali[sz]|aggregat|fus|feed|receiv|pass|shar|repeat|place)",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"\b(table|accuracy|error rates?|outperform\w*|state[- ]of[- ]the[- ]art|top-[15]|ablation|baseline|epochs?"
    r"|we (train|evaluate|compare|test|report)|experiments?|hyper-?parameters?|(previous|prior) works?)\b",
    re.IGNORECASE,
)
_CITATION = re.compile(r"\s*\[[\d,;\s\u2013-]+\]|\s*\((see |cf\. )?(fig|eq|sec|tab|alg)[^)]*\)", re.IGNORECASE)
_TORN = re.compile(r"\b(in|by|of|from|with|to|as|see|on|than)\s*[.,;:]|\(\s*\)", re.IGNORECASE)
_OPENING = re.compile(
    r"^(to this end|in this (paper|work|section)|therefore|thus|hence|moreover|furthermore|in addition|additionally"
    r"|specifically|in particular|instead|finally|first(ly)?|second(ly)?|then|here|however|as a result|also),?\s+",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[,;:](?=\s)|\s(?=(?:and|which|where|while|so|because)\s)")


class PaperText(Protocol):
    """What is needed of a paper: the text about its method, and the page of a passage."""

    @property
    def method(self) -> str:
        """Return the text about the method, with empty lines between paragraphs."""

    def page_of(self, passage: str) -> int | None:
        """Return the page, from 1, that a passage stands on."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a paper is kept by its title and abstract, and the words that spoke for or against it."""

    kept: bool
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundIdea:
    """An idea of fewer than 50 words, its place in the tree, and the sentence of the paper that it was cut from."""

    text: str
    place: Attribute
    page: int | None
    passage: str


def judge_abstract(title: str, abstract: str, tree: AttributeTree) -> Verdict:
    """Return whether a paper is about the architecture of image models, as far as its abstract tells.

    The best sentences and the whole are scored like ideas; a text that names what backbones are measured by may be
    worse, one that names nothing visual has to be better.
    """
    score_of = relevance().score
    whole = f"{title}. {abstract}"
    scores = sorted(map(score_of, filter(_is_long, _SENTENCE.split(abstract))), reverse=True)[:_BEST_SENTENCES]
    mean = sum(scores) / len(scores) if scores else score_of(title)
    words = plain(whole)
    is_visual, is_measured = bool(_VISION.search(words)), bool(_BACKBONE.search(words))
    score = mean + _WHOLE * score_of(whole) + (1.0 if is_visual else -1.0) + (1.0 if is_measured else 0.0)
    mains = {place.main for place in tree.attributes}
    is_kept = score > _KEPT_ABOVE
    if is_kept:
        found = [hits[0] for main, terms in vocabulary().mains.items() if main in mains and (hits := terms.find(words))]
    else:
        kinds = vocabulary().off_topic.items()
        found = [f"{name}: {hits[0]!r}" for name, terms in kinds if (hits := terms.hard.find(words))]
        found = found or ["few words of an architecture"]
    return Verdict(is_kept, score, tuple(found[:_REASONS]))


def extract_ideas(paper: PaperText, tree: AttributeTree) -> tuple[FoundIdea, ...]:
    """Return the sentences of the method that propose or describe a design, as ideas, in the order of the paper."""
    found: dict[str, tuple[float, Attribute, str]] = {}
    for sentence in filter(_tells_a_design, _sentences(paper.method)):
        text = _shortened(sentence)
        if text in found or _TORN.search(text):
            continue
        tagged = tag_idea(text, tree)
        if isinstance(tagged, Tagged):
            found[text] = (tagged.score, tagged.place, sentence)
    best = sorted(found, key=lambda text: -found[text][0])[:_MOST_IDEAS]
    return tuple(
        FoundIdea(text, place, paper.page_of(sentence), sentence)
        for text, (_, place, sentence) in found.items()
        if text in best
    )


def _sentences(text: str) -> Iterator[str]:
    for sentence in _SENTENCE.split(text):
        words = sentence.split()
        if _FEWEST_WORDS <= len(words) <= _LONGEST_SENTENCE:
            yield " ".join(words)


def _is_long(sentence: str) -> bool:
    return len(sentence.split()) >= _FEWEST_WORDS


def _tells_a_design(sentence: str) -> bool:
    letters = sum(character.isalpha() or character.isspace() for character in sentence)
    is_prose = letters >= 0.85 * len(sentence) and sentence[:1].isupper() and sentence.endswith((".", "!", ":"))
    return is_prose and bool(_DESIGN.search(sentence)) and not _RESULT.search(sentence)


def _shortened(sentence: str) -> str:
    """Return `sentence` without citations and opening words, cut behind a clause to fewer than 50 words."""
    text = _OPENING.sub("", _CITATION.sub("", sentence)).strip()
    text = text[:1].upper() + text[1:]
    if len(text.split()) <= MAX_WORDS:
        return text
    head = " ".join(text.split()[:MAX_WORDS])
    ends = [match.start() for match in _CLAUSE_END.finditer(head) if match.start() > len(head) // 3]
    return head[: ends[-1]].rstrip(" ,;:") + "." if ends else head
