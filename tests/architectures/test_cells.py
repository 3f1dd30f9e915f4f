"""Cells as text, their neighbours, what they compute and what they cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairnad.architectures.cells import EDGES, OPERATIONS, Cell, cell_costs, neighbours, parse_cell
from fairnad.errors import ConfigError
from fairnad.records import Costs

TEXT = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|skip_connect~2|"
cells = st.tuples(*[st.sampled_from(OPERATIONS)] * len(EDGES)).map(Cell)


def test_the_text_of_the_benchmark_is_read_edge_by_edge():
    cell = parse_cell(TEXT)
    assert dict(zip(EDGES, cell.operations, strict=True)) == {
        (0, 1): "avg_pool_3x3",
        (0, 2): "nor_conv_1x1",
        (1, 2): "skip_connect",
        (0, 3): "nor_conv_3x3",
        (1, 3): "none",
        (2, 3): "skip_connect",
    }


@given(cells)
def test_what_is_written_is_read_back(cell):
    assert parse_cell(str(cell)) == cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resnet",
        TEXT[:-1],
        TEXT.replace("~2", "~1"),
        TEXT.replace("+", ""),
        TEXT + "+|none~0|none~1|none~2|none~3|",
        "|none~0|+|none~0|none~1|",
    ],
)
def test_another_text_is_refused(text):
    with pytest.raises(ConfigError, match="cell"):
        parse_cell(text)


def test_an_operation_that_is_not_known_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'nor_conv_5x5' is not known: the nearest known is 'nor_conv_[13]x[13]'"):
        parse_cell(TEXT.replace("nor_conv_1x1", "nor_conv_5x5"))


@given(cells)
def test_neighbours_differ_on_one_edge(cell):
    around = neighbours(cell)
    assert len(set(around)) == len(around) == 24
    for other in around:
        assert sum(a != b for a, b in zip(cell.operations, other.operations, strict=True)) == 1


def test_neighbours_keep_to_the_operations_of_a_smaller_table():
    around = neighbours(Cell(("none",) * 6), ("none", "skip_connect"))
    assert {name for other in around for name in other.operations} == {"none", "skip_connect"}
    assert len(around) == 6


def test_costs_are_those_of_the_benchmark():
    # 1,531,546 params of the largest network on CIFAR-10, of which 73,306 are not in its cells.
    assert cell_costs(Cell(("nor_conv_3x3",) * 6)).params == 1_531_546 - 73_306
    assert cell_costs(Cell(("none",) * 6)) == cell_costs(Cell(("skip_connect",) * 6)) == Costs(0, 0)


@given(cells, st.integers(0, 5))
def test_a_dearer_operation_costs_more(cell, edge):
    costs = [cell_costs(cell.changed(edge, name)) for name in OPERATIONS[1:]]
    assert [one.flops for one in costs] == sorted({one.flops for one in costs})
