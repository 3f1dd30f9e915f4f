"""When two names of an attribute are the same one: case, plurals, abbreviations, synonyms. Knows no tree and no LLM."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fairnad.errors import ConfigError, KnowledgeError
from fairnad.resources import resource

__all__ = ["Synonyms", "key", "tidy"]

_WORDS = {
    "bn": "batch normalization",
    "conv": "convolution",
    "convolutional": "convolution",
    "dw": "depthwise",
    "fc": "fully connected",
    "gn": "group normalization",
    "ln": "layer normalization",
    "mhsa": "self-attention",
    "norm": "normalization",
    "normalisation": "normalization",
    "pw": "pointwise",
    "summation": "addition",
}
"""Abbreviations and spellings of single words."""

_PHRASES = (
    (r"\bdepth[ -]wise\b", "depthwise"),
    (r"\bpoint[ -]wise\b", "pointwise"),
    (r"\bhard[ -]?swish\b|\bh[ -]swish\b", "hardswish"),
    (r"\b(?:multi[ -]?head(?:ed)?[ -])?self[ -]?attention\b", "attention"),
    (r"\bglobal ?response normalization\b", "grn"),
    (r"\bmulti[ -]?layer perceptron\b", "mlp"),
)
_MARKS = " \t\n*_\"'`.,:;-#[]{}<>|"
_GENERIC = {"function", "layer", "mechanism", "module", "op", "operation", "operator", "technique"}
"""Words that say nothing at the end of a name."""
_JOINING = {"across", "and", "for", "in", "of", "over", "with"}
"""Words of a name whose last word need not be the one that is counted."""


def tidy(name: str) -> str:
    """Return `name` in lower case, in the singular, without marks, class prefixes and empty last words; "" for none."""
    text = unicodedata.normalize("NFKC", name).strip(_MARKS).replace("_", " ")
    text = re.sub(r"\s*\([^)]*\)", "", re.sub(r"\bnn\.", "", text)) or text
    text = re.sub(r"(?<=[A-Za-z])[123]d\b", "", text).casefold()
    text = re.sub(r"(?<=[a-z])norm\b", " norm", text)
    text = re.sub(r"[a-z]+", lambda word: _WORDS.get(word[0], word[0]), text)
    for pattern, phrase in _PHRASES:
        text = re.sub(pattern, phrase, text)
    words = [*text.split()]
    if not _JOINING & set(words):
        words[-1:] = [_singular(word) for word in words[-1:]]
    while len(words) > 1 and words[-1] in _GENERIC:
        words.pop()
    return " ".join(words)


def key(name: str) -> str:
    """Return what two names have in common when they are the same: hyphens and plurals make no difference."""
    return " ".join(_singular(word) for word in re.split(r"[\s/-]+", tidy(name)) if word)


@dataclass(frozen=True, slots=True)
class Synonyms:
    """The names of a vocabulary with the terms that stand for each: main category -> name -> terms."""

    terms: Mapping[str, Mapping[str, Sequence[str]]]

    @classmethod
    def load(cls, path: Path | None = None) -> Synonyms:
        """Return those of a vocabulary, by default the shipped one; there are none where none is shipped.

        Raises:
            KnowledgeError: `path` cannot be read, or is no vocabulary.
        """
        try:
            path = path or resource("knowledge", "vocabulary.yaml")
        except ConfigError:
            return cls({})
        try:
            terms = yaml.safe_load(path.read_text(encoding="utf-8"))["attributes"]
            return cls({main: {name: list(of) for name, of in names.items()} for main, names in terms.items()})
        except OSError as error:
            raise KnowledgeError(f"{path}: the vocabulary cannot be read: {error.strerror}") from error
        except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
            message = f"{path}: expected attributes: {{main category: {{sub-category: [term]}}}}, found {error!r}"
            raise KnowledgeError(message) from error

    def of(self, name: str, main: str) -> str:
        """Return how `name` is written under the main category `main`, in one spelling for all its synonyms."""
        text = re.sub(r"(?<=\w) activation\Z", "", tidy(name)) if main == "activation" else tidy(name)
        wanted = key(text)
        known = {key(sub): sub for sub in self.terms.get(main, {}) if sub != "main"}
        if wanted in known:
            return known[wanted]
        for sub, terms in self.terms.get(main, {}).items():
            # A name that says more than the sub-category is no synonym: a dynamic convolution is a kind of convolution.
            is_kind = set(key(sub).split()) < set(wanted.split())
            if sub != "main" and not is_kind and any(_is_term(wanted, term) for term in terms):
                return sub
        return text


def _is_term(words: str, term: str) -> bool:
    """Return whether `words` are `term` as a whole; `*` at the end of a word of the term stands for any ending."""
    pattern = " ".join(re.escape(word).replace(r"\*", r"\w*") for word in str(term).casefold().split())
    return re.fullmatch(pattern, words) is not None or key(str(term)) == words


def _singular(word: str) -> str:
    if len(word) < 4 or word.endswith(("ss", "us", "is", "ias")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word.removesuffix("s")
