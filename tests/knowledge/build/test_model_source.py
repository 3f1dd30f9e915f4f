"""What of a module a model needs, and nothing that says nothing about its architecture."""

import ast
import logging

import pytest

from fairnad.knowledge.build.model_source import model_source

MODULE = '''"""A model library."""
import torch
from torch import nn
from lib import WeightsEnum, register_model

WIDTHS = {"small": 16}
default_cfgs = {"small": {"url": "https://example.org"}}


class Block(nn.Module):
    """A block.

    A long story about it.
    """

    def forward(self, x):
        # a comment
        return x


class Other(nn.Module):
    pass


class Small_Weights(WeightsEnum):
    DEFAULT = 1


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.block = Block()

    def init_weights(self):
        for module in self.modules():
            nn.init.zeros_(module.weight)

    def forward(self, x):
        return self.block(x)


@register_model
def small(weights=Small_Weights.DEFAULT):
    """Return the small one."""
    return Net(WIDTHS["small"])


def large():
    return Other()
'''


def names(source):
    return [node.name if hasattr(node, "name") else ast.unparse(node).split(" ")[0] for node in ast.parse(source).body]


def test_what_a_root_needs_is_kept_in_the_order_of_the_file():
    assert names(model_source(MODULE, roots=["small"], max_chars=10_000)) == ["WIDTHS", "Block", "Net", "small"]
    assert names(model_source(MODULE, roots=["large"], max_chars=10_000)) == ["Other", "large"]


def test_without_roots_all_is_kept_but_boilerplate():
    source = model_source(MODULE, max_chars=10_000)
    assert names(source) == ["WIDTHS", "Block", "Other", "Net", "small", "large"]
    for left_out in ("init_weights", "register_model\n", "a comment", "a long story", "import ", "url"):
        assert left_out not in source.lower()
    assert "A block." in source
    assert "Return the small one." in source


def test_a_long_source_loses_what_is_furthest_from_the_roots(caplog):
    limit = len(model_source(MODULE, roots=["small"], max_chars=10_000)) - 40
    with caplog.at_level(logging.WARNING):
        assert names(model_source(MODULE, roots=["small"], max_chars=limit)) == ["WIDTHS", "Net", "small"]
    assert "left out" in caplog.text
    assert "Block" in caplog.text


def test_an_unknown_root_and_a_broken_file_are_told():
    with pytest.raises(KeyError, match="medium"):
        model_source(MODULE, roots=["medium"], max_chars=10_000)
    with pytest.raises(SyntaxError):
        model_source("class Net(:", max_chars=10_000)


def test_a_class_of_boilerplate_alone_stays_python():
    source = model_source("class Net:\n    def init_weights(self):\n        pass\n", max_chars=100)
    assert source == "class Net:\n    pass"
