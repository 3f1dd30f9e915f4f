"""Names that mean the same become one, and names that do not stay apart."""

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge import AttributeTree
from fairnad.knowledge.build.names import Synonyms, key, tidy

VOCABULARY = """\
attributes:
  feature extraction operators:
    main: [pooling]
    convolution: [convolution*, conv1, dynamic convolution*]
  activation:
    silu: [silu, swish]
"""


@pytest.fixture(scope="module")
def synonyms(tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "vocabulary.yaml"
    path.write_text(VOCABULARY, encoding="utf-8")
    return Synonyms.load(path)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("  **Depth-wise Convolutions** ", "depthwise convolution"),
        ("nn.BatchNorm2d", "batch normalization"),
        ("GlobalResponseNorm", "grn"),
        ("Layer Normalisation layer", "layer normalization"),
        ("Multi-Head Self-Attention mechanism", "attention"),
        ("squeeze_and_excitation (SE)", "squeeze and excitation"),
        ("parallel kernels of several sizes", "parallel kernels of several sizes"),
        ("relative position bias", "relative position bias"),
        ("]}", ""),
        ("**", ""),
    ],
)
def test_a_name_is_made_tidy(written, wanted):
    assert tidy(written) == wanted
    assert tidy(wanted) == wanted


def test_hyphens_and_plurals_make_no_difference():
    assert key("token-mixing MLPs") == key("Token mixing mlp")
    assert key("residual connections") == key("residual-connection")
    assert key("grouped convolution") != key("depthwise convolution")
    assert key("relu") != key("relu6")


def test_a_term_of_the_vocabulary_becomes_its_sub_category(synonyms):
    assert synonyms.of("Swish", "activation") == "silu"
    assert synonyms.of("SiLU activation", "activation") == "silu"
    assert synonyms.of("Conv2d", "feature extraction operators") == "convolution"


def test_synonyms_hold_in_their_own_category_only(synonyms):
    assert synonyms.of("swish", "feature extraction operators") == "swish"
    assert synonyms.of("pre-activation", "layer arrangement and order") == "pre-activation"


def test_a_kind_of_something_and_a_term_of_the_category_itself_stay_what_they_are(synonyms):
    assert synonyms.of("dynamic convolution", "feature extraction operators") == "dynamic convolution"
    assert synonyms.of("pooling", "feature extraction operators") == "pooling"


def test_the_names_of_the_shipped_tree_stay_what_they_are():
    synonyms = Synonyms.load()
    for place in AttributeTree.load().attributes:
        if place.sub is not None:
            assert synonyms.of(place.sub, place.main) == place.sub


@pytest.mark.parametrize("text", ["attributes: [", "other: 1", "attributes: {activation: [silu]}", ""])
def test_a_broken_vocabulary_is_told(tmp_path, text):
    path = tmp_path / "vocabulary.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"vocabulary\.yaml: expected attributes"):
        Synonyms.load(path)
