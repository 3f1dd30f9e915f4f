"""Where an idea stands in the attribute tree: by its words, or by tags that a language model gave it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from fairnad.knowledge.attributes import Attribute, AttributeTree
from fairnad.knowledge.build.names import Synonyms, key
from fairnad.knowledge.build.relevance import off_topic, relevance
from fairnad.knowledge.build.vocabulary import Terms, core, plain, vocabulary

__all__ = ["Rejected", "Tagged", "map_tags", "tag_idea"]

_IN_CORE = 1.5  # what is done tells more than what it is good for
_REST = 0.3  # of what the terms beside the most telling one count
_GIVEN_UP = 0.5  # what stands for a thing that the idea replaces
_SAVES = 1.3  # what words such as "cheaper" make of the efficiency target's categories
_GENERIC = {"feature extraction operators": 0.6}  # named in passing by ideas about anything else
_MOST_OTHERS = 2
_AS_GOOD = 0.6  # of the best place's score
_LIKE = 0.87  # difflib's ratio of two names that are taken for one


@dataclass(frozen=True, slots=True)
class Tagged:
    """An idea with its place in the tree; `others` fit nearly as well. `score` is the log-odds of being on topic."""

    place: Attribute
    score: float
    others: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """An idea that has no place in the tree, and why."""

    reason: str
    score: float


def tag_idea(text: str, tree: AttributeTree) -> Tagged | Rejected:
    """Return where `text` stands in `tree`, or why it is no idea about the architecture of an image backbone."""
    score = relevance().score(text)
    if reason := off_topic(text):
        return Rejected(reason, score)
    hits = _hits(text, tree)
    scores = _main_scores(hits, text, tree)
    if not scores:
        return Rejected("no category of the tree is named", score)
    ranked = sorted(scores, key=lambda place: -scores[place])
    best, *others = (place for place in ranked if scores[place] >= _AS_GOOD * scores[ranked[0]])
    also = tuple(_with_sub(place, hits, tree) for place in others[:_MOST_OTHERS])
    return Tagged(_with_sub(best, hits, tree), score, also)


def map_tags(place: Attribute, tree: AttributeTree) -> Attribute | None:
    """Return the place of `tree` that the names in `place` mean, however they are written; None where there is none.

    The main category decides: target and granularity follow from it. A sub-category outside the tree is left out.
    """
    mains = {known.main: known for known in tree.attributes if known.sub is None}
    named = _nearest(place.main, mains)
    if named is None:
        return _by_sub(place, tree)
    sub = _sub(place.sub, named, tree)
    # Some models repeat the main category as its own sub-category, or name a sub-category in both places.
    return mains[named] if sub is None else next(a for a in tree.attributes if (a.main, a.sub) == (named, sub))


_REPLACED = re.compile(r" replac[a-z]* (.{1,80}?) (?:by|with) | (?:instead of|in place of|rather than) (.{1,30})")


class _Hit(NamedTuple):
    """A term found in a text: where, whose it is, and how telling it is."""

    start: int
    end: int
    main: str
    sub: str | None
    weight: float


def _hits(text: str, tree: AttributeTree) -> list[_Hit]:
    """Return the terms of the tree in `text`, without those that are part of a longer one: it says what is meant."""
    words, end_of_core = plain(text), len(plain(core(text))) - 1
    found = [
        (match.start(), match.end(), main, sub, match.group())
        for (main, sub), terms in _terms(tree).items()
        for match in terms.pattern.finditer(words)
    ]
    replaced = [match.span(match.lastindex or 0) for match in _REPLACED.finditer(words)]
    spans = {(start, end) for start, end, *_ in found}
    whole = {one for one in spans if not any(_is_inside(one, other) for other in spans)}

    def weight(start: int, end: int, term: str) -> float:
        is_given_up = any(begin <= start < stop for begin, stop in replaced)
        return (
            relevance().rarity(term) * (_IN_CORE if end <= end_of_core else 1.0) * (_GIVEN_UP if is_given_up else 1.0)
        )

    return [
        _Hit(start, end, main, sub, weight(start, end, term))
        for start, end, main, sub, term in found
        if (start, end) in whole
    ]


def _is_inside(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return other[0] <= one[0] and one[1] <= other[1] and one != other


def _main_scores(hits: Sequence[_Hit], text: str, tree: AttributeTree) -> dict[Attribute, float]:
    """Return how much of `text` speaks of each main category; only those of which anything does."""
    scores = {}
    saves = _SAVES if vocabulary().efficiency.find(plain(text)) else 1.0
    for place in tree.attributes:
        weights = {(hit.start, hit.end): hit.weight for hit in hits if hit.main == place.main}
        if place.sub is None and weights:
            most = max(weights.values())
            score = most + _REST * (sum(weights.values()) - most)
            scores[place] = score * _GENERIC.get(place.main, 1.0) * (saves if place.target == "efficiency" else 1.0)
    return scores


def _with_sub(place: Attribute, hits: Sequence[_Hit], tree: AttributeTree) -> Attribute:
    """Return the sub-category of `place` that the most telling of its hits names, or else `place`."""
    below = [hit for hit in hits if hit.main == place.main and hit.sub is not None]
    best = max(below, key=lambda hit: hit.weight, default=None)
    return next((one for one in tree.attributes if best and (one.main, one.sub) == (best.main, best.sub)), place)


@lru_cache(maxsize=4)
def _terms(tree: AttributeTree) -> Mapping[tuple[str, str | None], Terms]:
    """Return the terms of each place; a sub-category that the vocabulary does not know is looked for by its name."""
    known = vocabulary().places
    return {
        (place.main, place.sub): known.get((place.main, place.sub))
        or Terms.of([f"{plain(place.sub or place.main).strip()}*"])
        for place in tree.attributes
    }


@lru_cache(maxsize=1)
def _synonyms() -> Synonyms:
    return Synonyms.load()


def _nearest(name: str | None, known: Iterable[str]) -> str | None:
    """Return the known name that `name` means, if any: its key is the same, or nearly."""
    keys = {key(other): other for other in known}
    wanted = key(name or "")
    if not wanted:
        return None
    found = [wanted] if wanted in keys else difflib.get_close_matches(wanted, keys, n=1, cutoff=_LIKE)
    return keys[found[0]] if found else None


def _sub(name: str | None, main: str, tree: AttributeTree) -> str | None:
    subs = [place.sub for place in tree.attributes if place.main == main and place.sub is not None]
    return _nearest(_synonyms().of(name, main), subs) if name and name.strip() else None


def _by_sub(place: Attribute, tree: AttributeTree) -> Attribute | None:
    """Return the place whose sub-category is named, under whatever main category; the given target comes first."""
    found = [
        known
        for known in tree.attributes
        for name in (place.sub, place.main)
        if known.sub is not None and name and key(_synonyms().of(name, known.main)) == key(known.sub)
    ]

    def misses(known: Attribute) -> tuple[bool, bool]:
        return known.target != place.target, known.granularity != place.granularity

    return min(found, key=misses, default=None)
