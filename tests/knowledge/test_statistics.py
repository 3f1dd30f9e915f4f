"""Shares are exact, agree with real draws, and what is uneven is told in bits."""

import math
import random
from collections import Counter

import pytest

from fairnad.knowledge import AttributeTree, IdeaDatabase, SamplingLevel
from fairnad.knowledge.statistics import describe, draw_shares, imbalance, paper_shares, word_counts
from fairnad.records import Idea


def idea(number, main, sub=None, *, target="performance", granularity="operation", sources=(), text="An idea."):
    return Idea(id=str(number), text=text, target=target, granularity=granularity, main=main, sub=sub, sources=sources)


def lopsided():
    """Six ideas on features (four of them attention), one on activation, one on dynamic computation."""
    subs = ["attention"] * 4 + ["token-mixing-mlp", None]
    features = [idea(number, "feature extraction operators", sub) for number, sub in enumerate(subs)]
    return IdeaDatabase(
        (
            *features,
            idea(6, "activation", "relu"),
            idea(7, "dynamic computation", target="efficiency", granularity="network"),
        )
    )


@pytest.fixture(scope="module")
def told():
    return describe(lopsided(), AttributeTree.load())


def test_counts_name_every_category_in_the_order_of_the_tree(told):
    assert list(told.by_category) == [(target, main) for target, _, main in AttributeTree.load().mains()]
    assert sum(told.by_category.values()) == told.num_ideas == 8
    assert told.by_category["performance", "feature extraction operators"] == 6
    assert told.by_category["performance", "normalization"] == 0
    assert told.by_target == {"performance": 7, "efficiency": 1}


@pytest.mark.parametrize(
    ("level", "features", "activation", "dynamic"),
    [
        (SamplingLevel.NONE, 6 / 8, 1 / 8, 1 / 8),
        (SamplingLevel.GRANULARITY, 6 / 14, 1 / 14, 1 / 2),
        (SamplingLevel.MAIN, 1 / 3, 1 / 3, 1 / 3),
        (SamplingLevel.SUB, 3 / 5, 1 / 5, 1 / 5),
    ],
)
def test_expected_shares_of_each_level(told, level, features, activation, dynamic):
    shares = told.shares[level]
    assert shares["performance", "feature extraction operators"] == pytest.approx(features)
    assert shares["performance", "activation"] == pytest.approx(activation)
    assert shares["efficiency", "dynamic computation"] == pytest.approx(dynamic)
    assert sum(shares.values()) == pytest.approx(1)
    assert told.target_shares[level]["efficiency"] == pytest.approx(dynamic)


@pytest.mark.parametrize("level", SamplingLevel)
def test_weights_are_those_of_real_draws(level):
    database, rng, num_draws = lopsided(), random.Random(0), 20_000
    drawn = Counter(database.sample(rng, level=level).id for _ in range(num_draws))
    for name, weight in database.weights(level).items():
        error = math.sqrt(weight * (1 - weight) / num_draws)
        assert abs(drawn[name] / num_draws - weight) < 5 * error


def test_entropy_in_bits_and_the_largest_share():
    even = imbalance({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25})
    assert (even.entropy, even.max_entropy, even.largest_share, even.effective) == (2, 2, 0.25, 4)
    one = imbalance({"a": 0.0, "b": 1.0})
    assert (one.entropy, one.max_entropy, one.largest, one.effective) == (0, 1, "b", 1)


def test_fair_sampling_evens_out_what_is_uneven(told):
    before, after = (told.imbalance[level] for level in (SamplingLevel.NONE, SamplingLevel.MAIN))
    assert before.largest == "feature extraction operators"
    assert after.entropy == pytest.approx(math.log2(3))
    assert before.entropy < after.entropy < after.max_entropy == math.log2(15)


def test_an_idea_of_several_papers_is_divided_among_them():
    ideas = [idea(0, "activation", sources=("A", "B")), idea(1, "activation", sources=("B",)), idea(2, "activation")]
    shares = paper_shares(ideas)
    assert list(shares) == ["B", "no source", "A"]
    assert list(shares.values()) == pytest.approx([1 / 2, 1 / 3, 1 / 6])


def test_words_are_counted_whole_once_a_text_and_in_any_case():
    texts = ["A Loss and a loss.", "Losses of 3D point clouds", "lossless, 3Dish", "glossy"]
    assert word_counts(texts, ("loss", "3D", "point cloud")) == {"loss": 2, "3D": 1, "point cloud": 1}


def test_the_words_of_figure_2(told):
    assert told.attribute_words == {"attention": 4, "convolution": 0, "mlp": 1, "pooling": 0, "other": 1}
    assert list(told.blocks) == [main for _, level, main in AttributeTree.load().mains() if level == "block"]


def test_shares_by_any_other_key():
    shares = draw_shares(lopsided(), SamplingLevel.MAIN, lambda idea: idea.granularity, ("operation", "network"))
    assert shares == pytest.approx({"operation": 2 / 3, "network": 1 / 3})


def test_the_shipped_ideas_are_nearly_even():
    tree = AttributeTree.load()
    told = describe(IdeaDatabase.load(), tree)
    assert told.imbalance[SamplingLevel.MAIN].entropy == pytest.approx(math.log2(15))
    assert min(told.by_category.values()) > 0
    assert sum(told.papers.values()) == pytest.approx(1)
