"""What the graph of executed operators says of a network: its identity, its statistics, and how two differ.

Pure data: a graph is traced in a child process, read and judged here. Names, comments and classes of the source are
not in it, and neither are weights.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from fairnad.records import Graph, Node

__all__ = [
    "Change",
    "Difference",
    "Statistics",
    "difference",
    "from_json",
    "graph_hash",
    "statistics",
    "to_json",
    "weighted_depth",
]

_ADAPTER = TypeAdapter(Graph)

_LEAVES = frozenset({"input", "parameter", "buffer", "constant"})
_BOOKKEEPING = frozenset({"output", "overwritten", "detach"})
"""Nodes that compute nothing: another output of an operator, a value written over, a gradient that is cut."""

_COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum"})

_PRODUCTS = frozenset({"mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "mkldnn_rnn_layer"})

# fmt: off
_SHAPING = frozenset({
    "view", "permute", "transpose", "t", "expand", "unsqueeze", "squeeze", "select", "slice", "cat",
    "stack", "split", "split_with_sizes", "unbind", "repeat", "roll", "flip", "index", "gather", "constant_pad_nd",
    "reflection_pad2d", "replication_pad2d", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "native_channel_shuffle", "im2col", "col2im", "copy", "_to_copy", "as_strided", "diagonal", "index_select",
    "masked_fill", "tril", "triu", "unfold",
})
_AVERAGING = frozenset({
    "add", "sub", "rsub", "neg", "sum", "mean", "cumsum", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "upsample_nearest2d", "upsample_bilinear2d",
    "upsample_bicubic2d", "native_batch_norm", "_native_batch_norm_legit", "native_dropout", "lerp",
    "_fft_c2c", "_fft_c2r", "_fft_r2c", "view_as_real", "view_as_complex", "real", "imag",
})
# fmt: on
_LINEAR = _SHAPING | _AVERAGING | _BOOKKEEPING
"""Operators that are linear (or affine) in what depends on the image. Batch normalisation is, in eval mode."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over what reaches the logits.

    `depth` is the number of operators on the longest path, `num_branches` how many more readers than one the
    values that depend on the image have.
    """

    num_operators: int
    operators: tuple[tuple[str, int], ...]
    depth: int
    num_weighted_layers: int
    num_branches: int


@dataclass(frozen=True, slots=True)
class Change:
    """So many nodes of one kind; the batch dimension of `shape` is -1."""

    op: str
    attributes: str
    shape: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What a second graph has more and less than a first; nothing, if they only differ in their edges."""

    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    is_equal: bool

    @property
    def text(self) -> str:
        """The difference in one line, for people."""
        if self.is_equal:
            return "no difference"
        if not self.added and not self.removed:
            return "the same operators, connected differently"
        net = Counter[str]()
        for sign, changes in ((1, self.added), (-1, self.removed)):
            for change in changes:
                net[change.op] += sign * change.count
        told = [f"{count:+d} {op}" for op, count in sorted(net.items()) if count and op not in _LEAVES | _BOOKKEEPING]
        return ", ".join(told) or "the same operators, with other shapes or attributes"


def to_json(graph: Graph) -> str:
    """Return the graph as JSON."""
    return _ADAPTER.dump_json(graph).decode()


def from_json(text: str) -> Graph:
    """Return the graph that `to_json` wrote.

    Raises:
        pydantic.ValidationError: the text is no such graph.
    """
    return _ADAPTER.validate_json(text)


def graph_hash(eval_graph: Graph, train_graph: Graph) -> str:
    """Return the identity of a network, from one trace in each mode.

    Equal for networks that run the same operators with the same attributes on the same shapes and edges, whatever
    the order in which independent branches run. Only what reaches the logits counts, and weights do not. A shared
    parameter differs from two of the same shape. Where the batch leads a shape its size plays no part; elsewhere
    (instance normalisation puts it second) only traces at equal batch sizes can be compared.
    """
    return _digest(*(_digest(*_labels(graph)) for graph in (eval_graph, train_graph)))


def statistics(graph: Graph) -> Statistics:
    """Return counts over the operators that reach the logits."""
    live, reads_image = _live(graph), _reads(graph, "input")
    operators = Counter(graph.nodes[at].op for at in live if _is_operator(graph.nodes[at]))
    depth = [0] * len(graph.nodes)
    readers: Counter[int] = Counter()
    for at in live:
        node = graph.nodes[at]
        depth[at] = max((depth[source] for source in node.inputs), default=0) + _is_operator(node)
        readers.update(set(node.inputs))
    return Statistics(
        num_operators=operators.total(),
        operators=tuple(sorted(operators.items())),
        depth=depth[graph.output],
        num_weighted_layers=sum(_weighted(graph, live)),
        num_branches=sum(count - 1 for at, count in readers.items() if reads_image[at]),
    )


def difference(first: Graph, second: Graph) -> Difference:
    """Return what `second` has more and less than `first`, of what reaches the logits."""
    before, after = (Counter(_kinds(graph)) for graph in (first, second))
    return Difference(
        added=_changes(after - before),
        removed=_changes(before - after),
        is_equal=_labels(first) == _labels(second),
    )


def weighted_depth(graph: Graph) -> int:
    """Return the number of weighted layers with a nonlinearity between them, on the longest path to the logits.

    A weighted layer is a convolution, or a matrix product of a value that depends on the image with one that depends
    on parameters alone. Layers that only linear operators separate count as one. The operators that are linear are a
    literal set (batch normalisation is one of them); a product or quotient is linear if only one side, for a quotient
    the upper, depends on the image; all other operators are nonlinear. The last weighted layer before the logits is
    the classifier and is not counted.
    """
    live, reads_image = _live(graph), _reads(graph, "input")
    weighted = dict(zip(live, _weighted(graph, live), strict=True))
    # Of the best path to a node: layers, whether a nonlinearity follows the last of them, layers before that last one.
    paths: dict[int, tuple[int, bool, int]] = {}
    for at in live:
        if not reads_image[at]:
            continue
        node = graph.nodes[at]
        layers, is_fresh, before = max(
            (paths[source] for source in node.inputs if source in paths), default=(0, True, 0)
        )
        if weighted[at]:
            layers, is_fresh, before = layers + is_fresh, False, layers
        elif not _is_linear(node, reads_image):
            is_fresh = True
        paths[at] = (layers, is_fresh, before)
    return paths.get(graph.output, (0, True, 0))[2]


def _labels(graph: Graph) -> list[str]:
    """Return one label for each node that reaches the logits, sorted: equal lists for the same network.

    A label tells all that a node is computed from and all that it is used for, so that sharing shows.
    """
    live, shapes = _live(graph), _shapes(graph)
    below: dict[int, str] = {}
    for at in live:
        node = graph.nodes[at]
        sources = [below[source] for source in node.inputs]
        below[at] = _digest(node.op, node.attributes, shapes[at], *(sorted(sources) if _commutes(node) else sources))
    uses: dict[int, list[str]] = {at: [] for at in live}
    labels = []
    for at in reversed(live):
        node = graph.nodes[at]
        labels.append(_digest(below[at], *sorted(uses[at]), "logits" if at == graph.output else ""))
        for position, source in enumerate(node.inputs):
            uses[source].append(_digest(labels[-1], 0 if _commutes(node) else position))
    return sorted(labels)


def _live(graph: Graph) -> list[int]:
    """Return the indices of the nodes that the logits depend on, ascending."""
    found = {graph.output}
    for at in range(graph.output, -1, -1):
        if at in found:
            found.update(graph.nodes[at].inputs)
    return sorted(found)


def _reads(graph: Graph, leaf: str) -> list[bool]:
    """Return for each node whether it depends on a leaf of this kind."""
    reads: list[bool] = []
    for node in graph.nodes:
        reads.append(node.op == leaf or any(reads[source] for source in node.inputs))
    return reads


def _shapes(graph: Graph) -> list[tuple[int, ...]]:
    """Return the shapes with the batch taken out: -1 for B, -k for a dimension that merges B with k."""
    batch = next((node.shape[0] for node in graph.nodes if node.op == "input"), 0)

    def without_batch(node: Node) -> tuple[int, ...]:
        is_batched = batch and node.shape and node.shape[0] % batch == 0
        return (-(node.shape[0] // batch), *node.shape[1:]) if is_batched else node.shape

    reads_image = _reads(graph, "input")
    return [without_batch(node) if reads else node.shape for node, reads in zip(graph.nodes, reads_image, strict=True)]


def _kinds(graph: Graph) -> Iterable[tuple[str, str, tuple[int, ...]]]:
    shapes = _shapes(graph)
    return [(graph.nodes[at].op, graph.nodes[at].attributes, shapes[at]) for at in _live(graph)]


def _changes(counts: Counter[tuple[str, str, tuple[int, ...]]]) -> tuple[Change, ...]:
    return tuple(Change(*kind, count) for kind, count in sorted(counts.items()))


def _weighted(graph: Graph, live: Sequence[int]) -> list[bool]:
    """Return for each of `live` whether it is a weighted layer."""
    reads_image, reads_parameter = _reads(graph, "input"), _reads(graph, "parameter")

    def is_weighted(node: Node) -> bool:
        if node.op == "convolution":
            return reads_image[node.inputs[0]] and reads_parameter[node.inputs[1]]
        if node.op not in _PRODUCTS:
            return False
        images, weights = node.inputs[:2] if node.op == "mkldnn_rnn_layer" else node.inputs[-2:]
        if reads_image[weights]:
            images, weights = weights, images
        return reads_image[images] and not reads_image[weights] and reads_parameter[weights]

    return [is_weighted(graph.nodes[at]) for at in live]


def _is_linear(node: Node, reads_image: Sequence[bool]) -> bool:
    if node.op in ("mul", "div"):
        readers = [position for position, source in enumerate(node.inputs) if reads_image[source]]
        return len(readers) == 1 and (node.op == "mul" or readers == [0])
    if node.op in _PRODUCTS or node.op == "convolution":
        return sum(reads_image[source] for source in node.inputs) == 1
    return node.op in _LINEAR


def _is_operator(node: Node) -> bool:
    return node.op not in _LEAVES and node.op not in _BOOKKEEPING


def _commutes(node: Node) -> bool:
    return node.op in _COMMUTATIVE and not node.attributes


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
