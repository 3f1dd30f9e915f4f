"""Finds ideas that say the same in nearly the same words: MinHash of their words, locality-sensitive buckets."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fairnad.knowledge.build.vocabulary import plain, vocabulary

__all__ = ["merge_duplicates"]

_WORD = re.compile(r"[a-z0-9]+")
_SAME = 0.6  # of all stems of two ideas, as Jaccard similarity
_BANDS, _ROWS = 24, 3  # two ideas of similarity s share a bucket with probability 1 - (1 - s ** 3) ** 24
_EMPTY_WORDS = re.compile(
    r"an?|the|this|that|their|its?|which|and|or|are|is|be|can|as|at|by|for|from|in|into|of|on|to|with|we"
    r"|us(e|es|ed|ing)|(utiliz|introduc|incorporat|integrat)(e|ing)|(employ|adopt|implement|apply|design)(ing)?"
)
_CONTRASTS = re.compile(
    r"before|after|pre|post|first|last|early|earlier|late|later|shallow|deep|deeper|top|bottom"
    r"|(increas|decreas|reduc|enlarg|widen|narrow|shrink|rais|lower|add|remov|halv|doubl|expand|compress)(e|es|ed|ing|s)?"
    r"|more|fewer|less|larger|smaller|wider|narrower|longer|shorter|higher|maximum|max|minimum|min|average|mean|sum"
    r"|channel|channels|spatial|local|global|row|column|horizontal|vertical|encoder|decoder|input|output|with|without"
)
"""Words that make two ideas differ, however much of the rest they share; so do the terms of the vocabulary."""


def merge_duplicates(texts: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return the indices of `texts` in groups that say the same, each in order, the groups by their first index.

    An idea joins the group of the first idea that it is like: so a chain of small differences does not grow. Two that
    share most words are not alike where each names a thing that the other does not, or names the same in another order.
    """
    sets = [_stems(text) for text in texts]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    groups: dict[int, list[int]] = {}
    for index, (text, stems) in enumerate(zip(texts, sets, strict=True)):
        keys = list(_keys(stems))
        candidates = _like(stems, sorted({other for key in keys for other in buckets[key]}), sets)
        first = next((other for other in candidates if _say_the_same(text, texts[other])), None)
        if first is not None:
            groups[first].append(index)
            continue
        groups[index] = [index]
        for key in keys:
            buckets[key].append(index)
    return tuple(tuple(group) for group in groups.values())


def _like(stems: frozenset[str], candidates: Sequence[int], sets: Sequence[frozenset[str]]) -> Iterator[int]:
    for other in candidates:
        if len(stems & sets[other]) >= _SAME * len(stems | sets[other]):
            yield other


def _say_the_same(one: str, other: str) -> bool:
    """Return whether two texts of nearly the same words mean the same by their order and by the words that differ."""
    first, second = _named(one), _named(other)
    shared = {*first} & {*second}
    if [word for word in first if word in shared] != [word for word in second if word in shared]:
        return False
    told, others = {*first} | _contrasts(one), {*second} | _contrasts(other)
    return told <= others or others <= told


def _named(text: str) -> list[str]:
    """Return what `text` names, in order, each once: words of the vocabulary's terms, and sizes."""
    words = plain(text)
    terms = {word for found in vocabulary().mains.values() for term in found.find(words) for word in term.split()}
    return list(dict.fromkeys(word[:6] for word in words.split() if word in terms or word[0].isdigit()))


def _contrasts(text: str) -> set[str]:
    return {word[:3] for word in plain(text).split() if _CONTRASTS.fullmatch(word)}


def _stems(text: str) -> frozenset[str]:
    """Return the telling words of `text`, cut so that the forms of a word are one."""
    words = _WORD.findall(text.lower())
    return frozenset(word[:6] for word in words if not _EMPTY_WORDS.fullmatch(word)) or frozenset(words)


def _keys(stems: frozenset[str]) -> Iterator[tuple[int, bytes]]:
    """Yield the bucket of each band: equal sets share all of them, sets that are alike some."""
    least = np.minimum.reduce([_hashes(stem) for stem in stems or ("",)])
    for band in range(_BANDS):
        yield band, least[band * _ROWS : (band + 1) * _ROWS].tobytes()


@lru_cache(maxsize=1 << 15)
def _hashes(stem: str) -> NDArray[np.uint64]:
    """Return a hash of `stem` for each row; ideas have few different words, so each is computed once."""
    return _MULTIPLIERS * _number(stem)


def _number(text: str) -> np.uint64:
    """Return an odd number, the same in every process, unlike the hash of a string."""
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") | 1)


_MULTIPLIERS = np.array([_number(f"multiplier {row}") for row in range(_BANDS * _ROWS)])
