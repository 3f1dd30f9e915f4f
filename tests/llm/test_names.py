import ast
from pathlib import Path

import pytest

from fairnad.architectures.bases import base_source
from fairnad.llm.names import bindings, missing_names, nodes_of

OPERATORS = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)
ODD = """
from a import *
import b.c as d, e.f
x: int
y: "str" = {**x, 1: 2}
def g(p, /, q=1, *r, s, t=2, **u) -> None:
    global v
    v.w[i] = lambda k: k
    nonlocal_ = f"{p!r:>{q}}" if not p and q < 1 else -r[0]
    async def h():
        async with o as (m, n):
            return [z async for z in await m if z]
    match p:
        case {"k": 1, **rest} | [1, *others] | True:
            pass
        case C(a=1) as c:
            raise
try:
    del y
except E as error:
    print(error)
"""
SOURCES = [
    base_source("resnet", width=8, depth=1),
    ODD,
    *(path.read_text() for path in Path(__file__).parent.glob("*.py")),
]


@pytest.mark.parametrize("source", SOURCES)
def test_the_nodes_are_those_of_a_walk_in_its_order(source):
    tree = ast.parse(source)
    assert nodes_of(tree) == [node for node in ast.walk(tree) if not isinstance(node, OPERATORS)]


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("import torch.nn as nn\nclass A(nn.Module): pass", set()),
        ("class A(Block): x = nn.ReLU()", {"Block", "nn"}),
        ("self.a.b[i] = c", {"c"}),
        ("def f(a, *b, **c): return a, b, c, len, d", {"d"}),
        ("try: pass\nexcept E as error: error", {"E"}),
        ("match x:\n    case [a, *b]: a, b", {"x"}),
        ("def f():\n    global a\n    return a", set()),
        ("from a import *\nb", set()),
    ],
)
def test_names_that_are_bound_nowhere(source, missing):
    assert missing_names(ast.parse(source)) == missing


@pytest.mark.parametrize(
    ("statement", "bound"),
    [
        ("import a.b, c as d", {"a", "d"}),
        ("x = y = z", {"x", "y"}),
        ("self.a[i], (b, *c) = 1", {"self", "i", "b", "c"}),
        ("a.b.c += 1", {"a"}),
        ("def f(x): pass", {"f"}),
        ("f(x)", set()),
    ],
)
def test_what_a_statement_binds(statement, bound):
    assert bindings(ast.parse(statement).body[0]) == bound
