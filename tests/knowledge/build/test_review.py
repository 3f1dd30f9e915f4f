"""The paper's failure cases are flagged, and corrections hold over rebuilds."""

import json
import random
import shutil
from dataclasses import replace

import pytest

from fairnad.errors import KnowledgeError
from fairnad.knowledge import Attribute, AttributeTree, IdeaDatabase
from fairnad.knowledge.build.draft import Flag, FlagKind, TreeDraft
from fairnad.knowledge.build.review import (
    Patch,
    apply_patch,
    check_patch,
    check_taken,
    flags,
    patched,
    read_patch,
    retag_ideas,
    write_patch,
)
from fairnad.resources import resource

ACTIVATION = Attribute("performance", "operation", "activation")
CONVOLUTION = Attribute("efficiency", "operation", "efficient convolution")
BLOCKS = Attribute("efficiency", "block", "efficient block structures")


def under(main, *names):
    return [replace(main, sub=name) for name in names]


RELU, SWISH, SILU, GROUPED, ACTIVATIONS = under(
    ACTIVATION, "relu", "swish", "silu", "grouped convolution", "activations"
)
GROUPED_TOO, DEPTHWISE = under(CONVOLUTION, "Grouped convolutions", "depthwise convolution")
TREE = AttributeTree((ACTIVATION, RELU, SWISH, SILU, GROUPED, ACTIVATIONS, CONVOLUTION, GROUPED_TOO, DEPTHWISE, BLOCKS))
DRAFT = TreeDraft(
    TREE,
    {
        RELU: ("ResNet", "LeViT"),
        SWISH: ("ResNet",),
        SILU: ("LeViT",),
        GROUPED: ("ResNeXt",),
        GROUPED_TOO: ("ConvNeXt",),
        DEPTHWISE: ("ConvNeXt", "LeViT"),
        ACTIVATIONS: ("ViT", "LeViT"),
    },
    (Flag(FlagKind.UNREAD, None, "Swin: empty"),),
)


def seen(draft, patch=None):
    return [(flag.kind, flag.place and (flag.place.sub or flag.place.main)) for flag in flags(draft, patch)]


def test_each_failure_case_is_flagged_once():
    assert seen(DRAFT) == [
        (FlagKind.UNREAD, None),
        (FlagKind.CATEGORY, "activations"),
        (FlagKind.REPEATED, "grouped convolution"),
        (FlagKind.ONE_MODEL, "swish"),
        (FlagKind.ONE_MODEL, "silu"),
        (FlagKind.EMPTY, "efficient block structures"),
    ]
    repeated = flags(DRAFT)[2]
    assert repeated.detail == "also in efficiency / efficient convolution"
    assert flags(DRAFT)[3].detail == "ResNet only"


def test_words_of_the_template_are_no_attributes():
    tree = AttributeTree((ACTIVATION, *under(ACTIVATION, "**main category**", "block and connectivity level")))
    assert [flag.kind for flag in flags(TreeDraft(tree))] == [FlagKind.CATEGORY] * 2


def test_the_papers_own_failures_are_found_in_the_shipped_tree():
    assert seen(TreeDraft(AttributeTree.load())) == [
        (FlagKind.REPEATED, "grouped convolution"),
        (FlagKind.REPEATED, "stochastic depth"),
        (FlagKind.EMPTY, "dense connectivity for feature reuse"),
    ]


def test_one_model_says_nothing_about_rarity():
    assert FlagKind.ONE_MODEL not in [kind for kind, _ in seen(TreeDraft(TREE, {RELU: ("ResNet",)}))]


def test_what_is_kept_is_not_flagged_again():
    patch = Patch(keep=("grouped convolution", "efficient block structures", "activation / Swish"))
    kinds = [kind for kind, _ in seen(DRAFT, patch)]
    assert kinds == [FlagKind.UNREAD, FlagKind.CATEGORY, FlagKind.ONE_MODEL]


def test_renaming_joins_names_and_their_models():
    done = patched(DRAFT, Patch(rename={"swish": "silu"}))
    assert done.tree.sub_categories("activation") == ("relu", "silu", "grouped convolution", "activations")
    assert done.found_in[SILU] == ("ResNet", "LeViT")
    assert (FlagKind.ONE_MODEL, "silu") not in seen(done)


def test_moving_gathers_an_attribute_in_one_place():
    done = patched(DRAFT, Patch(move={"grouped convolution": "efficient convolution"}))
    assert "grouped convolution" not in done.tree.sub_categories("activation")
    assert len(done.tree.sub_categories("efficient convolution")) == 2
    assert FlagKind.REPEATED not in [kind for kind, _ in seen(done)]


def test_a_name_with_its_category_means_the_one_place():
    tree = apply_patch(TREE, Patch(remove=("activation / grouped convolution",)))
    assert tree.sub_categories("efficient convolution") == ("Grouped convolutions", "depthwise convolution")
    assert "grouped convolution" not in tree.sub_categories("activation")
    everywhere = apply_patch(TREE, Patch(remove=("grouped convolution",)))
    assert everywhere.sub_categories("efficient convolution") == ("depthwise convolution",)


def test_renaming_comes_before_moving_and_removing():
    patch = Patch(rename={"swish": "silu"}, move={"silu": "efficient block structures"}, remove=("relu",))
    tree = apply_patch(TREE, patch)
    assert tree.sub_categories("efficient block structures") == ("silu",)
    assert tree.sub_categories("activation") == ("grouped convolution", "activations")


def test_renaming_goes_on_to_the_last_name_and_in_no_circle():
    assert "c" in apply_patch(TREE, Patch(rename={"relu": "b", "b": "c"})).sub_categories("activation")
    with pytest.raises(KnowledgeError, match="in a circle: relu -> b -> relu"):
        apply_patch(TREE, Patch(rename={"relu": "b", "b": "relu"}))


def test_what_a_rebuild_does_not_bring_changes_nothing():
    patch = Patch(rename={"gone": "x"}, move={"gone": "activation"}, remove=("gone too",), keep=("gone",))
    assert apply_patch(TREE, patch) == TREE


@pytest.mark.parametrize("seed", range(5))
def test_applying_twice_is_applying_once(seed):
    rng = random.Random(seed)
    names = [place.sub for place in TREE.attributes if place.sub]
    patch = Patch({rng.choice(names): "new"}, {rng.choice(names): "activation"}, (rng.choice(names),))
    once = apply_patch(TREE, patch)
    assert apply_patch(once, patch) == once


@pytest.mark.parametrize(
    ("patch", "told"),
    [
        (Patch(remove=("rely",)), "'rely' is not in the tree: the nearest known is 'relu'"),
        (Patch(rename={"efficient convolution": "x"}), "'efficient convolution' is not in the tree: the nearest"),
        (Patch(keep=("gone",)), "'gone' is not in the tree"),
        (Patch(move={"relu": "activatoin"}), "'activatoin' is not known: the nearest known is 'activation'"),
    ],
)
def test_a_correction_of_what_is_not_there_is_told(patch, told):
    with pytest.raises(KnowledgeError, match=told):
        check_patch(DRAFT, patch)


def test_a_correction_of_what_is_there_is_taken():
    check_patch(DRAFT, Patch({"relu": "x"}, {"swish": "efficient convolution"}, ("silu",), ("activation",)))


def test_what_is_said_later_holds():
    first = Patch(rename={"a": "b"}, remove=("c",), keep=("k",))
    assert first | Patch(rename={"b": "a"}) == Patch(rename={"b": "a"}, remove=("c",), keep=("k",))
    assert (first | Patch(rename={"x": "c"})).remove == ()
    assert first | Patch(remove=("d", "c"), keep=("k",)) == Patch(rename={"a": "b"}, remove=("c", "d"), keep=("k",))


def test_a_later_move_goes_on_from_where_an_earlier_one_led():
    first, later = Patch(move={"relu": "normalization"}), Patch(move={"normalization / relu": "activation"})
    assert first | later == Patch(move={"relu": "activation", "normalization / relu": "activation"})


def test_a_correction_that_an_earlier_one_undoes_is_told():
    draft = patched(DRAFT, Patch(move={"relu": "efficient convolution"}))
    for patch in (
        Patch(rename={"efficient convolution / relu": "x"}),
        Patch(move={"relu": "activation"}),
        Patch(remove=("relu",)),
    ):
        with pytest.raises(KnowledgeError, match="relu': an earlier correction stands in the way"):
            check_taken(draft.tree, patch)
        check_taken(patched(draft, patch).tree, patch)


def test_a_patch_comes_back_and_says_what_it_is(tmp_path):
    patch = Patch({"a: b": "c"}, {"d": "activation"}, ("e", "activation / f"), ("gr\u00fcn",))
    path = tmp_path / "attributes.patch.yaml"
    write_patch(patch, path)
    assert read_patch(path) == patch
    assert path.read_text(encoding="utf-8").startswith("# Corrections of the attribute tree")
    write_patch(Patch(), path)
    assert read_patch(path) == Patch()
    assert read_patch(tmp_path / "none.yaml") == Patch()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rename: {a: ' '}", "rename / a: .* at least 1 character"),
        ("rename: [", "is no YAML"),
        ("renames: {a: b}", "'renames' is not known; keys are rename"),
        ("- a", "keys are"),
    ],
)
def test_a_broken_patch_is_told(tmp_path, text, told):
    path = tmp_path / "attributes.patch.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(KnowledgeError, match=told):
        read_patch(path)


def test_ideas_follow_their_attributes(tmp_path):
    path = tmp_path / "ideas.jsonl"
    shutil.copy(resource("knowledge", "ideas.jsonl"), path)
    before = {idea.id: idea for idea in IdeaDatabase.load(path).ideas}
    patch = Patch({"silu": "swish"}, {"input subtraction pooling": "feature fusion and aggregation"}, ("gelu",))
    tree = apply_patch(AttributeTree.load(), patch)
    count = retag_ideas(path, patch, tree)
    changed = [idea for idea in IdeaDatabase.load(path, tree).ideas if idea != before[idea.id]]
    assert len(changed) == count > 2
    news = {before[idea.id].sub: (idea.main, idea.granularity, idea.sub) for idea in changed}
    assert news == {
        "silu": ("activation", "operation", "swish"),
        "gelu": ("activation", "operation", None),
        "input subtraction pooling": ("feature fusion and aggregation", "block", "input subtraction pooling"),
    }
    assert retag_ideas(path, patch, tree) == 0


def test_broken_ideas_are_told(tmp_path):
    path = tmp_path / "ideas.jsonl"
    path.write_text(json.dumps({"id": "a"}), encoding="utf-8")
    with pytest.raises(KnowledgeError, match="line 1: text"):
        retag_ideas(path, Patch(), TREE)
