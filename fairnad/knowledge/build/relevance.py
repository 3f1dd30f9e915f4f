"""Whether an idea is about the architecture of an image backbone: a linear model of its words. Knows no tree, no LLM.

The model is logistic regression on word stems (TF-IDF) and on counts of the vocabulary's terms, fitted by
`benchmarks/fit_relevance.py` on ideas labelled by hand; here it is a table of weights, `knowledge/relevance.json`.
Ideas of a language model and sentences found by keywords are judged alike, by `off_topic`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import explain
from fairnad.knowledge.build.vocabulary import core, plain, vocabulary
from fairnad.resources import resource

__all__ = ["Relevance", "groups", "off_topic", "other_subject", "relevance", "shipped_words", "stems"]

_WORD = re.compile(r"[a-z0-9]+")
_ENDINGS = (
    *("isation", "ization", "ational", "ations", "ation", "ments", "ment", "ings", "ing", "ively", "ive", "edly", "ed"),
    *("ers", "er", "ies", "es", "s", "ly", "al", "e"),
)
_LEAST_STEM = 4
_FAR_OFF = -1.0  # in the units of the logistic regression
_MOST_COUNTED = 3  # of one group in one idea: a word that is said again and again is no more news


def off_topic(text: str, *, is_doubted: bool = True) -> str | None:
    """Return why the idea `text` is not about the architecture of an image backbone, or None if it is.

    Without `is_doubted` what names no other subject is dropped only where its words are far from an architecture's:
    somebody else judges it too.
    """
    score = relevance().score(text)
    if score > 0.0:
        return None
    found = other_subject(text)
    if found is None and not is_doubted and score > _FAR_OFF:
        return None
    return found or "its words are not those of an architecture"


def other_subject(text: str) -> str | None:
    """Return what `text` is about, if its beginning says that this is no architecture of an image model; else None.

    Words behind the first clause do not count: what a block is good for does not make it something else.
    """
    words = plain(core(text))
    for name, terms in vocabulary().off_topic.items():
        found = terms.hard.find(words)
        if found:
            return f"{name}: {found[0]!r}"
    return None


def shipped_words() -> str:
    """Return a hash of the files that all of this is read from: it decides what a build has to do anew."""
    files = (resource("knowledge", name).read_bytes() for name in ("vocabulary.yaml", "relevance.json"))
    return hashlib.sha256(b"".join(files)).hexdigest()[:16]


def stems(text: str) -> list[str]:
    """Return the words of `text`, each without its ending."""
    return [_stem(word) for word in _WORD.findall(text.lower())]


def groups(text: str) -> dict[str, float]:
    """Return how often terms of each group stand in `text` and in its beginning, as log(1 + count)."""
    counts = _counts(plain(text)) | {f"core {name}": count for name, count in _counts(plain(core(text))).items()}
    return {name: math.log1p(count) for name, count in counts.items() if count}


def _counts(words: str) -> dict[str, int]:
    known = vocabulary()
    found = {f"main: {main}": terms.find(words) for main, terms in known.mains.items()}
    for name, terms in known.off_topic.items():
        found |= {f"hard: {name}": terms.hard.find(words), f"soft: {name}": terms.soft.find(words)}
    found["efficiency"] = known.efficiency.find(words)
    counts = {name: min(len(terms), _MOST_COUNTED) for name, terms in found.items()}
    for kind in ("main", "hard", "soft"):
        counts[f"all: {kind}"] = sum(count for name, count in counts.items() if name.startswith(f"{kind}: "))
    return counts


class Relevance(BaseModel):
    """The weights of the linear model. `terms` holds the inverse document frequency and the weight of each stem."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    bias: float
    terms: Mapping[str, TermWeight]
    groups: Mapping[str, float]

    @classmethod
    def load(cls, path: Path | None = None) -> Relevance:
        """Return those of a JSON file, by default the one that is shipped.

        Raises:
            KnowledgeError: the file cannot be read, or holds something else.
        """
        path = path or resource("knowledge", "relevance.json")
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise KnowledgeError(f"{path}: the weights cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise KnowledgeError(f"{path}: {explain(error)}") from error

    def rarity(self, text: str) -> float:
        """Return how rare the words of `text` are among ideas: the sum of their inverse document frequencies."""
        rarest = max(term.idf for term in self.terms.values())
        return sum(self.terms[stem].idf if stem in self.terms else rarest for stem in stems(text))

    def score(self, text: str) -> float:
        """Return the log-odds that `text` is about an architecture, moved so that 0 is where ideas are kept."""
        counts = Counter(stem for stem in stems(text) if stem in self.terms)
        values = {stem: (1 + math.log(count)) * self.terms[stem].idf for stem, count in counts.items()}
        norm = math.sqrt(sum(value * value for value in values.values())) or 1.0
        by_words = sum(value * self.terms[stem].weight for stem, value in values.items()) / norm
        by_groups = sum(value * self.groups.get(name, 0.0) for name, value in groups(text).items())
        return self.bias + by_words + by_groups


class TermWeight(NamedTuple):
    """What one stem counts."""

    idf: float
    weight: float


@cache
def relevance() -> Relevance:
    """Return the model that is shipped, read once."""
    return Relevance.load()


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            return word[: -len(ending)]
    return word
