"""Cells of NAS-Bench-201: an operation on each of the six edges between four nodes. Pure data, knows no accuracy.

A cell is written as the benchmark writes it: `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...~0|...~1|...~2|`, one group
a node, each operation with the node it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairnad.errors import ConfigError, nearest
from fairnad.records import Costs

__all__ = ["EDGES", "OPERATIONS", "Cell", "cell_costs", "neighbours", "parse_cell"]

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to) of each edge, in the order of the string; node 0 is the input, node 3 the output."""

OPERATIONS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
"""All operations, cheapest first."""

_KERNEL = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
_STAGES = ((16, 32), (32, 16), (64, 8))
"""(channels, height and width) of the three stages of the network; each repeats the cell."""
_REPEATS = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """The operations of one cell, one for each of EDGES; as text it is what `parse_cell` reads."""

    operations: tuple[str, ...]

    def __str__(self) -> str:
        written = [f"{name}~{source}|" for name, (source, _) in zip(self.operations, EDGES, strict=True)]
        groups = [written[0:1], written[1:3], written[3:6]]
        return "+".join("|" + "".join(group) for group in groups)

    def changed(self, edge: int, operation: str) -> Cell:
        """Return the cell with another operation on one edge."""
        return Cell((*self.operations[:edge], operation, *self.operations[edge + 1 :]))


def parse_cell(text: str) -> Cell:
    """Return the cell that `text` writes.

    Raises:
        ConfigError: it is no cell, or holds an operation that is not known.
    """
    written = [part for group in text.strip().split("+") for part in group.strip("|").split("|")]
    cell = Cell(tuple(part.partition("~")[0] for part in written))
    for name in cell.operations:
        if name not in OPERATIONS:
            raise ConfigError(f"cell {text!r}: operation {name!r} is not known: {nearest(name, OPERATIONS)}")
    if len(written) != len(EDGES) or str(cell) != text.strip():
        raise ConfigError(f"cell {text!r}: expected six operations as in {Cell(OPERATIONS[-1:] * len(EDGES))}")
    return cell


def neighbours(cell: Cell, operations: Sequence[str] = OPERATIONS) -> tuple[Cell, ...]:
    """Return the cells that differ from `cell` on one edge, by edge, then in the order of `operations`."""
    return tuple(
        cell.changed(edge, other)
        for edge, current in enumerate(cell.operations)
        for other in operations
        if other != current
    )


def cell_costs(cell: Cell) -> Costs:
    """Return the costs of all fifteen cells of the network on CIFAR.

    Weights of convolution and normalisation; multiply-accumulates of convolution, and elements of normalisation and
    pooling. The stem, the reductions and the classifier are left out: they are the same for every cell.
    """
    each = [_edge_costs(name) for name in cell.operations]
    return Costs(sum(one.params for one in each), sum(one.flops for one in each))


def _edge_costs(operation: str) -> Costs:
    params = flops = 0
    for channels, size in _STAGES:
        elements = channels * size**2
        kernel = _KERNEL.get(operation)
        if kernel is not None:
            params += kernel**2 * channels**2 + 2 * channels
            flops += kernel**2 * channels * elements + elements
        elif operation == "avg_pool_3x3":
            flops += elements
    return Costs(_REPEATS * params, _REPEATS * flops)
