"""The words of a text, and those that tell what it is about."""

from __future__ import annotations

import re

__all__ = ["telling_words", "words"]

_CITATION = re.compile(r"\[[\d,\s\u2013-]+\]")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without hyphens: what two printings of it share."""
    return re.findall(r"[^\W_]+", text.lower().replace("-", ""))


def telling_words(text: str) -> frozenset[str]:
    """Return the words of four letters and more, cut so that the forms of a word are one."""
    return frozenset(word[:6].rstrip("s") for word in words(_CITATION.sub("", text)) if len(word) > 3)
