"""Who descends from whom, as a networkx graph and as text. Reads children, never a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Literal

import networkx as nx

from fairnad.errors import ConfigError, HistoryError
from fairnad.records import Child, Failed, Stage

__all__ = ["LineageFormat", "ancestors", "lineage", "render"]

LineageFormat = Literal["tree", "dot", "graphml", "json"]


def lineage(children: Iterable[Child]) -> nx.DiGraph:
    """Return the graph of `children`: an edge from each parent to its child, and one from each child to its answer.

    Nodes are ids with what is known of the child. Edges have `kind` "parent" (with the child's stage, idea, and the
    gain in accuracy where both are trained) or "refines" (from a degraded child to the one that answers it).
    """
    ordered = sorted(children, key=lambda child: child.id)
    known = {child.id: child for child in ordered}
    graph = nx.DiGraph()
    for child in ordered:
        graph.add_node(child.id, **_node(child))
    for child in ordered:
        if child.refines in known:
            graph.add_edge(child.refines, child.id, kind="refines", stage=child.key.stage.value)
        if child.parent in known:
            graph.add_edge(child.parent, child.id, **_edge(known[child.parent], child))
    return graph


def ancestors(graph: nx.DiGraph, child_id: int) -> tuple[int, ...]:
    """Return the parents of a child up to the base, the base first, without the child itself.

    Raises:
        HistoryError: the child is not in the graph.
    """
    line: list[int] = []
    parent = _parent(graph, _checked(graph, child_id))
    while parent is not None:
        line.append(parent)
        parent = _parent(graph, parent)
    return tuple(reversed(line))


def render(graph: nx.DiGraph, format: LineageFormat, *, focus: int | None = None) -> str:
    """Return `graph` as text, equal for equal graphs; `focus` leaves the ancestors and descendants of one child.

    Raises:
        ConfigError: the format is not known.
        HistoryError: the child in focus is not in the graph.
    """
    writer = _WRITERS.get(format)
    if writer is None:
        raise ConfigError(f"lineage format {format!r} is not known; choose one of {', '.join(_WRITERS)}")
    return writer(graph if focus is None else _family(graph, _checked(graph, focus)))


def _node(child: Child) -> dict[str, object]:
    """Return the attributes of a node; GraphML knows no None, so what is unknown is left out."""
    values = {
        "stage": child.key.stage.value,
        "generation": child.key.generation,
        "params": child.costs.params,
        "flops": child.costs.flops,
        "accuracy": child.accuracy,
        "failure": child.outcome.failure.value if isinstance(child.outcome, Failed) else None,
        "idea": child.idea.text if child.idea is not None else None,
        "category": (child.idea.main or child.idea.kind.value) if child.idea is not None else None,
        "refines": child.refines,
    }
    return {name: value for name, value in values.items() if value is not None}


def _edge(parent: Child, child: Child) -> dict[str, object]:
    values: dict[str, object] = {"kind": "parent", "stage": child.key.stage.value}
    if child.idea is not None:
        values["idea"] = child.idea.text
    if parent.accuracy is not None and child.accuracy is not None:
        values["gain"] = child.accuracy - parent.accuracy
    return values


def _checked(graph: nx.DiGraph, child_id: int) -> int:
    if child_id not in graph:
        raise HistoryError(f"there is no child {child_id} in this lineage of {len(graph)} children")
    return child_id


def _parent(graph: nx.DiGraph, child_id: int) -> int | None:
    return next((source for source, _, kind in graph.in_edges(child_id, data="kind") if kind == "parent"), None)


def _offspring(graph: nx.DiGraph, child_id: int) -> list[int]:
    return sorted(target for _, target, kind in graph.out_edges(child_id, data="kind") if kind == "parent")


def _family(graph: nx.DiGraph, child_id: int) -> nx.DiGraph:
    family, waiting = {*ancestors(graph, child_id)}, [child_id]
    while waiting:
        current = waiting.pop()
        family.add(current)
        waiting += _offspring(graph, current)
    part = nx.DiGraph()
    part.add_nodes_from((node, data) for node, data in graph.nodes(data=True) if node in family)
    part.add_edges_from(edge for edge in graph.edges(data=True) if edge[0] in family and edge[1] in family)
    return part


def _tree(graph: nx.DiGraph) -> str:
    lines: list[str] = []
    roots = [node for node in sorted(graph) if _parent(graph, node) is None]
    waiting = [(root, "", "") for root in reversed(roots)]
    while waiting:
        node, first, rest = waiting.pop()
        lines.append(first + _label(graph, node))
        offspring = _offspring(graph, node)
        branches = [(child, f"{rest}├── ", f"{rest}│   ") for child in offspring[:-1]]
        branches += [(child, f"{rest}└── ", f"{rest}    ") for child in offspring[-1:]]
        waiting += reversed(branches)
    return "\n".join(lines)


def _label(graph: nx.DiGraph, node: int) -> str:
    data = graph.nodes[node]
    parts = [str(node), _result(graph, node), f"{data['params'] / 1e6:.3f} M", _origin(data)]
    return "  ".join(part for part in parts if part)


def _result(graph: nx.DiGraph, node: int) -> str:
    data, parent = graph.nodes[node], _parent(graph, node)
    if "accuracy" not in data:
        return str(data.get("failure", "not trained"))
    gain = graph.edges[parent, node].get("gain") if parent is not None else None
    return f"{100 * data['accuracy']:.2f} %" + (f" ({100 * gain:+.2f})" if gain is not None else "")


def _origin(data: dict[str, object]) -> str:
    if data["stage"] == Stage.BASE.value:
        return "base"
    answer = f", refines {data['refines']}" if "refines" in data else ""
    return f"{data['stage']}: {data.get('category', 'no idea')}{answer}"


def _dot(graph: nx.DiGraph) -> str:
    lines = ["digraph lineage {", "  node [shape=box];"]
    for node in sorted(graph):
        lines.append(f"  {node} [label={_quoted(_label(graph, node))}];")
    for source, target, data in sorted(graph.edges(data=True), key=lambda edge: edge[:2]):
        look = "" if data["kind"] == "parent" else ", style=dashed, constraint=false"
        label = data.get("idea", data["kind"])
        lines.append(f"  {source} -> {target} [label={_quoted(data['stage'])}, tooltip={_quoted(label)}{look}];")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _graphml(graph: nx.DiGraph) -> str:
    return "\n".join(nx.generate_graphml(graph))


def _json(graph: nx.DiGraph) -> str:
    return json.dumps(nx.node_link_data(graph, edges="edges"), indent=2, ensure_ascii=False)


_WRITERS: dict[str, Callable[[nx.DiGraph], str]] = {"tree": _tree, "dot": _dot, "graphml": _graphml, "json": _json}
