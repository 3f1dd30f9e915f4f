"""How even a collection of ideas is, and how even draws from it are: numbers only, exact and without a draw."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.ideas import IdeaDatabase, SamplingLevel
from fairnad.records import Idea

__all__ = [
    "ATTRIBUTE_WORDS",
    "OFF_TOPIC_WORDS",
    "Category",
    "Imbalance",
    "KnowledgeStatistics",
    "describe",
    "draw_shares",
    "imbalance",
    "paper_shares",
    "word_counts",
]

ATTRIBUTE_WORDS = ("attention", "convolution", "mlp", "pooling")
"""What the attributes of feature extraction are counted by (paper, Figure 2, top)."""
OFF_TOPIC_WORDS = (
    "loss", "training", "optimizer", "dataset", "pre-trained", "distillation", "hardware",
    "3D", "point cloud", "LiDAR", "depth map", "video", "text",
)  # fmt: skip
"""Words of ideas that are no architecture, and of those of one task or domain (paper, Figure 3, middle, and 4.1)."""

Category = tuple[str, str]
"""Target and main category."""
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Imbalance:
    """How far shares are from even. `entropy` is in bits, at most `max_entropy`; `largest` has `largest_share`."""

    entropy: float
    max_entropy: float
    largest: str
    largest_share: float

    @property
    def effective(self) -> float:
        """The number of even categories that have this entropy."""
        return float(2**self.entropy)


@dataclass(frozen=True, slots=True)
class KnowledgeStatistics:
    """What is told about a database. Keys are in the order of the tree; shares add up to 1."""

    num_ideas: int
    by_category: Mapping[Category, int]
    by_target: Mapping[str, int]
    shares: Mapping[SamplingLevel, Mapping[Category, float]]
    """Expected share of the draws, for each level of fair sampling."""
    target_shares: Mapping[SamplingLevel, Mapping[str, float]]
    imbalance: Mapping[SamplingLevel, Imbalance]
    papers: Mapping[str, float]
    """Largest share first."""
    attribute_words: Mapping[str, int]
    """Of the ideas on feature extraction: how many have the word in their sub-category; "other" have none of them."""
    blocks: Mapping[str, int]
    """Of the ideas on blocks and connectivity: how many stand in each main category."""
    off_topic_words: Mapping[str, int]


def describe(database: IdeaDatabase, tree: AttributeTree) -> KnowledgeStatistics:
    """Return all statistics of `database`, whose ideas are tagged within `tree`."""
    mains = tree.mains()
    categories = [(target, main) for target, _, main in mains]
    shares = {level: draw_shares(database, level, _category, categories) for level in SamplingLevel}
    targets = list(dict.fromkeys(target for target, _ in categories))
    counts = Counter(map(_category, database.ideas))
    return KnowledgeStatistics(
        num_ideas=len(database),
        by_category={category: counts[category] for category in categories},
        by_target={target: sum(idea.target == target for idea in database.ideas) for target in targets},
        shares=shares,
        target_shares={level: draw_shares(database, level, _target, targets) for level in SamplingLevel},
        imbalance={level: imbalance({main: share for (_, main), share in shares[level].items()}) for level in shares},
        papers=paper_shares(database.ideas),
        attribute_words=_attribute_words(database.ideas),
        blocks={main: counts[target, main] for target, granularity, main in mains if granularity == "block"},
        off_topic_words=word_counts((idea.text for idea in database.ideas), OFF_TOPIC_WORDS),
    )


def draw_shares(
    database: IdeaDatabase, level: SamplingLevel, key: Callable[[Idea], _Key], keys: Iterable[_Key]
) -> dict[_Key, float]:
    """Return the expected share of draws at `level` for each of `keys`, which `key` tells of an idea."""
    weights = database.weights(level)
    shares = dict.fromkeys(keys, 0.0)
    for idea in database.ideas:
        shares[key(idea)] += weights[idea.id]
    return shares


def imbalance(shares: Mapping[str, float]) -> Imbalance:
    """Return how uneven `shares` are; a share of 0 counts as a category that could have had more."""
    entropy = -sum(share * math.log2(share) for share in shares.values() if share > 0)
    largest = max(shares, key=shares.__getitem__)
    return Imbalance(max(entropy, 0.0), math.log2(len(shares)), largest, shares[largest])


def paper_shares(ideas: Sequence[Idea]) -> dict[str, float]:
    """Return the share of each source, largest first; an idea with several sources is divided among them."""
    shares: dict[str, float] = defaultdict(float)
    for idea in ideas:
        sources = idea.sources or ("no source",)
        for source in sources:
            shares[source] += 1 / len(sources) / len(ideas)
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def word_counts(texts: Iterable[str], words: Iterable[str]) -> dict[str, int]:
    """Return how many of `texts` hold each of `words`, whole and in any case; a plural counts too."""
    patterns = {word: re.compile(rf"(?<!\w){re.escape(word)}(?:s|es)?(?!\w)", re.IGNORECASE) for word in words}
    counts = dict.fromkeys(patterns, 0)
    for text in texts:
        for word, pattern in patterns.items():
            counts[word] += pattern.search(text) is not None
    return counts


def _attribute_words(ideas: Sequence[Idea]) -> dict[str, int]:
    names = [idea.sub or "" for idea in ideas if idea.main == "feature extraction operators"]
    counts = word_counts(names, ATTRIBUTE_WORDS)
    return {**counts, "other": sum(not any(word in name for word in ATTRIBUTE_WORDS) for name in names)}


def _category(idea: Idea) -> Category:
    return idea.target or "", idea.main or ""


def _target(idea: Idea) -> str:
    return idea.target or ""
