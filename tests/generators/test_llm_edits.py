import pytest

from fairnad.architectures.bases import base_source
from fairnad.architectures.source import Source
from fairnad.errors import ReplyError
from fairnad.generators.llm_edits import add_imports, apply_edits, merge

BASE = base_source("resnet", width=8, depth=1)
GATE = """import torch.nn.functional as F
from torch import nn

LEAST = 4


class Gate(nn.Module):
    def forward(self, x):
        return x * F.softmax(Scale()(x), 1) * LEAST


class Scale(nn.Module):
    pass


class Unused(nn.Module):
    pass
"""


def test_edits_replace_whole_lines_wherever_they_stand():
    edits = [("    c = 3", "    c = 4\n    d = 5"), ("a = 1", "")]
    assert apply_edits("a = 1\nif a:\n    c = 3\n", edits) == "if a:\n    c = 4\n    d = 5\n"


def test_an_edit_with_another_indentation_is_moved_to_that_of_the_source():
    assert apply_edits("if a:\n    b = 1\n", [("b = 1", "if b:\n    b = 2")]) == "if a:\n    if b:\n        b = 2\n"
    assert apply_edits("b = 1\n", [("    b = 1", "    b = 2")]) == "b = 2\n"
    assert apply_edits("if a:\n    b = 1\n", [(" b = 1", " b = 2\nc = 3")]) == "if a:\n    b = 2\n   c = 3\n"


@pytest.mark.parametrize("before", ["", "    "])
def test_an_edit_is_moved_to_the_tabs_of_the_source(before):
    edit = (f"{before}b = 1", f"{before}b = 2\n{before}c = 3")
    assert apply_edits("if a:\n\tb = 1\n", [edit]) == "if a:\n\tb = 2\n\tc = 3\n"


@pytest.mark.parametrize(
    ("edits", "kind", "told"),
    [
        ([("x = 1", "y")], "edit", "is not in the parent"),
        ([("b = 1", "y")], "edit", "2 times"),
        ([("", "y")], "edit", "nothing"),
        ([("a = 1\nb = 1", "y"), ("a = 1", "z")], "edit", "same lines"),
        ([("a = 1", "a = 1")], "unchanged", "nothing"),
    ],
)
def test_edits_that_cannot_be_made_are_refused(edits, kind, told):
    with pytest.raises(ReplyError, match=told) as raised:
        apply_edits("a = 1\nb = 1\nb = 1", edits)
    assert raised.value.kind == kind


def test_a_class_comes_with_all_that_it_uses_and_with_nothing_else():
    merged = Source(merge(BASE, GATE, wanted="Gate"))
    assert list(merged.classes) == ["ResidualBlock", "Gate", "Scale", "Network"]
    assert merged.text.count("import torch.nn.functional as F") == merged.text.count("LEAST = 4") == 1
    assert merged.text.count("from torch import nn") == 1


def test_only_what_the_class_uses_comes_with_it():
    text = "import math\nimport timm\n\nHALF = math.pi / 2\n\n\nclass Gate(nn.Module):\n    def forward(self, x):\n"
    text += "        return F.relu(x) * HALF\n\n\nlayer = Gate()\nprint(layer(torch.ones(1)))\n"
    merged = merge(BASE, text, wanted="Gate")
    assert "timm" not in merged
    assert "layer = Gate()" not in merged
    assert merged.index("import math\n") < merged.index("import torch.nn.functional as F\n") < merged.index("HALF =")


def test_a_constant_may_have_the_name_of_a_variable_of_the_parent():
    text = "identity = 3\n\n\nclass Gate(nn.Module):\n    def forward(self, x):\n        return x * identity\n"
    parent = BASE.replace("-> torch.Tensor:\n", "-> torch.Tensor:\n        identity = x\n")
    assert "identity = x" in parent
    assert "\nidentity = 3\n" in merge(parent, text, wanted="Gate")


def test_a_class_of_the_same_name_takes_the_place_of_the_old_one():
    text = "from torch import nn\n\n\nclass ResidualBlock(nn.Module):\n    pass\n"
    merged = Source(merge(BASE, text, wanted="ResidualBlock"))
    assert merged.code(merged.classes["ResidualBlock"]) == "class ResidualBlock(nn.Module):\n    pass"
    assert list(merged.classes) == ["ResidualBlock", "Network"]


def test_definitions_that_are_kept_stay_as_they_are():
    text = "class ResidualBlock:\n    pass\n\n\nclass Network:\n    block = ResidualBlock\n"
    merged = Source(merge(BASE, text, wanted="Network", kept=["ResidualBlock"]))
    assert merged.code(merged.classes["ResidualBlock"]) in BASE
    assert "block = ResidualBlock" in merged.text


@pytest.mark.parametrize(
    ("written", "kind"), [("class Other: pass", "no_network_class"), ("class X(:", "syntax"), (BASE, "unchanged")]
)
def test_what_cannot_be_merged_is_refused(written, kind):
    with pytest.raises(ReplyError) as raised:
        merge(BASE, written, wanted="Network")
    assert raised.value.kind == kind


def test_only_missing_imports_are_added():
    text = "from torch import nn\n\nx = 1\n"
    assert add_imports(text, ["import torch.nn as nn"], names=["nn", "unheard_of"]) == text
    assert add_imports(text, [], names=["F"]).splitlines()[1] == "import torch.nn.functional as F"
    assert add_imports("class A:\n    pass\n", ["import math"]) == "import math\n\n\nclass A:\n    pass\n"
