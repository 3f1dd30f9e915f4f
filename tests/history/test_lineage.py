from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import networkx as nx
import pytest

from fairnad.errors import ConfigError, HistoryError
from fairnad.history.lineage import ancestors, lineage, render
from fairnad.records import Child, Costs, Failed, Failure, Idea, SlotKey, Stage
from tests.history.samples import trained


def child(child_id, parent, accuracy=None, *, refines=None, main="attention", failure=None):
    stage = Stage.BASE if parent is None else Stage.ITERATIVE if refines is not None else Stage.FAIR
    outcome = trained(accuracy) if accuracy is not None else Failed(failure, "why") if failure else None
    idea = Idea(f"i{child_id}", f'Try "{main}".', main=main) if parent is not None else None
    key = SlotKey(0 if parent is None else 1, stage, child_id)
    return Child(
        child_id, key, parent, refines, idea, "", Costs(1000 * child_id, 9), str(child_id), None, None, outcome
    )


CHILDREN = (
    child(0, None, 0.5),
    child(1, 0, 0.45),
    child(2, 1, 0.625, main="pooling"),
    child(3, 0, refines=1, main="norm"),
    child(4, 1, failure=Failure.NAN),
)


def test_edges_carry_stage_idea_and_gain():
    graph = lineage(CHILDREN)
    assert list(graph) == [0, 1, 2, 3, 4]
    edges = {(source, target): data["kind"] for source, target, data in graph.edges(data=True)}
    parents = {(0, 1): "parent", (1, 2): "parent", (0, 3): "parent", (1, 4): "parent"}
    assert edges == {**parents, (1, 3): "refines"}
    edge = graph.edges[0, 1]
    assert (edge["stage"], edge["idea"]) == ("I", 'Try "attention".')
    assert edge["gain"] == pytest.approx(-0.05)
    assert "gain" not in graph.edges[0, 3]


def test_ancestors_follow_parents_only():
    graph = lineage(CHILDREN)
    assert ancestors(graph, 0) == ()
    assert ancestors(graph, 2) == (0, 1)
    assert ancestors(graph, 3) == (0,)
    with pytest.raises(HistoryError, match="no child 9 in this lineage of 5"):
        ancestors(graph, 9)


def test_tree_shows_results_gains_and_ideas():
    assert render(lineage(CHILDREN), "tree").splitlines() == [
        "0  50.00 %  0.000 M  base",
        "├── 1  45.00 % (-5.00)  0.001 M  I: attention",
        "│   ├── 2  62.50 % (+17.50)  0.002 M  I: pooling",
        "│   └── 4  nan  0.004 M  I: attention",
        "└── 3  not trained  0.003 M  III: norm, refines 1",
    ]


def test_focus_leaves_ancestors_and_descendants():
    graph = lineage(CHILDREN)
    members = {
        focus: [node["id"] for node in json.loads(render(graph, "json", focus=focus))["nodes"]] for focus in graph
    }
    assert members == {0: [0, 1, 2, 3, 4], 1: [0, 1, 2, 4], 2: [0, 1, 2], 3: [0, 3], 4: [0, 1, 4]}
    assert [line[:9] for line in render(graph, "tree", focus=2).splitlines()] == ["0  50.00 ", "└── 1  45", "    └── 2"]
    with pytest.raises(HistoryError, match="no child 9"):
        render(graph, "tree", focus=9)


def test_dot_quotes_text():
    text = render(lineage(CHILDREN), "dot")
    assert '  0 -> 1 [label="I", tooltip="Try \\"attention\\"."];' in text
    assert '  1 -> 3 [label="III", tooltip="refines", style=dashed, constraint=false];' in text
    assert text.count("{") == text.count("}") == 1


def test_json_and_graphml_are_read_back_by_networkx():
    graph = lineage(CHILDREN)
    again = nx.node_link_graph(json.loads(render(graph, "json")), edges="edges")
    assert again.nodes(data=True) == graph.nodes(data=True)
    assert list(again.edges(data=True)) == list(graph.edges(data=True))
    text = render(graph, "graphml")
    assert len(ET.fromstring(text)[-1]) == 5 + 5
    assert dict(nx.parse_graphml(text, node_type=int).nodes(data=True)) == dict(graph.nodes(data=True))


@pytest.mark.parametrize("format", ["tree", "dot", "graphml", "json"])
def test_equal_children_give_equal_text(format):
    assert render(lineage(reversed(CHILDREN)), format) == render(lineage(CHILDREN), format)
    assert render(lineage(()), format) is not None


def test_an_unknown_format_is_refused():
    with pytest.raises(ConfigError, match="format 'png' is not known; choose one of tree, dot, graphml, json"):
        render(lineage(CHILDREN), "png")


def test_a_long_line_needs_no_recursion():
    children = [CHILDREN[0], *(replace(child(n, n - 1, 0.5), refines=None) for n in range(1, 1500))]
    graph = lineage(children)
    assert len(ancestors(graph, 1499)) == 1499
    assert len(render(graph, "tree").splitlines()) == 1500
