"""Each detector on small networks: one that shows the category in what it executes, and one that does not."""

from functools import cache

import pytest
import torch

from benchmarks.visibility import DETECTORS, distance, is_visible
from fairnad.architectures.bases import base_source
from fairnad.generators.operators import categories
from fairnad.knowledge.attributes import MAIN_CATEGORIES
from fairnad.records import Idea
from fairnad.sandbox.child.execute import build, load_network
from fairnad.sandbox.child.trace import Tracer

BASE = base_source("resnet", width=8, depth=1)
BLOCK_INIT = "        self.shortcut = nn.Sequential()\n"
BLOCK_END = "        return self.act2(out + self.shortcut(x))"
LAST_STAGE = "        x = self.layers3(x)\n"
CONV1 = "self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)"
CONV2 = "self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)"


def changed(*pairs):
    """Return the base with each text replaced by another, which must be there."""
    source = BASE
    for old, new in pairs:
        assert old in source, old
        source = source.replace(old, new)
    return source


def with_layer(created, result):
    """Return the base with a layer of each block, before its last sum."""
    return changed(
        (BLOCK_INIT, f"{BLOCK_INIT}        {created}\n"), (BLOCK_END, f"        out = {result}\n{BLOCK_END}")
    )


def at_the_end(statement):
    return changed((LAST_STAGE, f"{LAST_STAGE}        {statement}\n"))


SILU = changed(("nn.ReLU()", "nn.SiLU()"))
GROUP_NORM = changed(("nn.BatchNorm2d(out_channels)", "nn.GroupNorm(2, out_channels)"))
LARGE_KERNEL = changed((CONV2, CONV2.replace("3, padding=1", "5, padding=2")))
DEPTHWISE = changed((CONV2, CONV2.replace("bias", "groups=out_channels, bias")))
SQUEEZED = changed(
    (CONV1, CONV1.replace("out_channels, 3", "out_channels, 1").replace("padding=1", "padding=0")),
)
GATE = with_layer(
    "self.gate = nn.Conv2d(out_channels, out_channels, 1)", "out * self.gate(out.mean((2, 3), True)).sigmoid()"
)
SCALE = with_layer("self.scale = nn.Parameter(torch.ones(1, out_channels, 1, 1))", "out * self.scale")
BRANCH = with_layer("self.side = nn.Conv2d(in_channels, out_channels, 1, stride)", "out + self.side(x)")
CONCATENATION = with_layer(
    "self.fuse = nn.Conv2d(2 * out_channels, out_channels, 1)", "self.fuse(torch.cat([out, out.relu()], 1))"
)
POOLED = at_the_end("x = x + nn.functional.interpolate(nn.functional.avg_pool2d(x, 2), scale_factor=2)")
STEM = changed(("nn.Conv2d(3, 8, 3, padding=1, bias=False)", "nn.Conv2d(3, 8, 5, padding=2, bias=False)"))
DEEPER = changed(
    (LAST_STAGE, f"{LAST_STAGE}        x = self.more(x)\n"),
    ("self.pool = ", "self.more = ResidualBlock(32, 32)\n        self.pool = "),
)
PRE_ACTIVATION = changed(("self.act1(self.bn1(self.conv1(x)))", "self.bn1(self.conv1(self.act1(x)))"))
ATTENTION = at_the_end("t = x.flatten(2); x = x + torch.bmm(t, torch.bmm(t.transpose(1, 2), t).softmax(-1)).view_as(x)")
DROPOUT = at_the_end("x = nn.functional.dropout(x, 0.1, self.training)")
EARLY_EXIT = at_the_end("x = torch.where(x.mean((1, 2, 3), True) > 0, x, x.relu())")

SHOWN = [
    (categories.EXTRACTION, LARGE_KERNEL, SILU),
    (categories.EXTRACTION, ATTENTION, SCALE),
    (categories.NORMALIZATION, GROUP_NORM, SILU),
    (categories.ACTIVATION, SILU, LARGE_KERNEL),
    (categories.INPUT, STEM, DEEPER),
    (categories.BRANCHES, BRANCH, SILU),
    (categories.BRANCHES, CONCATENATION, GROUP_NORM),
    (categories.FUSION, CONCATENATION, LARGE_KERNEL),
    (categories.FUSION, POOLED, SILU),
    (categories.RECALIBRATION, GATE, SCALE),
    (categories.PATTERNS, DEEPER, SILU),
    (categories.ARRANGEMENT, PRE_ACTIVATION, LARGE_KERNEL),
    (categories.EFFICIENT_CONVOLUTION, DEPTHWISE, LARGE_KERNEL),
    (categories.EFFICIENT_CONVOLUTION, SQUEEZED, STEM),
    (categories.EFFICIENT_TRANSFORMER, ATTENTION, GATE),
    (categories.BLOCKS, DEPTHWISE, GROUP_NORM),
    (categories.DENSE, CONCATENATION, BRANCH),
    (categories.SCALING, DEEPER, GROUP_NORM),
    (categories.DYNAMIC, DROPOUT, SILU),
    (categories.DYNAMIC, EARLY_EXIT, SCALE),
    (categories.DYNAMIC, GATE, BRANCH),
]
"""Category, a network that shows it, one that does not."""


@cache
def graph(source):
    """Return what `source` executes in eval mode."""
    torch.manual_seed(0)
    network = build(load_network(source), 10).eval()
    images = torch.randn(2, 3, 16, 16)
    tracer = Tracer(network, images)
    with torch.no_grad(), tracer:
        logits = network(images)
    return tracer.finish(logits).graph


def sees(main, source):
    return is_visible(Idea("a", "an idea", main=main), graph(BASE), graph(source))


def test_each_category_of_the_tree_has_a_detector_and_is_tested_here():
    assert {main for _, _, main in MAIN_CATEGORIES} == DETECTORS.keys() == {main for main, _, _ in SHOWN}


@pytest.mark.parametrize(("main", "source"), [(main, shown) for main, shown, _ in SHOWN])
def test_what_shows_a_category_is_seen(main, source):
    assert sees(main, source) is True


@pytest.mark.parametrize(("main", "source"), [(main, other) for main, _, other in SHOWN])
def test_another_change_is_not_taken_for_it(main, source):
    assert graph(source) != graph(BASE)
    assert sees(main, source) is False


def test_an_idea_without_a_category_is_not_judged():
    assert sees(None, SILU) is None
    assert sees("another", SILU) is None


def test_the_distance_counts_what_either_has_alone():
    assert distance(graph(BASE), graph(BASE)) == 0
    assert distance(graph(BASE), graph(DROPOUT)) == 0
    assert distance(graph(BASE), graph(SILU)) == distance(graph(SILU), graph(BASE)) == 2 * 11
