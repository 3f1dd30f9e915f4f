import random

import pytest

from fairnad.architectures.bases import base_source
from fairnad.architectures.parts import part_source
from fairnad.architectures.source import Source
from fairnad.generators.modules import PartKind, choose_part, describe_stages
from fairnad.generators.operators import categories
from fairnad.mutations.refinements import HYPERPARAMETER_IDEAS, SCALE_UP_IDEAS
from fairnad.records import Idea, MutationTarget
from tests.generators.styles import STYLES

BASE = base_source("resnet", width=8, depth=1)
LAYER = """import torch.nn.functional as F


class {name}(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * F.hardsigmoid(self.conv(x))
"""
GATE = Idea("gate", "Gate the channels.", granularity="block", main=categories.RECALIBRATION)
BRANCH = Idea("branch", "Add a 1x1 branch.", granularity="block", main=categories.BRANCHES)
BOTTLENECK = Idea("bottleneck", "Use bottlenecks.", granularity="block", main=categories.BLOCKS)
STEM = Idea("stem", "Two convolutions for a start.", granularity="block", main=categories.INPUT)
ATTENTION = Idea("attention", "Attend in the last stage.", main=categories.EFFICIENT_TRANSFORMER)
OWN = Idea("own", "Multiply the features by a gate.")


def choose(idea, target=MutationTarget.CHANGE_MODULE, parent=BASE, seed=0, form=0):
    return choose_part(parent, idea, target, random.Random(seed), form=form)


@pytest.mark.parametrize(
    ("idea", "target", "kind"),
    [
        (GATE, MutationTarget.CHANGE_MODULE, PartKind.LAYER),
        (OWN, MutationTarget.NEW_MODULE, PartKind.LAYER),
        (BRANCH, MutationTarget.CHANGE_MODULE, PartKind.BLOCK),
        (BRANCH, MutationTarget.NEW_MODULE, PartKind.LAYER),
        (BOTTLENECK, MutationTarget.NEW_MODULE, PartKind.BLOCK),
        (BRANCH, MutationTarget.NETWORK, PartKind.NETWORK),
        (STEM, MutationTarget.NEW_MODULE, PartKind.NETWORK),
        (SCALE_UP_IDEAS[0], MutationTarget.NETWORK, PartKind.NETWORK),
        (HYPERPARAMETER_IDEAS[0], MutationTarget.CHANGE_MODULE, PartKind.BLOCK),
    ],
)
def test_the_idea_decides_which_class_is_written(idea, target, kind):
    assert choose(idea, target).kind is kind


@pytest.mark.parametrize(
    ("idea", "target", "kinds"),
    [
        (GATE, MutationTarget.CHANGE_MODULE, [PartKind.LAYER, PartKind.BLOCK, PartKind.NETWORK]),
        (BRANCH, MutationTarget.CHANGE_MODULE, [PartKind.BLOCK, PartKind.LAYER, PartKind.NETWORK]),
        (BRANCH, MutationTarget.NETWORK, [PartKind.NETWORK, PartKind.BLOCK, PartKind.LAYER]),
        (STEM, MutationTarget.NEW_MODULE, [PartKind.NETWORK, PartKind.NETWORK]),
        (SCALE_UP_IDEAS[0], MutationTarget.NETWORK, [PartKind.NETWORK, PartKind.NETWORK]),
    ],
)
def test_an_idea_has_further_forms(idea, target, kinds):
    parts = [choose(idea, target, form=form) for form in range(4)]
    assert [part.kind for part in parts if part is not None] == kinds
    assert parts[3] is None


def test_forms_that_a_network_has_no_place_for_do_not_count():
    plain = "import torch\nfrom torch import nn\n\n\nclass Network(nn.Module):\n    def __init__(self, num_classes):\n"
    plain += "        super().__init__()\n        self.fc = nn.Linear(3, num_classes)\n\n"
    plain += "    def forward(self, x):\n        return self.fc(x.mean((2, 3)))\n"
    forms = [choose(GATE, parent=plain, form=form) for form in range(2)]
    assert forms[0].kind is PartKind.NETWORK
    assert forms[1] is None


@pytest.mark.parametrize("idea", [GATE, ATTENTION])
def test_a_layer_runs_in_its_place(idea, measure):
    part = choose(idea)
    source = part.put(LAYER.format(name=part.name))
    (before,), (after,) = measure([BASE]), measure([source])
    assert after.params > before.params
    assert source.count("AddedLayer(") == 2
    assert "import torch.nn.functional as F" in source


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("idea", [GATE, ATTENTION, BOTTLENECK])
def test_a_part_is_put_into_a_network_of_any_style(style, idea, measure):
    part = choose(idea, parent=STYLES[style])
    code = LAYER.format(name=part.name) if part.kind is PartKind.LAYER else part.example.replace("Block", "NewBlock")
    assert measure([part.put(code)])[0] is not None


def test_attention_stands_behind_the_last_stage():
    assert "self.layers3(x)" in choose(ATTENTION).skeleton.partition("self.added(")[2].split("\n")[0]


def test_a_block_takes_the_place_of_the_old_one(measure):
    part = choose(BRANCH)
    assert part.contract.startswith("Class `NewBlock`, built as `NewBlock(in_channels, out_channels, stride=1)`.")
    block = part.example.replace("ResidualBlock", "NewBlock").replace("nn.ReLU()", "nn.PReLU()")
    source = part.put(block)
    assert list(Source(source).classes) == ["NewBlock", "Network"]
    assert measure([source])[0].params > measure([BASE])[0].params


def test_a_helper_with_the_name_of_another_class_keeps_its_code(measure):
    parent = BASE.replace("class Network(", f"{LAYER.format(name='Gate')}\n\nclass Network(")
    parent = parent.replace("self.pool = ", "self.gate = Gate(32)\n        self.pool = ")
    part = choose(BRANCH, parent=parent)
    own = "class Gate(nn.Module):\n    def __init__(self, slope):\n        super().__init__()\n"
    own += "        self.slope = slope\n\n"
    own += "    def forward(self, x):\n        return F.leaky_relu(x, self.slope)\n\n\n"
    block = part.example.replace(part.replaced, "NewBlock").replace("nn.ReLU()", "Gate(0.1)")
    source = part.put(own + block)
    assert {"Gate", "Gate2", "NewBlock", "Network"} <= set(Source(source).classes)
    assert source.count("Gate2(0.1)") == block.count("Gate(0.1)") > 0
    assert measure([source])[0] is not None
    stub = "class Gate(nn.Module):\n    def forward(self, x):\n        pass\n\n\n"
    assert "Gate2" not in part.put(stub + block)


def test_a_new_block_may_stand_beside_the_old_one():
    kinds = set()
    for seed in range(20):
        part = choose(BOTTLENECK, MutationTarget.NEW_MODULE, seed=seed)
        source = part.put(part.example.replace("ResidualBlock", "NewBlock"))
        kinds.add(tuple(Source(source).classes))
    assert kinds == {("ResidualBlock", "NewBlock", "Network"), ("NewBlock", "Network")}


def test_a_scalar_of_the_parent_is_no_size():
    parent = BASE.replace("self.pool = ", "self.scale = nn.Parameter(torch.zeros(()))\n        self.pool = ")
    assert "8 channels in, 16 channels out" in describe_stages(Source(parent))


def test_the_network_is_shown_and_its_stages_told():
    part = choose(STEM)
    network = BASE[BASE.index("class Network") :].strip()
    assert network in part.contract
    assert "self.layers2: 8 channels in, 16 channels out" in part.contract
    assert part.context == "class ResidualBlock(nn.Module):  # ResidualBlock(in_channels, out_channels, stride=1)"
    assert part.put(network.replace("self.fc = ", "self.head = ")).startswith(BASE[:40])


def test_ready_made_parts_are_not_replaced():
    attention = part_source("WindowAttention").replace("nn.Linear", "nn.Conv2d")
    parent = BASE.replace("class Network(", f"{attention}\n\n\nclass Network(")
    parent = parent.replace("self.pool = ", "self.attention = WindowAttention(32)\n        self.pool = ")
    assert {choose(BRANCH, parent=parent, seed=seed).replaced for seed in range(8)} == {"ResidualBlock"}


@pytest.mark.parametrize("parent", ["class Network(", "x = 1\n"])
def test_a_source_without_a_hold_has_no_part(parent):
    assert choose(BRANCH, parent=parent) is None


def test_a_network_without_blocks_is_written_itself():
    parent = "from torch import nn\n\n\nclass Network(nn.Module):\n    def __init__(self, num_classes):\n        pass\n"
    assert choose(BRANCH, parent=parent).kind is PartKind.NETWORK
    assert describe_stages(Source(parent)) == ""
