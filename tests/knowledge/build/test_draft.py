"""The files of a tree and of a draft: they come back as they went, and broken ones are told."""

import json

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge import Attribute, AttributeTree
from fairnad.knowledge.build.draft import (
    Flag,
    FlagKind,
    TreeDraft,
    read_draft,
    tree_json,
    write_draft,
    write_tree,
)
from fairnad.resources import resource

MAIN = Attribute("performance", "operation", "activation")
RELU, GELU = (Attribute("performance", "operation", "activation", name) for name in ("relu", "gelu"))
DRAFT = TreeDraft(
    AttributeTree((MAIN, RELU, GELU)),
    {RELU: ("ResNet", "LeViT"), GELU: ("ViT",)},
    (Flag(FlagKind.UNREAD, None, "Swin: empty"), Flag(FlagKind.UNKNOWN_CATEGORY, MAIN, "ViT: blue")),
    "a test",
)


def test_the_shipped_tree_is_written_as_it_is_shipped():
    text = resource("knowledge", "attributes.json").read_text(encoding="utf-8")
    assert tree_json(AttributeTree.load(), source=json.loads(text)["source"]) == text


def test_a_tree_comes_back(tmp_path):
    path = tmp_path / "new" / "attributes.json"
    write_tree(DRAFT.tree, path, source='a "test"')
    assert AttributeTree.load(path) == DRAFT.tree
    assert read_draft(path) == TreeDraft(DRAFT.tree, source='a "test"')


def test_a_draft_comes_back(tmp_path):
    path = tmp_path / "attributes.draft.json"
    write_draft(DRAFT, path)
    assert read_draft(path) == DRAFT


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read"),
        ("{", "holds no attribute tree"),
        ("[1]", "source|dictionary|object"),
        ('{"source": "x"}', "places"),
        ('{"source": "x", "tree": {"performance": {"operation": {"colour": []}}}}', "'colour' is not known"),
    ],
)
def test_a_broken_file_is_told(tmp_path, text, told):
    path = tmp_path / "attributes.draft.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=told):
        read_draft(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KnowledgeError, match="cannot be written"):
        write_draft(DRAFT, tmp_path / "file" / "attributes.draft.json")
