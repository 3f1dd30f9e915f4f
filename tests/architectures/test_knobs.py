import pytest

from fairnad.architectures.bases import base_source
from fairnad.architectures.knobs import KnobKind, apply, find

HEAD = """
import torch
from torch import nn
import torch.nn.functional as F

WIDTHS = (16, 32, 64)

class Block(nn.Module):
    def __init__(self, inplanes, planes, stride=1, reduction=8):
        super().__init__()
        self.conv = nn.Conv2d(inplanes, planes, 3, stride, 1)
        self.se = nn.Conv2d(planes, planes // reduction, 1)

"""
TORCHVISION = """
class Network(nn.Module):
    def __init__(self, num_classes=10, num_blocks=[2, 3, 4]):
        super(Network, self).__init__()
        self.in_planes = 16
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3)
        self.layer1 = self._make_layer(Block, 16, num_blocks[0], stride=1)
        self.layer2 = self._make_layer(Block, 32, num_blocks[1], stride=2)
        self.layer3 = self._make_layer(Block, 64, num_blocks[2], stride=2)
        self.linear = nn.Linear(64 * 4 * 4, num_classes)

    def _make_layer(self, block, planes, num_blocks, stride):
        layers = []
        for stride in [stride] + [1] * (num_blocks - 1):
            layers.append(block(self.in_planes, planes, stride))
            self.in_planes = planes
        return nn.Sequential(*layers)
"""
ZIPPED = """
class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        depths = [2, 5, 2]
        c = WIDTHS[0]
        self.stages = nn.ModuleList()
        for i, (w, d) in enumerate(zip(WIDTHS, depths)):
            for j in range(d):
                self.stages.append(Block(c, w, 2 if j == 0 else 1))
                c = w
        self.head = nn.Linear(WIDTHS[-1], num_classes)
"""
TABLE = """
class Network(nn.Module):
    def __init__(self, num_classes, base=24):
        super().__init__()
        layers = [nn.Conv2d(5, base, 3), nn.GroupNorm(8, base)]
        for t, c, n, s in [(6, 24, 2, 1), (6, 40, 3, 2)]:
            for i in range(n):
                layers.append(Block(base, c, s, reduction=4))
        self.position = nn.Parameter(torch.zeros(1, 40, 8, 8))
        self.rows = [Block(40, 40) for i in range(3)]
"""


def numbers(source, kind):
    return [knob.value for knob in find(source) if knob.kind is kind]


@pytest.mark.parametrize(
    ("text", "widths", "repeats"),
    [(TORCHVISION, [16, 32, 64], [2, 3, 4]), (ZIPPED, [16, 32, 64], [2, 5, 2]), (TABLE, [24, 40], [2, 3, 3])],
    ids=["torchvision", "zipped", "table"],
)
def test_common_styles(text, widths, repeats):
    assert numbers(HEAD + text, KnobKind.WIDTH) == widths
    assert numbers(HEAD + text, KnobKind.REPEAT) == repeats


def test_equal_widths_change_together_and_nothing_else_does():
    source = HEAD + TORCHVISION
    changed = apply(source, {"width 64": 48, "repeat 2": 7})
    assert changed == source.replace("Block, 64", "Block, 48").replace("64 * 4", "48 * 4").replace("2, 3, 4", "2, 7, 4")


def test_a_loop_over_places_is_no_repeat():
    source = (
        HEAD
        + """
class Network(nn.Module):
    def __init__(self, num_classes):
        self.stages = nn.Sequential(*[Block(WIDTHS[i], WIDTHS[i]) for i in range(3)])
"""
    )
    assert numbers(source, KnobKind.REPEAT) == []
    assert numbers(source, KnobKind.WIDTH) == [16, 32, 64]


def test_a_network_that_wraps_a_backbone():
    source = (
        HEAD
        + """
class Backbone(nn.Module):
    def __init__(self):
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12))

class Network(nn.Module):
    def __init__(self, num_classes):
        self.backbone = Backbone()
"""
    )
    assert numbers(source, KnobKind.WIDTH) == [12]


def test_names_are_unique_and_values_come_back():
    source = base_source("resnet", width=12, depth=3)
    knobs = find(source)
    assert len({knob.name for knob in knobs}) == len(knobs) == 6
    assert apply(source, {knob.name: knob.value for knob in knobs}) == source


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_other_line_ends_do_not_shift_knobs(line_end):
    source = base_source("resnet", width=12, depth=3)
    values = {"width 12": 20, "repeat 1": 5}
    assert apply(source.replace("\n", line_end), values) == apply(source, values)
