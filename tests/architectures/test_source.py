import ast

import pytest

from fairnad.architectures.source import Edit, Source, argument_of, callee_name, splice, try_parse
from fairnad.errors import ConfigError

TEXT = '''"""Ein größeres Netz."""
from torch import nn


def unit(c):
    return nn.Conv2d(c, c, 3)


class Unused(nn.Module):
    pass


class Block(nn.Module):
    def __init__(self, c):
        self.conv = unit(c)


class Network(nn.Module):
    def __init__(self, num_classes):
        name = "größe"; self.body = Block(16)
'''


def test_used_definitions_are_those_network_reaches():
    assert Source(TEXT).used == ("unit", "Block", "Network")


def test_code_is_exact_behind_characters_of_several_bytes():
    source = Source(TEXT)
    call = next(node for node in ast.walk(source.tree) if callee_name(node) == "Block")
    assert isinstance(call, ast.Call)
    assert source.code(call) == "Block(16)"


def test_splice_keeps_the_order_of_insertions_at_one_place():
    assert splice("abc", [Edit(1, 1, "1"), Edit(1, 1, "2"), Edit(1, 2, "B"), Edit(3, 3, "!")]) == "a12Bc!"


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_other_line_ends_do_not_shift_places(line_end):
    source = Source(TEXT.replace("\n", line_end))
    assert source.code(source.classes["Unused"]) == "class Unused(nn.Module):\n    pass"


@pytest.mark.parametrize(
    ("text", "expected"), [("f(1, 2)", "2"), ("f(1, b=3)", "3"), ("f(1)", None), ("f(*x, 2)", None)]
)
def test_argument_by_name_or_place(text, expected):
    call = ast.parse(text, mode="eval").body
    value = argument_of(call, "b", 1)
    assert (None if value is None else ast.unparse(value)) == expected


def test_text_that_is_nested_too_deeply_is_refused():
    with pytest.raises(ConfigError, match="cannot be parsed"):
        Source("x = " + "1 +" * 20_000 + "1")


def test_text_that_is_not_python_is_refused():
    with pytest.raises(ConfigError, match="cannot be parsed"):
        Source("class Network(:")
    assert try_parse("class Network(:") is None


def found(text):
    """Return the parsed text, and the statement `found = 1` in it."""
    source = Source(text)
    return source, next(node for node in ast.walk(source.tree) if isinstance(node, ast.Assign))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if 1:\n\tfound = 1\n", "if 1:\n\tnew\n\tfound = 1\n"),
        ("if 1:\n  found = 1; b = 2\n", "if 1:\n  new\n  found = 1; b = 2\n"),
        ("if 1: found = 1\n", None),
        ("if 1: \\\n  found = 1\n", None),
    ],
)
def test_a_line_before_a_statement_is_indented_as_that_is(text, expected):
    source, statement = found(text)
    edit = source.line_before(statement, "new")
    assert (None if edit is None else splice(source.text, [edit])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if 1:\n\tfound = 1", "if 1:\n\tfound = 1\n\tnew"),
        ("if 1:\n  found = 1  # why\n", "if 1:\n  found = 1  # why\n  new\n"),
        ("if 1:\n  found = (1,\n1)\nelse: 2\n", "if 1:\n  found = (1,\n1)\n  new\nelse: 2\n"),
        ("if 1:\n  found = 1; b(2)\n", None),
        ("if 1:\n  b(2); found = 1\n", None),
        ("if 1: found = 1\n", None),
        ("if 1: \\\n  found = 1\n", None),
    ],
)
def test_a_line_after_a_statement_is_indented_as_that_is(text, expected):
    source, statement = found(text)
    edit = source.line_after(statement, "new")
    assert (None if edit is None else splice(source.text, [edit])) == expected
