"""Whether an idea can be seen in the network that was made by it: one small detector for each main category.

A detector looks at what was executed before and after, never at the source or at what its author says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

from fairnad.architectures.graph import difference, statistics, weighted_depth
from fairnad.records import Graph, Idea, Node

__all__ = ["distance", "is_visible"]

Kinds = Counter[str]

ACTIVATIONS = {
    "relu", "silu", "gelu", "hardswish", "_prelu_kernel", "leaky_relu", "elu", "mish", "hardtanh", "softplus", "tanh",
    "sigmoid", "hardsigmoid", "clamp",
}  # fmt: skip
NORMS = {
    "native_batch_norm", "_native_batch_norm_legit", "native_group_norm", "native_layer_norm", "linalg_vector_norm",
    "var_mean", "rsqrt", "var", "std",
}  # fmt: skip
GATES = {"sigmoid", "hardsigmoid", "_softmax", "tanh", "_adaptive_avg_pool2d", "mean", "amax", "max"}
JOINS = {"add", "cat", "mul", "stack", "sum"}
RESIZES = {"avg_pool2d", "max_pool2d_with_indices", "upsample_nearest2d", "upsample_bilinear2d", "_adaptive_avg_pool2d"}
MIXES = {"bmm", "_softmax", "mm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu"}


def is_visible(idea: Idea, before: Graph, after: Graph) -> bool | None:
    """Return whether `after` shows what `idea` is about, compared with `before`; None for an idea without a category.

    The two are different networks: where their eval graphs are equal, they differ in training.
    """
    detector = DETECTORS.get(idea.main or "")
    return None if detector is None else detector(before, after)


def distance(before: Graph, after: Graph) -> int:
    """Return the number of nodes that one of two networks has and the other has not."""
    found = difference(before, after)
    return sum(change.count for change in (*found.added, *found.removed))


def _net(before: Graph, after: Graph) -> Kinds:
    """Return how many operators of each kind came (+) or went (-)."""
    net = Counter(dict(statistics(after).operators))
    net.subtract(dict(statistics(before).operators))
    return Counter({op: count for op, count in net.items() if count})


def _changes(kinds: set[str]) -> Callable[[Graph, Graph], bool]:
    return lambda before, after: bool(kinds & set(_net(before, after)))


def _activation(before: Graph, after: Graph) -> bool:
    return bool(ACTIVATIONS & set(_net(before, after)))


def _normalization(before: Graph, after: Graph) -> bool:
    return bool(NORMS & set(_net(before, after))) or _shapes(before, NORMS) != _shapes(after, NORMS)


def _recalibration(before: Graph, after: Graph) -> bool:
    net = _net(before, after)
    return net["mul"] > 0 and any(net[op] > 0 for op in GATES)


def _extraction(before: Graph, after: Graph) -> bool:
    return _convolutions(before) != _convolutions(after) or _changes(MIXES | RESIZES)(before, after)


def _efficient_convolution(before: Graph, after: Graph) -> bool:
    added = _convolutions(after) - _convolutions(before)
    return any(groups > 1 or kernel[0] != kernel[1] or kernel == (1, 1) for kernel, groups, *_ in added)


def _stem(before: Graph, after: Graph) -> bool:
    return _beginning(before) != _beginning(after)


def _branches(before: Graph, after: Graph) -> bool:
    first, second = statistics(before), statistics(after)
    return first.num_branches != second.num_branches or _changes(JOINS)(before, after)


def _arrangement(before: Graph, after: Graph) -> bool:
    return _pairs(before) != _pairs(after)


def _scale(before: Graph, after: Graph) -> bool:
    return _convolution_shapes(before) != _convolution_shapes(after) or weighted_depth(before) != weighted_depth(after)


def _blocks(before: Graph, after: Graph) -> bool:
    return _convolutions(before) != _convolutions(after) or _convolution_shapes(before) != _convolution_shapes(after)


def _dynamic(before: Graph, after: Graph) -> bool:
    return (
        difference(before, after).is_equal or _recalibration(before, after) or _changes({"gt", "where"})(before, after)
    )


DETECTORS: dict[str, Callable[[Graph, Graph], bool]] = {
    "feature extraction operators": _extraction,
    "normalization": _normalization,
    "activation": _activation,
    "input encoding": _stem,
    "residual connections and multi-branch architectures": _branches,
    "feature fusion and aggregation": _changes(JOINS | RESIZES),
    "adaptive feature recalibration": _recalibration,
    "network structural patterns": _scale,
    "layer arrangement and order": _arrangement,
    "efficient convolution": _efficient_convolution,
    "efficient transformer": _changes(MIXES),
    "efficient block structures": _blocks,
    "dense connectivity for feature reuse": _changes({"cat", "stack"}),
    "network-wise scaling": _scale,
    "dynamic computation": _dynamic,
}


def _convolutions(graph: Graph) -> Counter[tuple[object, ...]]:
    """Return the kernels, groups, strides and dilations of the convolutions."""
    found: Counter[tuple[object, ...]] = Counter()
    for node in graph.nodes:
        if node.op == "convolution":
            told = json.loads(node.attributes)
            kernel = graph.nodes[node.inputs[1]].shape[-2:]
            found[(kernel, told["groups"], tuple(told["stride"]), tuple(told["dilation"]))] += 1
    return found


def _convolution_shapes(graph: Graph) -> list[tuple[int, ...]]:
    return sorted(graph.nodes[node.inputs[1]].shape for node in graph.nodes if node.op == "convolution")


def _shapes(graph: Graph, ops: set[str]) -> Counter[tuple[str, str]]:
    return Counter((node.op, node.attributes) for node in graph.nodes if node.op in ops)


def _beginning(graph: Graph) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return what is executed before the first operator behind the first activation."""
    found = []
    for node in graph.nodes:
        found.append(_told(node))
        if node.op in ACTIVATIONS:
            break
    return found


def _pairs(graph: Graph) -> Counter[tuple[str, str]]:
    """Return which operator follows which."""
    return Counter((graph.nodes[at].op, node.op) for node in graph.nodes for at in node.inputs)


def _told(node: Node) -> tuple[str, str, tuple[int, ...]]:
    return node.op, node.attributes, node.shape
