import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fairnad.commands.llm import app
from fairnad.errors import ReplyError
from fairnad.knowledge.attributes import Attribute
from fairnad.llm.replies import (
    LEVELS,
    canonical,
    extract_code,
    read_attributes,
    read_choice,
    read_class,
    read_edits,
    read_filter,
    read_idea_line,
    read_ideas,
    unwrap_registry,
)

HERE = Path(__file__).resolve()
SHARED = HERE.parents[2].parent / "shared" / "cases" / "replies.jsonl"

KINDS = {
    "empty", "no_code", "syntax", "no_network_class", "truncated", "incomplete", "unchanged", "no_response_marker",
    "bad_value", "bad_fields", "bad_json", "missing_section", "no_ideas",
}  # fmt: skip


def own_cases():
    """Return the cases beside this file, whose replies name their common parts as `@CODE@` and the like."""
    head, *lines = (HERE.parent / "replies_small.jsonl").read_text().splitlines()
    parts = json.loads(head)["parts"]
    cases = []
    for case in map(json.loads, lines):
        for key in ("reply", "parent"):
            for name, part in parts.items():
                case[key] = (case.get(key) or "").replace(name, part)
        cases.append(case)
    return cases, parts


OWN, PARTS = own_cases()
CODE = PARTS["@CODE@"]
SAMPLES = [json.loads(line) for line in SHARED.read_text().splitlines()] if SHARED.exists() else []


def fenced(code):
    return f"```python\n{code}```\n"


def parse(case, folder):
    """Return what the command line prints for a case."""
    (folder / "reply.txt").write_bytes(case["reply"].encode("utf-8", "surrogatepass"))
    arguments = ["parse", "--task", case["prompt"], str(folder / "reply.txt")]
    if case.get("truncated"):
        arguments.append("--truncated")
    if parent := case.get("parent") or case["expected"].get("parent"):
        (folder / "parent.py").write_text(parent)
        arguments += ["--parent", str(folder / "parent.py")]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def is_right(result, expected):
    if "any_of" in expected:
        return any(is_right(result, one) for one in expected["any_of"])
    if "code_contains" not in expected:
        return result == {key: expected[key] for key in ("value", "error") if key in expected}
    code = result.get("code", "")
    unwanted = expected.get("code_not_contains", [])
    return all(part in code for part in expected["code_contains"]) and not any(part in code for part in unwanted)


@pytest.mark.parametrize("case", OWN, ids=lambda case: case["id"])
def test_a_reply_is_read_as_it_is_meant(case, tmp_path):
    result = parse(case, tmp_path)
    assert is_right(result, case["expected"]), result


@pytest.mark.skipif(not SAMPLES, reason="the shared sample of replies is not there")
@pytest.mark.parametrize("case", SAMPLES, ids=lambda case: case["id"])
def test_the_shared_sample(case, tmp_path):
    result = parse(case, tmp_path)
    assert is_right(result, case["expected"]), result


READERS = {
    "mutation": lambda reply: extract_code(reply, parent=CODE),
    "structure": read_choice,
    "paper_filter": read_filter,
    "attributes": read_attributes,
    "ideas": read_ideas,
    "idea_line": read_idea_line,
    "edits": read_edits,
    "class": read_class,
    "registry": unwrap_registry,
}
MARKS = [
    "```", "```python\n", "~~~\n", "'''", '"""', "<think>", "</think>", "##response##", "yes", "no", "*", "{", "}", "[",
    "]", "(", ")", '"', "'", "\\", "\n", "    ", "\t", "\0", "\ud800", "\u2028", "\x0c", ":", ",", "//", "/*", "&lt;",
    "class Network(nn.Module):\n", "import torch\n", "# ... rest unchanged\n", "...", ">>> ", "7 ", "<code>", "</code>",
    "**Performance**", "Efficiency", "- ", "Idea: ", "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "lambda:",
    "f'{", "\\N{", "0x", "1e999", "@", "async ", "match x:\n", "def f(x):\n",
]  # fmt: skip


def mutated(reply, rng):
    for _ in range(rng.randint(1, 4)):
        start, end = sorted(rng.randint(0, len(reply)) for _ in range(2))
        piece = reply[start:end]
        reply = rng.choice((
            reply[:start],
            reply[:start] + reply[end:],
            reply[:end] + piece + reply[end:],
            reply[end:] + piece + reply[:start],
            reply[:start] + rng.choice(OWN)["reply"] + reply[start:],
            reply[:start] + rng.choice(MARKS) * rng.choice((1, 1, 3, 40)) + reply[start:],
        ))  # fmt: skip
    return reply[:10_000]


def check(reader, reply):
    """Read a reply: whatever is wrong with it has a kind."""
    try:
        reader(reply)
    except ReplyError as error:
        kind = error.kind
    else:
        return
    assert kind in KINDS


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_no_mutated_reply_raises_anything_else(seed):
    rng = random.Random(seed)
    for _ in range(1000):
        case = rng.choice(OWN)
        reply = mutated(case["reply"], rng)
        check(READERS[case["prompt"]], reply)
        check(READERS[rng.choice(("idea_line", "edits", "class", "registry"))], reply)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_no_text_raises_anything_else(reply):
    for reader in READERS.values():
        check(reader, reply)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    "unit",
    ["`", "```\n", "<think>", "</think>", "{", "[", '"', "'", "(", "-", "1+", "a.", "\\", " ", "\n", "*", "#", "\0"],
)
def test_floods_and_deep_nesting_are_survived(reader, unit):
    for text in (unit * 20_000, fenced("class Network:\n    x = " + unit * 20_000 + "1\n")):
        check(reader, text)


def test_code_that_is_cut_anywhere_is_truncated():
    for length in range(25, CODE.rindex("return")):  # what is returned might end earlier
        with pytest.raises(ReplyError) as caught:
            extract_code("Sure.\n```python\n" + CODE[:length])
        assert caught.value.kind == "truncated"


def test_the_code_is_kept_as_it_was_written():
    assert extract_code(f"Text.\n\n{fenced(CODE)}\nText.") == CODE


def test_what_blocks_contribute_runs_together():
    reply = fenced("import torch.nn as nn\nWIDTH = 8\n") + fenced("def make():\n    return nn.Linear(WIDTH, 2)\n")
    network = (
        "class Network(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = make()\n"
    )
    network += "\n    def forward(self, x):\n        return self.fc(x)\n"
    code = extract_code(fenced("def make():\n    return None\n") + reply + fenced(network))
    positions = [code.index(part) for part in ("import", "WIDTH = 8", "nn.Linear(WIDTH, 2)", "class Network")]
    assert positions == sorted(positions)
    assert "return None" not in code


def test_a_parent_that_is_no_python_is_no_obstacle():
    assert extract_code(fenced(CODE), parent="class (") == CODE


def test_a_class_by_name_or_any():
    assert "class Block" in read_class(fenced(CODE), "Block")
    assert read_class("The class:\n\nimport torch\n\n\nclass Any(torch.nn.ReLU):\n    pass\n\nDone, it's fine.") == (
        "import torch\n\n\nclass Any(torch.nn.ReLU):\n    pass\n"
    )
    with pytest.raises(ReplyError) as caught:
        read_class(fenced(CODE), "Missing")
    assert caught.value.kind == "no_network_class"


@pytest.mark.parametrize(
    ("reply", "idea"),
    [
        ("Idea: Use GELU.\n" + fenced(CODE), "Use GELU."),
        ("**Idea:** Use GELU", "Use GELU"),
        ("**Idea**: *Use GELU*", "Use GELU"),
        ("## Idea\n\nUse GELU\n\n" + fenced(CODE), "Use GELU"),
        ("- My new idea - `Use GELU`", "Use GELU"),
        ("1. Analysis: fine\n2. IDEA : Use GELU", "Use GELU"),
        ("Idea: a first one\nFinal idea: Use GELU\n" + fenced(CODE), "Use GELU"),
        (fenced(CODE) + "Idea: Use GELU", "Use GELU"),
        (fenced("# Idea: Use GELU\n" + CODE), "Use GELU"),
        ("<think>Idea: none</think>\r\nIdea: Use GELU\r\n", "Use GELU"),
        ("<idea>Use GELU</idea>", "Use GELU"),
    ],
)
def test_the_line_of_an_idea(reply, idea):
    assert read_idea_line(reply) == idea


@pytest.mark.parametrize("reply", ["I have no ideas.", "The idea is to wait.", "Idea:\n" + fenced(CODE), fenced(CODE)])
def test_a_reply_without_an_idea(reply):
    with pytest.raises(ReplyError) as caught:
        read_idea_line(reply)
    assert caught.value.kind == "missing_section"


def test_edits():
    first = "<<<<<<< SEARCH\n    a = 1\n=======\n    a = 2\n    b = 3\n>>>>>>> REPLACE\n"
    second = "<<<<< ORIGINAL\r\nx\r\n=====\r\n>>>>> UPDATED\r\n"
    reply = f"Heading\n=======\n```python\n{first}```\nand\n{second}"
    assert read_edits(reply) == (("    a = 1", "    a = 2\n    b = 3"), ("x", ""))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("", "empty"),
        ("Nothing to change.", "no_code"),
        ("<<<<<<< SEARCH\na\n=======\nb\n", "truncated"),
        ("<<<<<<< SEARCH\na\n>>>>>>> REPLACE\n", "syntax"),
        (">>>>>>> REPLACE\n", "syntax"),
        ("<<<<<<< SEARCH\na\n<<<<<<< SEARCH\n", "syntax"),
    ],
)
def test_broken_edits(reply, kind):
    with pytest.raises(ReplyError) as caught:
        read_edits(reply)
    assert caught.value.kind == kind


def test_the_registry_is_taken_out():
    wrapped = (
        "import torch.nn as nn\nfrom mmengine.registry import MODELS\nfrom mmengine.model import BaseModule\n\n\n"
        "@MODELS.register_module(\n    force=True,\n)\n@final\nclass Block(BaseModule):  # \u00e9\n    pass\n\n\n"
        "@MODELS.register_module()\nclass Network(nn.Module):\n    pass\n"
    )
    assert unwrap_registry(wrapped) == (
        "import torch.nn as nn\nfrom mmengine.model import BaseModule\n\n\n"
        "@final\nclass Block(BaseModule):  # \u00e9\n    pass\n\n\nclass Network(nn.Module):\n    pass\n"
    )
    assert unwrap_registry(CODE) == CODE


def test_a_registry_that_is_used_stays():
    source = "from mmengine import MODELS\n\n\nclass Network:\n    block = MODELS.get('Block')\n"
    assert unwrap_registry(source) == source


def test_a_place_in_the_names_of_the_tree():
    place = read_filter("##response##efficiency*operation level*efficient convolution operation*Depthwise")
    assert place == Attribute("efficiency", "operation", "efficient convolution operation", "depthwise")
    assert canonical(place) == Attribute("efficiency", "operation", "efficient convolution", "depthwise")


def test_attributes_keep_their_order_and_empty_categories():
    reply = '**Performance**\n{"block": {"b": []}, "operation level": {"A": ["x", "x", " y"]}}\n**Efficiency**\n[]'
    found = [(one.granularity, one.main, one.names) for one in read_attributes(reply)]
    assert found == [("block", "b", ()), ("operation", "a", ("x", "y"))]
    assert {one.granularity for one in read_attributes(reply)} <= LEVELS.keys()


def test_the_command_reads_standard_input():
    result = CliRunner().invoke(app, ["parse", "--task", "structure"], input="##response##yes\n")
    assert json.loads(result.stdout) == {"value": True}
    assert result.exit_code == 0
