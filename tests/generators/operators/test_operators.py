import ast
import random

import pytest

from fairnad.architectures.bases import base_source
from fairnad.architectures.source import Source
from fairnad.generators.operators import OPERATORS, Operator, Scope, categories
from fairnad.generators.operators.change import Change
from fairnad.generators.operators.sites import find_sites, find_stages
from tests.generators.styles import PLAIN, STYLES

BASE = base_source("resnet", width=8, depth=1)
BY_NAME = {operator.name: operator for operator in OPERATORS}
USER_WRITTEN = """import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        # the residual branch
        self.body = nn.Sequential(
            nn.Conv2d(cin, cout, 3, stride, 1, bias=False),
            nn.BatchNorm2d(cout),  # before the activation
            nn.ReLU(inplace=True),
            nn.Conv2d(cout, cout, 3, 1, 1, bias=False),
            nn.BatchNorm2d(cout),
        )
        self.down = None
        if stride != 1 or cin != cout:
            self.down = nn.Conv2d(cin, cout, 1, stride)

    def forward(self, x):
        return F.relu(self.body(x) + (x if self.down is None else self.down(x)))


class Network(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.layers1 = nn.Sequential(*[Block(8, 8) for _ in range(2)])
        self.layers2 = nn.Sequential(Block(8, 16, 2), *[Block(16, 16) for _ in range(2)])
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.layers2(self.layers1(self.stem(x)))
        return self.fc(x.mean((2, 3)))
"""
ALREADY_SO = {"ReLU", "batch normalisation"}
"""Operators for which the base is the result already."""


def rewritten(operator: Operator, text: str, seed: int = 0, wish: str = ""):
    source = Source(text)
    return operator.apply(source, Scope(source.used, wish), random.Random(seed))


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
@pytest.mark.parametrize("text", [BASE, USER_WRITTEN], ids=["base", "user_written"])
def test_every_operator_changes_what_is_executed(operator, text, trace):
    if operator.name in ALREADY_SO:
        assert rewritten(operator, text) is None
        return
    rewrite = rewritten(operator, text)
    graph, unused = trace(rewrite.text)
    assert graph != trace(text)[0]
    assert unused == []
    assert rewrite.note


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_the_style_of_a_network_does_not_matter(operator, trace):
    expected = rewritten(operator, PLAIN, seed=1)
    for style, text in STYLES.items():
        rewrite = rewritten(operator, text, seed=1)
        assert (rewrite is None) is (expected is None), style
        if rewrite is not None and ast.dump(ast.parse(rewrite.text)) != ast.dump(ast.parse(expected.text)):
            assert trace(rewrite.text) == trace(expected.text), style


def test_every_main_category_has_an_operator():
    mains = {getattr(categories, name) for name in categories.__all__}
    assert len(mains) == 15
    assert mains == {main for operator in OPERATORS for main in operator.mains}


def test_names_are_unique():
    assert len(BY_NAME) == len(OPERATORS)


def test_all_other_text_stays_as_it_was():
    after = rewritten(BY_NAME["squeeze-and-excitation"], USER_WRITTEN, seed=1).text
    added = [line for line in after.splitlines() if line not in USER_WRITTEN.splitlines()]
    kept = [line for line in USER_WRITTEN.splitlines() if line not in after.splitlines()]
    assert kept == []
    assert "            SqueezeExcitation(cout)," in added


def test_a_layer_behind_an_attribute_gets_a_line_and_a_call():
    after = rewritten(BY_NAME["layer scale"], BASE, wish="behind the last convolution").text
    assert "        self.scale = LayerScale(out_channels)\n" in after
    assert "        out = self.scale(self.bn2(self.conv2(out)))\n" in after


def test_pre_activation_reorders_the_block():
    after = rewritten(BY_NAME["pre-activation"], BASE).text
    assert "self.bn1 = nn.BatchNorm2d(in_channels)" in after
    assert "        out = self.conv1(self.act1(self.bn1(x)))\n" in after
    assert "        out = self.conv2(self.act2(self.bn2(out)))\n" in after
    assert "        return out + self.shortcut(x)\n" in after


def test_the_idea_says_which_convolution():
    wish = "replace the second 3x3 convolution of every residual block"
    for seed in range(5):
        after = rewritten(BY_NAME["depthwise separable convolution"], BASE, seed, wish).text
        assert "self.conv1 = nn.Conv2d(" in after
        assert "self.conv2 = DepthwiseSeparableConv(out_channels, out_channels)" in after


def test_seeds_make_different_drafts():
    texts = {rewritten(BY_NAME["kernel size"], BASE, seed).text for seed in range(10)}
    assert len(texts) > 3


def test_a_class_that_is_there_already_is_used_again():
    once = rewritten(BY_NAME["squeeze-and-excitation"], BASE, 1).text
    twice = rewritten(BY_NAME["squeeze-and-excitation"], once, 2).text
    assert twice.count("class SqueezeExcitation") == 1
    assert twice.count("SqueezeExcitation(") == once.count("SqueezeExcitation(") + 1


def test_a_class_of_the_same_name_is_left_alone():
    own = "class SqueezeExcitation(nn.Module):\n    pass\n\n\nclass Block"
    after = rewritten(BY_NAME["squeeze-and-excitation"], USER_WRITTEN.replace("class Block", own)).text
    assert "class SqueezeExcitation2(nn.Module):" in after
    assert after.count(" SqueezeExcitation2(") == 2


def test_unused_layers_are_no_sites():
    text = BASE.replace(
        "        self.shortcut = nn.Sequential()\n",
        "        self.spare = nn.BatchNorm2d(out_channels)\n        self.shortcut = nn.Sequential()\n",
    )
    sites = find_sites(Source(text), ["ResidualBlock"], {"BatchNorm2d"})
    assert [site.attribute for site in sites] == ["bn1", "bn2", "shortcut"]


def test_stages_know_their_channels():
    stages = [(s.site.attribute, s.in_channels, s.out_channels) for s in find_stages(Source(BASE))]
    assert stages == [("stem", "3", "8"), ("layers1", "8", "8"), ("layers2", "8", "16"), ("layers3", "16", "32")]


def test_imports_are_added_once():
    source = Source(
        '"""A network."""\n\nfrom __future__ import annotations\n\nfrom torch import nn\n\n\nclass A:\n    x = 1\n'
    )
    change = Change(source)
    change.replace(source.classes["A"].body[0], "x = math.gcd(F.relu, nn.ReLU)")
    text = change.finish("").text
    compile(text, "text", "exec")
    assert text.count("import math\n") == 1
    assert text.count("import torch.nn.functional as F\n") == 1
    assert text.count("import nn\n") == 1


def test_edits_whose_result_is_no_python_do_not_apply():
    change = Change(Source("import torch; x = (\n    1)\n\n\ndef f():\n    return x\n"))
    change.part("LayerScale")
    assert change.finish("") is None
