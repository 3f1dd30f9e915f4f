import ast

import pytest

from fairnad.architectures.source import Edit, Source, argument_of, callee_name, splice
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


def test_windows_line_ends_do_not_shift_places():
    source = Source(TEXT.replace("\n", "\r\n"))
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
