"""The words of the tagger: terms with open endings, the first clause of an idea, the shipped file and broken ones."""

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.build.vocabulary import Terms, Vocabulary, core, plain, vocabulary


def test_plain_keeps_words_alone():
    assert plain("A 3\u00d73 Depth-wise Conv, (stride 2)!") == " a 3 x 3 depth wise conv stride 2 "


@pytest.mark.parametrize(
    ("terms", "text", "found"),
    [
        (["attention"], "channel attention", ["attention"]),
        (["attention"], "attentional pooling", []),
        (["attention*"], "attentional pooling", ["attentional"]),
        (["layer norm*"], "layer normalization and layer scale", ["layer normalization"]),
        (["convolution*", "depthwise convolution*"], "a depthwise convolution", ["depthwise convolution"]),
        (["c++"], "c and d", []),
        ([], "anything", []),
    ],
)
def test_terms_are_whole_words_and_the_longest_counts(terms, text, found):
    assert Terms.of(terms).find(plain(text)) == found


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Add one branch per stage to cut the loss", "Add one branch per stage"),
        ("Add it, as before, to all blocks of the net, which helps", "Add it, as before, to all blocks of the net"),
        ("Short text", "Short text"),
    ],
)
def test_core_is_the_first_clause_of_some_length(text, first):
    assert core(text) == first


def test_every_place_of_the_shipped_tree_has_terms():
    known = {(place.main, place.sub) for place in AttributeTree.load().attributes}
    assert known == set(vocabulary().places)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("attributes: {a: {main: [x]}}", "efficiency_cues: Field required"),
        ("attributes: [", "is no YAML"),
        ("attributes: {a: {main: x}}\nefficiency_cues: []\noff_topic: {}", "attributes / a / main"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    path = tmp_path / "vocabulary.yaml"
    path.write_text(content)
    with pytest.raises(KnowledgeError, match=r"vocabulary\.yaml: ") as raised:
        Vocabulary.load(path)
    assert message in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(KnowledgeError, match=r"none\.yaml: the vocabulary cannot be read: No such file"):
        Vocabulary.load(tmp_path / "none.yaml")
