"""The attribute tree: the shipped facts, look-ups, and what is refused."""

import json
from pathlib import Path

import pytest
import yaml

from fairnad.errors import KnowledgeError
from fairnad.knowledge import MAIN_CATEGORIES, Attribute, AttributeTree
from fairnad.resources import resource


@pytest.fixture(scope="module")
def tree() -> AttributeTree:
    return AttributeTree.load()


def write(folder: Path, tree: object, **extra: object) -> Path:
    path = folder / "attributes.json"
    path.write_text(json.dumps({"source": "a test", "tree": tree, **extra}), encoding="utf-8")
    return path


def test_the_shipped_tree_has_the_papers_counts(tree: AttributeTree):
    mains = tree.mains()
    assert mains == MAIN_CATEGORIES
    assert [sum(target == wanted for target, _, _ in mains) for wanted in ("performance", "efficiency")] == [9, 6]
    assert sum(place.sub is not None for place in tree.attributes) == 55


def test_the_template_describes_every_main_category():
    template = yaml.safe_load(resource("knowledge", "attribute_template.yaml").read_text(encoding="utf-8"))
    described = [
        (target, granularity, main)
        for target, granularities in template.items()
        for granularity, mains in granularities.items()
        for main in mains
    ]
    assert tuple(described) == MAIN_CATEGORIES
    for target, granularity, main in described:
        entry = template[target][granularity][main]
        assert set(entry) == {"description", "examples"}
        assert entry["description"].endswith(".")
        assert len(entry["examples"]) >= 3


def test_sub_categories_are_in_the_order_of_the_file(tree: AttributeTree):
    assert tree.sub_categories("activation") == ("silu", "gelu", "relu", "relu6", "hardswish")
    assert tree.sub_categories("dense connectivity for feature reuse", target="efficiency") == ()


def test_sub_categories_of_an_unknown_main_category_name_the_nearest(tree: AttributeTree):
    with pytest.raises(KnowledgeError, match="'activations' is not known: the nearest known is 'activation'"):
        tree.sub_categories("activations")
    with pytest.raises(KnowledgeError, match="'activation' is not known: known are efficient convolution, "):
        tree.sub_categories("activation", target="efficiency")


def test_find_returns_every_place_of_a_name(tree: AttributeTree):
    assert tree.find("grouped convolution") == (
        Attribute("performance", "operation", "feature extraction operators", "grouped convolution"),
        Attribute("efficiency", "operation", "efficient convolution", "grouped convolution"),
    )
    assert tree.find("dynamic computation") == (Attribute("efficiency", "network", "dynamic computation"),)
    with pytest.raises(KnowledgeError, match="'hard-swish' is not in the tree: the nearest known is 'hardswish'"):
        tree.find("hard-swish")


def test_every_attribute_of_the_tree_passes_its_own_check(tree: AttributeTree):
    for place in tree.attributes:
        tree.check(place)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            Attribute("speed", "block", "activation"),
            "target 'speed' is not known: known are performance, efficiency",
        ),
        (
            Attribute("performance", "blocks", "activation"),
            "granularity 'blocks' is not known under 'performance': the nearest known is 'block'",
        ),
        (
            Attribute("performance", "block", "activation"),
            "main category 'activation' is not known under 'performance / block': ",
        ),
        (
            Attribute("performance", "operation", "activation", "swish"),
            "sub-category 'swish' is not known under 'performance / operation / activation': "
            "the nearest known is 'hardswish'",
        ),
        (
            Attribute("efficiency", "block", "dense connectivity for feature reuse", "dense block"),
            "sub-category 'dense block' is not known under "
            "'efficiency / block / dense connectivity for feature reuse': there are none",
        ),
    ],
)
def test_check_names_the_level_that_is_wrong(tree: AttributeTree, place: Attribute, message: str):
    with pytest.raises(KnowledgeError) as raised:
        tree.check(place)
    assert message in str(raised.value)


def test_a_smaller_tree_may_be_used(tmp_path: Path):
    path = write(tmp_path, {"performance": {"operation": {"activation": ["mish"]}}})
    tree = AttributeTree.load(path)
    assert tree.mains() == (("performance", "operation", "activation"),)
    assert tree.sub_categories("activation") == ("mish",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"accuracy": {}}, "target 'accuracy' is not known: known are performance, efficiency"),
        (
            {"performance": {"networks": {}}},
            "'networks' is not known under 'performance': the nearest known is 'network'",
        ),
        (
            {"performance": {"operation": {"normalisation": []}}},
            "'normalisation' is not known under 'performance / operation': the nearest known is 'normalization'",
        ),
        (
            {"performance": {"operation": {"activation": ["gelu", "gelu"]}}},
            "performance / operation / activation: 'gelu' stands there twice",
        ),
        (
            {"performance": {"operation": {"activation": "gelu"}}},
            "tree / performance / operation / activation: Input should be a valid array, found 'gelu'",
        ),
        (
            {"performance": {"operation": {"activation": [" "]}}},
            "tree / performance / operation / activation / 0: String should have at least 1 character, found ' '",
        ),
    ],
)
def test_load_names_file_key_and_expectation(tmp_path: Path, content: object, message: str):
    path = write(tmp_path, content)
    with pytest.raises(KnowledgeError) as raised:
        AttributeTree.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_load_refuses_an_unknown_key(tmp_path: Path):
    with pytest.raises(KnowledgeError, match="key 'author' is not known"):
        AttributeTree.load(write(tmp_path, {}, author="somebody"))


def test_load_refuses_what_is_no_json(tmp_path: Path):
    path = tmp_path / "attributes.json"
    path.write_text('{"source": "a test",', encoding="utf-8")
    with pytest.raises(KnowledgeError, match=r"attributes\.json: Invalid JSON: .* at line 1"):
        AttributeTree.load(path)


def test_load_refuses_a_file_without_a_tree(tmp_path: Path):
    path = tmp_path / "attributes.json"
    path.write_text('{"source": "a test"}', encoding="utf-8")
    with pytest.raises(KnowledgeError, match="tree: Field required"):
        AttributeTree.load(path)


def test_load_refuses_a_missing_file(tmp_path: Path):
    with pytest.raises(KnowledgeError, match=r"none\.json: the attribute tree cannot be read: No such file"):
        AttributeTree.load(tmp_path / "none.json")
