"""Whether an idea is about an architecture: the rule, the linear model, and the ideas that two readers labelled."""

import hashlib
import json
import math
import random
from pathlib import Path

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge.build.relevance import Relevance, groups, off_topic, other_subject, stems
from fairnad.knowledge.ideas import IdeaDatabase

UNTAGGED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ideas_untagged.json"
LABELS = json.loads((Path(__file__).parent / "labels.json").read_text())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Train the network with a contrastive loss between two augmented views.", "training"),
        ("Add a focal loss on hard pixels.", "loss"),
        ("Collect a new dataset of street scenes with dense annotations.", "data set"),
        ("Quantize all weights for int8 inference on edge devices.", "hardware"),
        ("Use a decoupled detection head with two branches.", "task head"),
        ("Encode point clouds by sparse voxel convolutions.", "other modality"),
        ("Fuse audio and video features by cross attention.", "other modality"),
        ("Condition the diffusion U-Net on class embeddings.", "generative model"),
        ("Initialise the encoder from a pre-trained CLIP model.", "other modality"),
        ("Take features of a frozen foundation model as input.", "pre-trained model"),
    ],
)
def test_the_rule_names_what_an_idea_is_about_instead(text, kind):
    assert (other_subject(text) or "").startswith(f"{kind}: '")
    assert off_topic(text) == other_subject(text)


@pytest.mark.parametrize(
    "text",
    [
        "Replace the 3x3 convolution of each block by a depthwise 7x7 convolution, which also eases training.",
        "Share the weights of all blocks of a stage, so that few labeled images suffice.",
    ],
)
def test_the_rule_looks_at_the_first_clause_alone(text):
    assert other_subject(text) is None


def test_the_shipped_ideas_are_on_the_topic():
    """They were written for this project and are no part of what the model was fitted on."""
    ideas = IdeaDatabase.load().ideas
    seeds = [idea for idea in ideas if idea.id.startswith("seed-")]
    assert not [idea.text for idea in seeds if other_subject(idea.text)]
    assert sum(off_topic(idea.text) is None for idea in seeds) >= 0.95 * len(seeds)


def test_an_idea_without_words_of_an_architecture_is_off_the_topic():
    assert off_topic("Wait for the evening and look at the sunset.") == ("its words are not those of an architecture")


def test_the_score_is_bias_words_and_groups():
    model = Relevance(
        source="a test", bias=-1.0, terms={"convolution": (2.0, 3.0), "loss": (1.0, -2.0)}, groups={"efficiency": 0.5}
    )
    assert model.score("unrelated words") == -1.0
    assert model.score("convolution") == pytest.approx(-1.0 + 3.0)
    both = (2.0 * 3.0 + 1.0 * -2.0) / math.hypot(2.0, 1.0)
    assert model.score("convolution loss") == pytest.approx(-1.0 + both)
    assert model.score("faster convolution") == pytest.approx(-1.0 + 3.0 + 0.5 * math.log(2))
    assert model.rarity("convolution of anything") == pytest.approx(2.0 + 2.0 + 2.0)


def test_forms_of_a_word_are_one_stem():
    assert set(stems("normalize normalizes normalizing normalization")) == {"normaliz", "normal"}
    assert stems("3x3 conv") == ["3x3", "conv"]


def test_groups_count_the_vocabulary_in_the_text_and_in_its_beginning():
    found = groups("Add one more contrastive loss term to the network, which needs convolutions and convolutions")
    assert found["hard: training"] == found["core hard: training"] == pytest.approx(math.log(2))
    assert found["main: feature extraction operators"] == pytest.approx(math.log(3))
    assert "core main: feature extraction operators" not in found


def test_a_broken_file_of_weights_is_named(tmp_path):
    path = tmp_path / "relevance.json"
    path.write_text('{"source": "a test", "bias": 0, "terms": {}, "weights": {}}')
    with pytest.raises(KnowledgeError, match=r"relevance\.json: "):
        Relevance.load(path)
    with pytest.raises(KnowledgeError, match=r"none\.json: the weights cannot be read: No such file"):
        Relevance.load(tmp_path / "none.json")


def test_the_two_readers_agree():
    assert len(LABELS) == 200
    assert sum(first == second for first, second, _ in LABELS.values()) == 196


@pytest.mark.skipif(not UNTAGGED.exists(), reason="needs the untagged ideas of another project, which are not shipped")
def test_ideas_that_two_readers_labelled_are_told_apart():
    """Only labels on which both agree count; no idea of their papers was seen when the model was fitted."""
    ideas = json.loads(UNTAGGED.read_text())
    assert {int(index) for index in LABELS} == set(random.Random(20230).sample(range(len(ideas)), 200))
    kept: dict[bool, list[bool]] = {True: [], False: []}
    for index, (first, second, digest) in LABELS.items():
        text = ideas[int(index)]["idea"]
        assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)
        if first == second:
            kept[first].append(off_topic(text) is None)
    assert sum(kept[True]) >= 0.85 * len(kept[True])
    assert kept[False].count(False) >= 0.90 * len(kept[False])
