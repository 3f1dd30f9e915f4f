"""Where ideas stand in the tree: by their words, and by tags that are written in other ways."""

import pytest

from fairnad.knowledge.attributes import Attribute, AttributeTree
from fairnad.knowledge.build.tagging import Rejected, Tagged, map_tags, tag_idea
from fairnad.knowledge.ideas import IdeaDatabase

TREE = AttributeTree.load()
P, E = "performance", "efficiency"


@pytest.mark.parametrize(
    ("text", "main", "sub"),
    [
        ("Replace batch normalization by layer normalization in every block.", "normalization", "layer normalization"),
        ("Use GELU as the activation function between both convolutions.", "activation", "gelu"),
        (
            "Use depthwise separable convolutions to cut the parameters of the last stage.",
            "efficient convolution",
            "depthwise separable convolution",
        ),
        (
            "Insert a squeeze-and-excitation block behind each residual branch.",
            "adaptive feature recalibration",
            "channel attention (SE block)",
        ),
        ("Limit self-attention to shifted windows of the feature map.", "efficient transformer", "windowed attention"),
        (
            "Connect each layer to all earlier features by dense connections and feature reuse.",
            "dense connectivity for feature reuse",
            None,
        ),
        ("Scale depth and width of the network by compound scaling.", "network-wise scaling", "compound scaling"),
        ("Add positional embeddings to the image patches at the input.", "input encoding", "position embedding"),
    ],
)
def test_an_idea_is_tagged_by_its_words(text, main, sub):
    tagged = tag_idea(text, TREE)
    assert isinstance(tagged, Tagged)
    assert (tagged.place.main, tagged.place.sub) == (main, sub)
    assert tagged.score > 0
    for place in (tagged.place, *tagged.others):
        TREE.check(place)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Pre-train the encoder with a contrastive loss on unlabeled video.", "training: 'train the'"),
        ("Render novel views from a neural radiance field with volume rendering.", "other modality: 'render'"),
        ("The weather was fine and everybody went home early that day.", "its words are not those of an architecture"),
    ],
)
def test_an_idea_off_the_topic_is_rejected_with_a_reason(text, reason):
    rejected = tag_idea(text, TREE)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason
    assert rejected.score <= 0


def test_most_shipped_ideas_get_their_category():
    seeds = [idea for idea in IdeaDatabase.load().ideas if idea.id.startswith("seed-")]
    tagged = [tag_idea(idea.text, TREE) for idea in seeds]
    near = [
        isinstance(one, Tagged) and idea.main in {place.main for place in (one.place, *one.others)}
        for idea, one in zip(seeds, tagged, strict=True)
    ]
    assert sum(near) >= 0.7 * len(seeds)


def test_a_sub_category_that_the_vocabulary_lacks_is_found_by_its_name():
    tree = AttributeTree(
        (Attribute(P, "operation", "normalization"), Attribute(P, "operation", "normalization", "zebra norm"))
    )
    tagged = tag_idea("Replace batch normalization by a zebra norm in each block of the network.", tree)
    assert isinstance(tagged, Tagged)
    assert tagged.place == tree.attributes[1]


def test_an_idea_without_a_category_of_the_tree_is_rejected():
    tree = AttributeTree((Attribute(P, "operation", "activation"),))
    result = tag_idea("Use depthwise separable convolutions in each residual block of the backbone.", tree)
    assert isinstance(result, Rejected)
    assert result.reason == "no category of the tree is named"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (
            (P, "operation level", "Feature Extraction Operators", "Self-Attention"),
            (P, "operation", "feature extraction operators", "attention"),
        ),
        ((E, "block", "normalisation", "LayerNorm"), (P, "operation", "normalization", "layer normalization")),
        (
            (E, "", "efficient convolution operation", "depth-wise separable convolutions"),
            (E, "operation", "efficient convolution", "depthwise separable convolution"),
        ),
        ((P, "operation", "activations", "mish"), (P, "operation", "activation", None)),
        (
            (P, "block", "anything", "SE block"),
            (P, "block", "adaptive feature recalibration", "channel attention (SE block)"),
        ),
        ((E, "network", "stochastic depth", None), (E, "network", "dynamic computation", "stochastic depth")),
        ((E, "block", "stochastic depth", None), (E, "block", "efficient block structures", "stochastic depth")),
        ((P, "network", "netwrok structural patterns", None), (P, "network", "network structural patterns", None)),
        ((P, "operation", "loss functions", "focal loss"), None),
        (("", "", "", " "), None),
    ],
)
def test_tags_are_mapped_into_the_tree_or_refused(given, place):
    assert map_tags(Attribute(*given), TREE) == (None if place is None else Attribute(*place))


def test_tags_of_the_tree_stay_as_they_are():
    for place in TREE.attributes:
        assert map_tags(place, TREE) == place
