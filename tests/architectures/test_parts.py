import ast
from pathlib import Path

import pytest
import torch
from torch import nn

from fairnad.architectures.parts import PART_FILES, attention, convolutions, part_source, part_sources, recalibration
from fairnad.architectures.source import Source

SIZES = [(16, 16), (7, 5), (1, 1)]


def parts_of(module):
    return [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]


@pytest.mark.parametrize("part", parts_of(convolutions), ids=lambda part: part.__name__)
@pytest.mark.parametrize(("channels", "stride"), [((8, 8), 1), ((8, 20), 2), ((7, 9), 1)], ids=str)
def test_a_convolution_has_the_shape_of_a_padded_one(part, channels, stride):
    plain = nn.Conv2d(*channels, 3, stride, 1).to("meta")
    layer = part(*channels, 3, stride).to("meta")
    for size in SIZES:
        images = torch.empty(2, channels[0], *size, device="meta")
        assert layer(images).shape == plain(images).shape


@pytest.mark.parametrize("part", [*parts_of(recalibration), *parts_of(attention)], ids=lambda part: part.__name__)
def test_an_addition_keeps_the_shape(part):
    layer = (part() if part.__name__ == "DropPath" else part(12)).to("meta")
    for size in SIZES:
        images = torch.empty(2, 12, *size, device="meta")
        assert layer(images).shape == images.shape


def test_window_attention_sees_its_window_only():
    torch.manual_seed(0)
    layer = attention.WindowAttention(4)
    nn.init.normal_(layer.project.weight)
    layer.norm = nn.Identity()
    images = torch.randn(1, 4, 8, 8)
    changed = images.clone()
    changed[..., 0, 0] += 1.0
    differs = (layer(images) - layer(changed)).abs().amax((0, 1)) > 1e-6
    assert differs[:4, :4].all()
    assert not differs[4:].any()
    assert not differs[:, 4:].any()


def test_drop_path_keeps_the_mean_and_drops_whole_images():
    torch.manual_seed(0)
    layer = recalibration.DropPath(0.5)
    kept = layer(torch.ones(1000, 2, 2, 2)).mean((1, 2, 3))
    assert set(kept.tolist()) == {0.0, 2.0}
    assert kept.mean() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(layer.eval()(torch.ones(2, 1, 1, 1)), torch.ones(2, 1, 1, 1))


@pytest.mark.parametrize("name", part_sources())
def test_a_part_stands_for_itself(name):
    names = {node.id for node in ast.walk(ast.parse(part_source(name))) if isinstance(node, ast.Name)}
    assert not names & (set(part_sources()) - {name})


def test_no_two_files_define_the_same_part():
    texts = [Path(convolutions.__file__).with_name(name).read_text(encoding="utf-8") for name in PART_FILES]
    assert sum(len(Source(text).classes) for text in texts) == len(part_sources())
