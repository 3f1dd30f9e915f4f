import re

import pytest

from fairnad.architectures.bases import base_source
from fairnad.generators.mending import mend
from fairnad.records import Failure, Verdict
from fairnad.sandbox.child.execute import verify
from fairnad.sandbox.wire import VerifyJob

BASE = base_source("resnet", width=8, depth=1)
LAYER = """class AddedLayer(nn.Module):
    def __init__(self, channels):
        super().__init__()
        {layers}

    def forward(self, x):
        return {result}


class Network("""


def with_layer(layers, result):
    text = LAYER.format(layers="\n        ".join(layers), result=result)
    placed = BASE.replace("self.layers1(x)", "self.added(self.layers1(x))")
    placed = placed.replace("self.pool = ", "self.added = AddedLayer(8)\n        self.pool = ")
    return placed.replace("class Network(", text)


def judge(source, tmp_path):
    job = VerifyJob(
        source=source, input_shape=(3, 16, 16), num_classes=10, check_integrity=False, train_steps=1, batch_size=2
    )
    report = verify(job, tmp_path)
    return Verdict(report.failure, report.reason, report.details)


BROKEN = {
    "an import": (["self.scale = nn.Parameter(torch.ones(1))"], "F.gelu(x * self.scale) * math.pi"),
    "a layer by its bare name": (["self.act = Sequential(GELU())"], "self.act(x)"),
    "a function of torch": (["self.scale = 0.5"], "nn.functional.cat([x, x], 1).chunk(2, 1)[0] * self.scale"),
    "a function of torch.nn.functional": (["self.scale = 0.5"], "self.scale * torch.gelu(nn.functional.abs(x))"),
    "padding": (["self.conv = nn.Conv2d(channels, channels, 3)"], "x + self.conv(x)"),
    "padding behind a trailing comma": (
        ["self.name = 'math.'", "self.conv = nn.Conv2d(\n            channels, channels,\n            3,\n        )"],
        "x + self.conv(x)",
    ),
    "a dilated padding": (["self.conv = nn.Conv2d(channels, channels, 3, padding=1, dilation=2)"], "x + self.conv(x)"),
    "in_channels": (["self.conv = nn.Conv2d(channels, channels, 1)"], "self.conv(torch.cat([x, x], 1))"),
    "out_channels": (["self.conv = nn.Conv2d(channels, 2 * channels, 3, padding=1)"], "x + self.conv(x)"),
    "in_features": (
        ["self.fc = nn.Linear(channels // 2, channels)"],
        "x * torch.sigmoid(self.fc(x.mean((2, 3))))[:, :, None, None]",
    ),
    "a norm of the last dimension": (["self.norm = nn.LayerNorm(channels)"], "self.norm(x)"),
    "a linear layer of the last dimension": (["self.fc = nn.Linear(channels, channels)"], "x + self.fc(x)"),
    "features of a norm": (["self.bn = nn.BatchNorm2d(channels // 2)"], "self.bn(x)"),
    "groups": (["self.conv = nn.Conv2d(channels, channels, 1, groups=3)"], "x + self.conv(x)"),
    "groups of a norm": (["self.norm = nn.GroupNorm(5, channels)"], "self.norm(x)"),
    "layers of the last dimension": (
        ["self.mlp = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels), nn.LayerNorm(channels))"],
        "x + self.mlp(x)",
    ),
    "layers in a list": (["self.layers = nn.Sequential([nn.BatchNorm2d(channels), nn.ReLU()])"], "self.layers(x)"),
    "layers from a loop": (["self.layers = nn.Sequential(nn.ReLU() for _ in range(2))"], "self.layers(x)"),
    "layers from a loop in parentheses": (["self.acts = nn.Sequential((nn.ReLU() for _ in 'ab'))"], "self.acts(x)"),
    "a parameter of the constructor": (
        ["self.conv = nn.Conv2d(channels, channels, 1)"],
        "torch.conv2d(x, self.conv.weight) * channels",
    ),
    "a pooling": (["self.pool = nn.MaxPool2d(2, 2)"], "x + self.pool(x)"),
    "three sizes at once": (
        [
            "self.conv = nn.Conv2d(channels, channels, 5, groups=3)",
            "self.norm = nn.GroupNorm(3, channels)",
            "self.fuse = nn.Conv2d(channels, channels, 1, padding=1)",
        ],
        "x + self.fuse(self.norm(self.conv(x)))",
    ),
    "two layers": (
        ["self.conv = nn.Conv2d(channels, channels, 3)", "self.fuse = nn.Conv2d(channels, channels, 1)"],
        "self.fuse(torch.cat([x, self.conv(x)], 1))",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_in_a_new_layer_is_mended(what, measure, tmp_path):
    source = with_layer(*BROKEN[what])
    verdict = judge(source, tmp_path)
    assert verdict.failure is not None
    mended = mend(source, verdict, BASE, measure)
    assert mended is not None
    assert measure([mended.source])[0] is not None, mended.note
    assert "AddedLayer" in mended.source
    assert mended.note


def test_a_layer_that_nobody_wrote_is_not_written_by_a_program(measure, tmp_path):
    source = with_layer(["self.se = SqueezeExcitation(channels)"], "self.se(x)")
    assert mend(source, judge(source, tmp_path), BASE, measure) is None


def test_layers_are_spelt_as_torch_does(measure):
    layers = ["self.norm = nn.Batchnorm2d(channels)", "self.act = torch.nn.SILU()"]
    mended = mend(with_layer(layers, "self.act(self.norm(x))"), Verdict(Failure.INIT_ERROR), BASE, measure)
    assert measure([mended.source])[0] is not None
    assert mended.note == "spelt BatchNorm2d, SiLU"
    imported = with_layer(["from torch.nn import Silu", "self.act = Silu()"], "self.act(x)")
    mended = mend(imported, Verdict(Failure.INIT_ERROR), BASE, measure)
    assert measure([mended.source])[0] is not None
    assert mended.note == "spelt SiLU as Silu"
    parameter = with_layer(["self.scale = nn.parameter.Parameter(torch.ones(1))"], "x * self.scale")
    assert mend(parameter, Verdict(Failure.NAN), BASE, measure) is None


def test_a_constructor_begins_with_that_of_the_module(measure):
    source = with_layer(["self.act = nn.GELU()"], "self.act(x)")
    source = re.sub(r"(class AddedLayer.*?\n.*?\n) +super\(\).__init__\(\)\n", r"\1", source)
    mended = mend(source, Verdict(Failure.INIT_ERROR), BASE, measure)
    assert measure([mended.source])[0] is not None
    assert mended.note == "super().__init__() in AddedLayer"


@pytest.mark.parametrize("behind", ["", "; self.two = 2"])
def test_a_constructor_is_begun_as_it_is_indented(behind, measure):
    source = BASE.replace("self.layers1(x)", "self.added(self.layers1(x))")
    source = source.replace("self.pool = ", "self.added = AddedLayer(8)\n        self.pool = ")
    source += f"\n\nclass AddedLayer(nn.Module):\n\tdef __init__(self, channels):\n\t\tself.act = nn.GELU(){behind}\n"
    source += "\n\tdef forward(self, x):\n\t\treturn self.act(x)\n"
    mended = mend(source, Verdict(Failure.INIT_ERROR), BASE, measure)
    assert measure([mended.source])[0] is not None


def test_parameters_are_kept_as_the_constructor_is_indented(measure):
    source = with_layer(["self.act = nn.GELU()"], "self.act(x) * channels")
    head, _, tail = source.partition("class AddedLayer")
    layer, _, network = tail.partition("class Network(")
    source = f"{head}class AddedLayer{layer.replace('    ', chr(9))}class Network({network}"
    mended = mend(source, Verdict(Failure.FORWARD_ERROR), BASE, measure)
    assert measure([mended.source])[0] is not None
    assert "\n\t\tself.channels = channels\n" in mended.source


@pytest.mark.parametrize("result", ["self.act(x)", "self.act(x) * channels"])
def test_a_line_is_put_into_no_constructor_of_one_line(result, measure):
    init = "def __init__(self, channels): super().__init__(); self.act = nn.GELU()"
    source = re.sub(
        r"def __init__\(self, channels\):.*?GELU\(\)", init, with_layer(["nn.GELU()"], result), flags=re.DOTALL
    )
    assert mend(source, Verdict(Failure.NAN), BASE, measure) is None
    source = source.replace("super().__init__(); self.act", "self.act", 1)
    assert mend(source, Verdict(Failure.NAN), BASE, measure) is None


def test_what_was_left_out_is_taken_from_the_parent(measure):
    network = BASE[BASE.index("class Network(") :].replace("nn.ReLU()", "nn.SiLU()")
    mended = mend(network, Verdict(Failure.IMPORT), BASE, measure)
    assert measure([mended.source])[0] is not None
    assert "took ResidualBlock from the parent" in mended.note
    block = BASE[: BASE.index("class Network(")].replace("nn.ReLU()", "nn.SiLU()")
    mended = mend(block, Verdict(Failure.NO_NETWORK_CLASS), BASE, measure)
    assert measure([mended.source])[0] is not None


def test_what_was_left_out_stands_ahead_of_what_is_built_on_it(measure):
    network = BASE[BASE.index("class Network(") :].replace("ResidualBlock(", "WiderBlock(")
    block = "class WiderBlock(ResidualBlock):\n    pass\n\n\n"
    imports = BASE[: BASE.index("class ResidualBlock")]
    mended = mend(imports + block + network, Verdict(Failure.IMPORT), BASE, measure)
    assert "took ResidualBlock from the parent" in mended.note
    assert measure([mended.source]) == measure([BASE])


def test_the_features_that_the_error_tells_are_taken(measure, tmp_path):
    source = BASE.replace("torch.flatten(self.pool(x), 1)", "torch.flatten(x, 1)")
    verdict = judge(source, tmp_path)
    assert "1x512 and 32x10" in verdict.reason
    mended = mend(source, verdict, BASE, measure)
    assert mended.note == "Network.fc: in_features=512"
    assert measure([mended.source])[0] is not None


def test_what_no_program_mends_stays(measure):
    error = Verdict(Failure.FORWARD_ERROR, "forward raised RuntimeError")
    hopeless = with_layer(["self.bn = nn.BatchNorm2d(channels)"], "self.bn(x.reshape(7, 7))")
    assert mend(hopeless, error, BASE, measure) is None
    assert mend("class Network(", error, BASE, measure) is None
    assert mend(BASE, Verdict(Failure.NAN, "nan"), BASE, measure) is None
