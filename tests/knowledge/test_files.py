"""Folders of knowledge: found, written whole, and looked through for what is wrong."""

import json
from pathlib import Path

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge.attributes import AttributeTree
from fairnad.knowledge.files import dump_lines, find_knowledge, lint, write_whole
from fairnad.knowledge.ideas import IdeaDatabase, read_lines
from fairnad.resources import resource

TREE = AttributeTree.load()
GOOD = {
    "id": "a",
    "text": "Use GELU in place of ReLU",
    "target": "performance",
    "granularity": "operation",
    "main": "activation",
    "sub": "gelu",
    "sources": ["Ada Example, Gates"],
    "grade": "keywords",
    "evidence": [{"paper": "gates.pdf", "sha256": "00", "page": 3, "passage": "We use GELU."}],
}


def write(path, *lines):
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def kinds(path, tree=TREE):
    return [(one.line, one.kind) for one in lint(path, tree) if one.kind != "empty category"]


def test_the_shipped_knowledge_is_sound():
    files = find_knowledge(resource("knowledge"))
    assert list(lint(files.ideas, AttributeTree.load(files.tree))) == []


def test_what_is_written_is_read_again_with_all_its_evidence(tmp_path):
    path = write(tmp_path / "ideas.jsonl", GOOD)
    (line,) = read_lines(path, TREE)
    assert (line.grade, line.evidence[0].page, line.evidence[0].passage) == ("keywords", 3, "We use GELU.")
    write_whole(dump_lines([line]), tmp_path / "again" / "ideas.jsonl")
    assert read_lines(tmp_path / "again" / "ideas.jsonl", TREE) == (line,)
    assert json.loads((tmp_path / "again" / "ideas.jsonl").read_text()) == GOOD
    assert IdeaDatabase.load(path).ideas[0].sources == ("Ada Example, Gates",)
    assert list((tmp_path / "again").iterdir()) == [tmp_path / "again" / "ideas.jsonl"]


def test_a_folder_and_a_file_in_it_are_the_same_knowledge(tmp_path):
    write(tmp_path / "ideas.jsonl", GOOD)
    assert find_knowledge(tmp_path).tree is None
    (tmp_path / "attributes.json").write_bytes(resource("knowledge", "attributes.json").read_bytes())
    assert find_knowledge(tmp_path) == find_knowledge(tmp_path / "ideas.jsonl")
    assert find_knowledge(tmp_path).tree == tmp_path / "attributes.json"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (".", "holds no ideas.jsonl"),
        ("none", "none: does not exist; name the folder that `fairnad build-knowledge` wrote"),
    ],
)
def test_a_place_without_ideas_is_refused(tmp_path, name, words):
    with pytest.raises(KnowledgeError, match=words):
        find_knowledge(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("{broken", "broken line"),
        ({**GOOD, "id": "b", "colour": "red"}, "broken line"),
        ({**GOOD, "id": "b", "evidence": [{"paper": "p", "page": 0}]}, "broken line"),
        (GOOD, "repeated id"),
        ({**GOOD, "id": "b", "text": "word " * 50}, "over-long idea"),
        ({**GOOD, "id": "b", "sub": "gelo"}, "tag outside the tree"),
        ({**GOOD, "id": "b", "target": "beauty"}, "tag outside the tree"),
    ],
)
def test_each_thing_that_is_wrong_is_found_in_its_line(tmp_path, line, kind):
    path = write(tmp_path / "ideas.jsonl", GOOD, "", line, {**GOOD, "id": "c", "text": "word " * 49})
    assert kinds(path) == [(3, kind)]
    assert [one.is_warning for one in lint(path, TREE) if one.line] == [False]


def test_an_idea_that_its_passage_does_not_say_is_a_warning(tmp_path):
    found = {"paper": "gates.pdf", "passage": "Convolutions of the gated kind filter input channels of each image."}
    invented = {**GOOD, "id": "b", "text": "Use attention mechanisms to extract features.", "evidence": [found]}
    true = {**GOOD, "id": "c", "text": "Filter the input channels by gated convolutions.", "evidence": [found]}
    both = {
        **invented,
        "id": "d",
        "evidence": [found, {"paper": "a.pdf", "passage": "In each block a mechanism of attention extracts features."}],
    }
    findings = list(lint(write(tmp_path / "ideas.jsonl", GOOD, invented, true, both), TREE))
    weak = [one for one in findings if one.kind == "weak evidence"]
    assert [(one.line, one.is_warning) for one in weak] == [(2, True)]
    assert "does its paper say 'Use attention" in weak[0].message


def test_empty_categories_are_named(tmp_path):
    findings = list(lint(write(tmp_path / "ideas.jsonl", GOOD), TREE))
    assert len(findings) == len(TREE.mains()) - 1
    assert {(one.kind, one.is_warning) for one in findings} == {("empty category", True)}
    assert "no idea in performance / operation / normalization" in [one.message for one in findings]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "ideas.jsonl").mkdir()
    with pytest.raises(KnowledgeError, match="cannot be written"):
        write_whole("text", tmp_path / "ideas.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["ideas.jsonl"]
    with pytest.raises(KnowledgeError, match="cannot be written"):
        write_whole("text", Path("/dev/null/ideas.jsonl"))
