"""The words that the tagger reads an idea by, `knowledge/vocabulary.yaml`: finds them in a text, and judges nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import explain
from fairnad.resources import resource

__all__ = ["OffTopic", "Terms", "Vocabulary", "core", "plain", "vocabulary"]

_TIMES = "\u00d7"
_WORD = re.compile(r"[a-z0-9]+")
_CLAUSE = re.compile(r"[,;:]|\. | (?:to|which|that|so|for|when|where|while|as) ", re.IGNORECASE)
_FEWEST_CORE_WORDS = 5
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # that in C, if PyYAML has it, takes an eighth of the time


def plain(text: str) -> str:
    """Return the words of `text` in lower case, with one space between, before and behind them."""
    return f" {' '.join(_WORD.findall(text.lower().replace(_TIMES, ' x ')))} "


def core(text: str) -> str:
    """Return the beginning of `text` that says what is done, without the clauses about why, where and for what."""
    for end in _CLAUSE.finditer(text):
        if len(text[: end.start()].split()) >= _FEWEST_CORE_WORDS:
            return text[: end.start()]
    return text


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms that are looked for together; where several begin at a word, the longest that is written out counts."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, terms: Iterable[str]) -> Terms:
        """Return those of a vocabulary: words, and `*` at the end of a word for any ending."""
        ordered = sorted(set(terms), key=len, reverse=True)
        return cls(
            re.compile(rf"(?<= )(?:{'|'.join(map(_pattern, ordered))})(?= )") if ordered else re.compile(r"(?!)")
        )

    def find(self, words: str) -> list[str]:
        """Return what is found in `words`, a plain text, in its order."""
        return self.pattern.findall(words)


def _pattern(term: str) -> str:
    return " ".join(re.escape(word).replace(r"\*", "[a-z0-9]*") for word in term.split())


@dataclass(frozen=True, slots=True)
class OffTopic:
    """The terms of one thing that an idea must not be about; a `hard` one decides, a `soft` one is a sign."""

    hard: Terms
    soft: Terms


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The terms of the attribute tree's places, of efficiency, and of what is off the topic.

    `places` is keyed by main category and sub-category, None for the terms of the main category itself; `mains` holds
    all terms below a main category together.
    """

    places: Mapping[tuple[str, str | None], Terms]
    mains: Mapping[str, Terms]
    efficiency: Terms
    off_topic: Mapping[str, OffTopic]

    @classmethod
    def load(cls, path: Path | None = None) -> Vocabulary:
        """Return that of the YAML file `path`, by default the one that is shipped.

        Raises:
            KnowledgeError: the file cannot be read, or is no vocabulary.
        """
        path = path or resource("knowledge", "vocabulary.yaml")
        try:
            file = _File.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER))
        except OSError as error:
            raise KnowledgeError(f"{path}: the vocabulary cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise KnowledgeError(f"{path}: is no YAML: {error}") from error
        except ValidationError as error:
            raise KnowledgeError(f"{path}: {explain(error)}") from error
        places = {
            (main, None if sub == "main" else sub): Terms.of(terms)
            for main, subs in file.attributes.items()
            for sub, terms in subs.items()
        }
        mains = {
            main: Terms.of(term for terms in subs.values() for term in terms) for main, subs in file.attributes.items()
        }
        off_topic = {name: OffTopic(Terms.of(kind.hard), Terms.of(kind.soft)) for name, kind in file.off_topic.items()}
        return cls(places, mains, Terms.of(file.efficiency_cues), off_topic)


@cache
def vocabulary() -> Vocabulary:
    """Return the one that is shipped, read once."""
    return Vocabulary.load()


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    hard: tuple[str, ...]
    soft: tuple[str, ...] = ()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    attributes: dict[str, dict[str, tuple[str, ...]]]
    efficiency_cues: tuple[str, ...]
    off_topic: dict[str, _Kind]
