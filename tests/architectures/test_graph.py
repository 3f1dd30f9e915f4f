"""What a graph says of a network: identity, statistics, differences, depth."""

import random

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from pydantic import ValidationError

from fairnad.architectures.graph import difference, from_json, graph_hash, statistics, to_json, weighted_depth
from fairnad.records import Graph, Node
from fairnad.sandbox.child.execute import build, load_network
from fairnad.sandbox.child.trace import Tracer

HEADER = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"

SOURCE = (
    HEADER
    + """
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        y = self.drop(F.relu(self.norm(self.conv(x))))
        return x + y


class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.left = Block(8)
        self.right = Block(8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = self.left(x) + F.silu(self.right(x))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(x.flatten(1))
"""
)


def graphs(source: str, batches: tuple[int, int] = (1, 2)) -> tuple[Graph, Graph]:
    network = build(load_network(source), 5)
    found = []
    for batch, is_training in zip(batches, (False, True), strict=True):
        torch.manual_seed(0)
        images = torch.randn(batch, 3, 8, 8)
        tracer = Tracer(network, images)
        with tracer:
            logits = network.train(is_training)(images)
        found.append(tracer.finish(logits).graph)
    return tuple(found)


def hashed(source: str, batches: tuple[int, int] = (1, 2)) -> str:
    return graph_hash(*graphs(source, batches))


def edit(*changes: tuple[str, str]) -> str:
    source = SOURCE
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    return source


SAME = {
    "comment": edit(("x = F.relu", "# a novel idea\n        x = F.relu")),
    "class name": edit(("Block", "NovelBlock")),
    "attribute name": edit(("self.conv", "self.mixer"), ("self.left", "self.first")),
    "variable name": edit(("y = self.drop", "z = self.drop"), ("x + y", "x + z")),
    "order in the constructor": edit(
        ("        self.left = Block(8)\n", ""), ("        self.fc =", "        self.left = Block(8)\n        self.fc =")
    ),
    "order of the branches": edit(("self.left(x) + F.silu(self.right(x))", "F.silu(self.right(x)) + self.left(x)")),
    "order of the operands": edit(("return x + y", "return y + x")),
    "unused module": edit(("        self.fc =", "        self.extra = nn.Conv2d(8, 8, 5)\n        self.fc =")),
    "unused result": edit(("        x = F.adaptive", "        F.relu(x)\n        x = F.adaptive")),
    "in place": edit(("F.relu(self.stem(x))", "F.relu_(self.stem(x))")),
    "in-place sum": edit(("return x + y", "y += x\n        return y")),
    "module for function": edit(("F.relu(self.norm(self.conv(x)))", "nn.ReLU()(self.norm(self.conv(x)))")),
    "explicit defaults": edit(("width, width, 3, padding=1", "width, width, (3, 3), 1, 1, 1, 1, True")),
    "view": edit(("x.flatten(1)", "x.view(x.shape[0], -1)")),
    "reshape": edit(("x.flatten(1)", "x.reshape(-1, 8)")),
    "no-op": edit(("x.flatten(1)", "x.clone().contiguous().float().flatten(1)")),
    "initial weights": edit(("        self.left =", "        nn.init.zeros_(self.stem.weight)\n        self.left =")),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_hash_is_blind_to(name):
    assert hashed(SAME[name]) == hashed(SOURCE)


OTHER = {
    "operator": edit(("x = F.adaptive_avg_pool2d(x, 1)", "x = F.adaptive_max_pool2d(x, 1)")),
    "kernel": edit(("nn.Conv2d(width, width, 3, padding=1)", "nn.Conv2d(width, width, 1)")),
    "dilation": edit(("nn.Conv2d(width, width, 3, padding=1)", "nn.Conv2d(width, width, 3, padding=2, dilation=2)")),
    "groups": edit(("nn.Conv2d(width, width, 3, padding=1)", "nn.Conv2d(width, width, 3, padding=1, groups=8)")),
    "width": edit(("8", "16")),
    "skip removed": edit(("return x + y", "return y")),
    "skip moved": edit(("self.left(x) + F.silu(self.right(x))", "self.left(F.silu(self.right(x)))")),
    "dropout rate": edit(("0.1", "0.2")),
    "dropout removed": edit(("nn.Dropout(0.1)", "nn.Identity()")),
    "activation": edit(("F.silu", "F.gelu")),
    "normalisation": edit(("nn.BatchNorm2d(width)", "nn.GroupNorm(2, width)")),
    "epsilon": edit(("nn.BatchNorm2d(width)", "nn.BatchNorm2d(width, eps=1e-3)")),
    "momentum": edit(("nn.BatchNorm2d(width)", "nn.BatchNorm2d(width, momentum=0.2)")),
    "bias": edit(("nn.Linear(8, num_classes)", "nn.Linear(8, num_classes, bias=False)")),
    "shared block": edit(("self.right = Block(8)", "self.right = self.left")),
    "tied weight": edit(
        ("        self.fc =", "        self.right.conv.weight = self.left.conv.weight\n        self.fc =")
    ),
    "stopped gradient": edit(("self.right(x)", "self.right(x.detach())")),
    "scale": edit(("return x + y", "return x + 0.5 * y")),
    "order of a difference": edit(("return x + y", "return x - y")),
}


@pytest.mark.parametrize("name", OTHER)
def test_hash_sees(name):
    assert hashed(OTHER[name]) != hashed(SOURCE)


def test_all_changes_are_different_from_each_other():
    assert len({hashed(source) for source in OTHER.values()}) == len(OTHER)


@pytest.mark.parametrize("norm", ["nn.BatchNorm2d(width)", "nn.GroupNorm(2, width)"])
def test_batch_size_plays_no_part(norm):
    source = edit(("nn.BatchNorm2d(width)", norm), ("x.flatten(1)", "x.view(x.shape[0], 2, 4, -1).reshape(len(x), -1)"))
    assert hashed(source, (1, 2)) == hashed(source, (5, 3))


ACTIVATIONS = ["F.relu", "F.silu", "torch.tanh"]
layer = st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.sampled_from(ACTIVATIONS), st.booleans())
architectures = st.lists(layer, min_size=1, max_size=3)


def render(layers, *, shuffle: random.Random | None = None) -> str:
    """Write parallel branches of (width, kernel, activation, has a skip) one after the other, in two dialects."""
    names = [f"branch{at}" for at in range(len(layers))]
    inits, calls = [], []
    for name, (width, kernel, act, is_skip) in zip(names, layers, strict=True):
        inits += [f"self.{name} = nn.Conv2d(3, {width}, {kernel}, padding={kernel // 2})"]
        inits += [f"self.{name}_out = nn.Conv2d({width}, 3, 1)"]
        out = f"self.{name}_out({act}(self.{name}(x)))"
        calls.append(f"{name} = {out} + x" if is_skip else f"{name} = {out}")
    total = " + ".join(f"torch.sigmoid({name})" for name in names)
    inits.append("self.fc = nn.Linear(3, num_classes)")
    if shuffle is not None:
        inits.append("self.unused = nn.Linear(2, 2)")
        shuffle.shuffle(inits)
        shuffle.shuffle(calls)
    inits, calls = ("\n        ".join(lines) for lines in (inits, calls))
    source = f"""{HEADER}
class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        {inits}

    def forward(self, x):
        {calls}
        return self.fc(({total}).mean((2, 3)))
"""
    return source if shuffle is None else source.replace("branch", "arm")


@settings(max_examples=25, deadline=None)
@given(architectures, st.randoms(use_true_random=False))
def test_rewriting_never_changes_the_hash(layers, shuffle):
    assert hashed(render(layers)) == hashed(render(layers, shuffle=shuffle))


@settings(max_examples=25, deadline=None)
@given(architectures, architectures)
def test_different_branches_have_different_hashes(first, second):
    assert (hashed(render(first)) == hashed(render(second))) == (first == second)


names = st.sampled_from(["relu", "add", "convolution"])


@st.composite
def any_graph(draw) -> Graph:
    nodes = [Node("input", (), (2, 3))]
    for at in range(1, draw(st.integers(1, 8))):
        inputs = draw(st.lists(st.integers(0, at - 1), min_size=1, max_size=3))
        shape = draw(st.lists(st.integers(0, 9), max_size=3))
        nodes.append(Node(draw(names), tuple(inputs), tuple(shape), draw(st.sampled_from(["", '{"p":0.5}']))))
    return Graph(tuple(nodes), len(nodes) - 1)


@given(any_graph())
def test_json_gives_the_graph_back(graph):
    assert from_json(to_json(graph)) == graph
    assert difference(graph, from_json(to_json(graph))).text == "no difference"


def test_other_json_is_refused():
    with pytest.raises(ValidationError):
        from_json('{"nodes": 1}')


def chain(*nodes: Node) -> Graph:
    return Graph(nodes, len(nodes) - 1)


IMAGE, WEIGHT = Node("input", (), (1, 4)), Node("parameter", (), (4, 4))


def test_one_parameter_twice_differs_from_two_parameters():
    shared = chain(IMAGE, WEIGHT, Node("mm", (0, 1), (1, 4)), Node("mm", (2, 1), (1, 4)))
    apart = chain(IMAGE, WEIGHT, WEIGHT, Node("mm", (0, 1), (1, 4)), Node("mm", (3, 2), (1, 4)))
    assert graph_hash(shared, shared) != graph_hash(apart, apart)


def test_which_layers_share_matters():
    def network(*weights: int) -> Graph:
        nodes = [IMAGE, WEIGHT, WEIGHT]
        for weight in weights:
            nodes.append(Node("mm", (len(nodes) - 1 if len(nodes) > 3 else 0, weight), (1, 4)))
        return chain(*nodes)

    hashes = {graph_hash(graph, graph) for graph in (network(1, 2, 1, 2), network(1, 2, 2, 1), network(1, 1, 2, 2))}
    assert len(hashes) == 3
    assert graph_hash(network(1, 2, 2), network(1)) == graph_hash(network(2, 1, 1), network(2))


def test_operands_commute_only_where_they_may():
    def network(op: str, attributes: str, *inputs: int) -> str:
        graph = chain(IMAGE, Node("relu", (0,), (1, 4)), Node(op, inputs, (1, 4), attributes))
        return graph_hash(graph, graph)

    assert network("mul", "", 0, 1) == network("mul", "", 1, 0)
    assert network("sub", "", 0, 1) != network("sub", "", 1, 0)
    assert network("add", '{"alpha":2}', 0, 1) != network("add", '{"alpha":2}', 1, 0)


def test_both_modes_belong_to_the_identity():
    evaluated, trained = graphs(SOURCE)
    assert len({graph_hash(evaluated, trained), graph_hash(trained, evaluated), graph_hash(evaluated, evaluated)}) == 3


def test_statistics_count_what_reaches_the_logits():
    evaluated, _ = graphs(SOURCE)
    found = statistics(evaluated)
    counts = dict(found.operators)
    assert found.num_operators == sum(counts.values())
    assert (counts["convolution"], counts["relu"], counts["silu"], counts["add"]) == (3, 3, 1, 3)
    assert not {"input", "parameter", "empty"} & set(counts)
    assert found.num_weighted_layers == 4
    assert found.num_branches == 3  # the stem is read four times: by two convolutions and two skips
    assert found.depth == 2 + 4 + 2 + 3  # stem, right block, silu and sum, head


def test_difference_names_what_changed():
    before, _ = graphs(SOURCE)
    after, _ = graphs(edit(("F.silu(self.right(x))", "F.gelu(torch.sigmoid(self.right(x)))")))
    found = difference(before, after)
    assert found.text == "+1 gelu, +1 sigmoid, -1 silu"
    assert [(change.op, change.shape, change.count) for change in found.removed] == [("silu", (-1, 8, 8, 8), 1)]
    assert {change.op for change in found.added} == {"gelu", "sigmoid"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("width", "the same operators, with other shapes or attributes"),
        ("dilation", "the same operators, with other shapes or attributes"),
        ("skip removed", "-2 add"),
    ],
)
def test_difference_in_one_line(name, text):
    assert difference(graphs(SOURCE)[0], graphs(OTHER[name])[0]).text == text


def test_difference_of_edges_alone():
    first = chain(IMAGE, *(Node("relu", (at,), (1, 4)) for at in (0, 0)), Node("mul", (1, 2), (1, 4)))
    second = chain(IMAGE, *(Node("relu", (at,), (1, 4)) for at in (0, 1)), Node("mul", (0, 2), (1, 4)))
    assert difference(first, second).text == "the same operators, connected differently"


DEPTHS = {
    "linear": ("self.fc(x.mean((2, 3)))", 0),
    "one layer": ("self.fc(F.relu(self.a(x)).mean((2, 3)))", 1),
    "no nonlinearity": ("self.fc(self.b(self.a(x)).mean((2, 3)))", 1),
    "norm is linear": ("self.fc(self.b(self.norm(self.a(x)) * 2 + 1).mean((2, 3)))", 1),
    "two": ("self.fc(F.relu(self.b(F.relu(self.a(x)))).mean((2, 3)))", 2),
    "before the head": ("self.fc(self.b(F.relu(self.a(x))).mean((2, 3)))", 2),
    "after the head": ("F.log_softmax(self.fc(F.relu(self.a(x)).mean((2, 3))), 1)", 1),
    "longest path": ("self.fc((self.b(x) + self.b(F.relu(self.a(F.relu(self.b(x)))))).mean((2, 3)))", 3),
    "a product of activations": ("self.fc(self.b(self.a(x) * self.a(x)).mean((2, 3)))", 2),
    "a gate of parameters": ("self.fc(self.b(self.a(x) * self.gate).mean((2, 3)))", 1),
    "a quotient": ("self.fc(self.b(1 / self.a(x)).mean((2, 3)))", 2),
    "matrix product": ("self.fc(F.relu(x.mean((2, 3)) @ self.w)).relu() @ torch.ones(5, 5)", 1),
    "attention has no weights": ("self.fc((x @ x.softmax(-1) @ x).mean((2, 3)))", 0),
    "fixed filters have none": ("self.fc(F.relu(F.conv2d(x, torch.ones(3, 3, 1, 1))).mean((2, 3)))", 0),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_weighted_depth(name):
    expression, depth = DEPTHS[name]
    source = f"""{HEADER}
class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.gate, self.w = nn.Parameter(torch.ones(3, 1, 1)), nn.Parameter(torch.ones(3, 3))
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x):
        return {expression}
"""
    assert weighted_depth(graphs(source)[0]) == depth
