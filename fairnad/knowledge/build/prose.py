"""Turns printed rows into running text: ligatures, accents, and words that were broken at the end of a row."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

__all__ = ["clean", "join", "vocabulary"]

_LIGATURES = {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st"}
_CHARACTERS = str.maketrans(
    {
        **_LIGATURES,
        "\ufb06": "st",
        "\u00a0": " ",
        "\u2010": "-",
        "\u2011": "-",
        "\u00ad": "-",
        "\u200b": "",
        "\ufeff": "",
    }
)
# TeX prints an accent as a character of its own, before its letter.
_ACCENTS = {
    **{"\u00b4": "\u0301", "\u00a8": "\u0308", "\u02c7": "\u030c", "\u02c6": "\u0302", "\u02dc": "\u0303"},
    **{"\u0060": "\u0300", "\u02da": "\u030a", "\u02d8": "\u0306", "\u02dd": "\u030b", "\u00b8": "\u0327"},
}
_ACCENTED = re.compile(f"([{''.join(_ACCENTS)}])([A-Za-z\u0131])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BROKEN = re.compile(r"([^\W\d_][\w-]*)-$")
_START = re.compile(r"[^\W\d_]+")


def clean(text: str) -> str:
    """Return one row of text with plain letters and single spaces; tabs stay."""
    text = text.translate(_CHARACTERS)
    if not text.isascii():
        text = _ACCENTED.sub(_accented, text)
    text = _CONTROL.sub("", text).strip()
    return re.sub(r" {2,}", " ", text) if "  " in text else text


def vocabulary(rows: Iterable[str]) -> frozenset[str]:
    """Return the words of all rows, those left out that may be halves of a broken one."""
    found: set[str] = set()
    was_broken = False
    for row in rows:
        parts = _WORD.findall(row.lower())
        is_broken = row.endswith("-")
        found.update(parts[1 if was_broken else 0 : len(parts) - is_broken])
        was_broken = is_broken
    return frozenset(found)


def join(rows: Iterable[str], known: Collection[str]) -> str:
    """Return the rows as one paragraph; `known` words decide whether a hyphen at a row's end belongs there."""
    text = ""
    for row in rows:
        row = row.replace("\t", " ")
        broken, start = _BROKEN.search(text), _START.match(row)
        if not broken or not start:
            text = f"{text} {row}" if text else row
        elif _keeps_hyphen(broken[1], start[0], known):
            text += row
        else:
            text = text[:-1] + row
    return text


def _keeps_hyphen(left: str, right: str, known: Collection[str]) -> bool:
    left, small = left.lower(), right.lower()
    if right[0].isupper() or "-" in left:
        return True
    if left + small in known:
        return False
    return f"{left}-{small}" in known or (left in known and small in known)


def _accented(match: re.Match[str]) -> str:
    letter = "i" if match[2] == "\u0131" else match[2]
    composed = unicodedata.normalize("NFC", letter + _ACCENTS[match[1]])
    return composed if len(composed) == 1 else match[0]
