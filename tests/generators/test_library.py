import random
from dataclasses import replace

import pytest

from fairnad.architectures.bases import base_source
from fairnad.generators.library import MAX_CHARS, proven_classes
from fairnad.generators.modules import PartKind, choose_part
from fairnad.generators.operators import categories
from fairnad.records import Idea, MutationTarget
from tests.fakes import child

BASE = base_source("resnet", width=8, depth=1)
GATE = Idea("gate", "Gate the channels.", granularity="block", main=categories.RECALIBRATION)
BOTTLENECK = Idea("bottleneck", "Use bottlenecks.", granularity="block", main=categories.BLOCKS)
STEM = Idea("stem", "Two convolutions for a start.", granularity="block", main=categories.INPUT)
LAYER = """class {name}(nn.Module):
    def __init__(self, channels, kernel_size=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        return {result}
"""
GATED = "x * torch.sigmoid(self.conv(x))"


def part_of(idea, parent=BASE):
    return choose_part(parent, idea, MutationTarget.NEW_MODULE, random.Random(0))


def with_layer(result=GATED, parent=BASE):
    part = part_of(GATE, parent)
    return part.put(LAYER.format(name=part.name, result=result))


def with_block(activation, arguments="in_channels, out_channels, stride=1"):
    part = part_of(BOTTLENECK)
    code = part.example.replace("ResidualBlock", part.name).replace("nn.ReLU()", activation)
    code = code.replace("in_channels: int, out_channels: int, stride: int = 1", arguments)
    return part.put(code)


def made(id, source, accuracy=0.5, idea=GATE, parent=0):
    return replace(child(id, accuracy, idea=idea, parent=parent), source=source)


ROOT = made(0, BASE)
GATES = [ROOT, made(1, with_layer(), 0.5), made(2, with_layer("x + self.conv(x)"), 0.7)]


def names(found):
    return [proven.name for proven in found]


def test_a_layer_is_shown_with_its_contract_by_a_name_of_its_own():
    (found,) = proven_classes(part_of(GATE), GATE.main, GATES[:2], 1)
    contract = "AddedLayerBy1(channels, kernel_size=3): x of shape (B, channels, H, W) in, the same shape out"
    assert (found.name, found.contract) == ("AddedLayerBy1", contract)
    assert found.code == LAYER.format(name="AddedLayerBy1", result=GATED).strip()


def test_the_most_accurate_come_first_and_no_more_than_are_asked_for():
    assert names(proven_classes(part_of(GATE), GATE.main, GATES, 1)) == ["AddedLayerBy2"]
    assert names(proven_classes(part_of(GATE), GATE.main, GATES, 5)) == ["AddedLayerBy2", "AddedLayerBy1"]
    assert names(proven_classes(part_of(GATE), GATE.main, GATES[::-1], 5)) == ["AddedLayerBy2", "AddedLayerBy1"]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_shown_where_none_is_asked_for_or_the_idea_has_no_category(count):
    assert proven_classes(part_of(GATE), GATE.main if count == 0 else None, GATES, count) == ()


def test_a_class_counts_for_the_child_that_brought_it():
    child_of_it = made(3, with_layer("x - self.conv(x)", parent=GATES[1].source), 0.9, parent=1)
    found = proven_classes(part_of(GATE), GATE.main, [*GATES[:2], child_of_it], 5)
    assert names(found) == ["AddedLayer2By3", "AddedLayerBy1"]
    unknown_parent = proven_classes(part_of(GATE), GATE.main, [ROOT, child_of_it], 5)
    assert unknown_parent == ()


def test_equal_classes_are_shown_once():
    twice = [ROOT, GATES[1], made(2, GATES[1].source, 0.9)]
    assert names(proven_classes(part_of(GATE), GATE.main, twice, 5)) == ["AddedLayerBy2"]


@pytest.mark.parametrize(
    "other",
    [
        made(1, with_layer(), idea=BOTTLENECK),
        made(1, with_layer(f"x * len('{'long' * MAX_CHARS}')")),
        made(1, with_layer("helped(x)")),
        made(1, with_block("nn.SiLU()")),
        made(1, "class (", idea=GATE),
    ],
    ids=["another category", "too long", "needs another name", "another kind", "no Python"],
)
def test_what_would_not_help_is_left_out(other):
    assert proven_classes(part_of(GATE), GATE.main, [ROOT, other], 5) == ()


def test_a_block_is_shown_where_it_is_built_alike():
    blocks = [ROOT, made(1, with_block("nn.SiLU()"), 0.5, BOTTLENECK)]
    (found,) = proven_classes(part_of(BOTTLENECK), BOTTLENECK.main, blocks, 5)
    assert found.name == "NewBlockBy1"
    assert found.contract.startswith("NewBlockBy1(in_channels, out_channels, stride=1): Its `forward(self, x)` takes x")
    other = [ROOT, made(1, with_block("nn.SiLU()", "in_channels, out_channels, stride=1, rate=0.1"), 0.5, BOTTLENECK)]
    assert proven_classes(part_of(BOTTLENECK), BOTTLENECK.main, other, 5) == ()


def test_a_whole_network_has_no_examples():
    part = part_of(STEM)
    assert part.kind is PartKind.NETWORK
    assert proven_classes(part, STEM.main, [ROOT, made(1, with_layer(), idea=STEM)], 5) == ()
