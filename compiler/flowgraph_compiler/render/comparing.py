"""One diagram of two machines of a workflow: what is new, gone, changed and the same.

    old   charge -> ship                 drawn   charge -> pack (added) -> ship
    new   charge -> pack -> ship                 charge -> ship (removed arrow)

Nodes of an action are the same when their sites are; others (decisions, loops, ends) when their words are, in the order of both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from typing import TypeAlias

from flowgraph_compiler.differences import changed_sites
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.render.shapes import CHANGES, Cluster, DiagramEdge, DiagramGraph, DiagramNode
from flowgraph_compiler.render.steps import StepDiagram

ADDED, REMOVED, CHANGED, SAME = CHANGES
_OLD = "old:"
_Pairs: TypeAlias = list[tuple[DiagramNode | None, DiagramNode | None]]


def compared(old: Machine | None, new: Machine | None) -> DiagramGraph:
    """The diagram of both; one of them may be missing, for a workflow that is new or gone."""
    before, after = (_diagram(one) for one in (old, new))
    changed = changed_sites(old, new) if old is not None and new is not None else set[str]()
    return _Comparison(before, after, changed).graph()


def _diagram(machine: Machine | None) -> DiagramGraph:
    return DiagramGraph("", (), ()) if machine is None else StepDiagram(machine, None).graph()


class _Comparison:
    """The two diagrams, and the ids under which the nodes and frames of the old one are drawn."""

    def __init__(self, old: DiagramGraph, new: DiagramGraph, changed: Collection[str]) -> None:
        self._old = old
        self._new = new
        self._changed = changed
        self._pairs = _paired(old, new)
        self._frames = _frames(old, new)
        self._ids = {
            before.id: after.id if after is not None else _OLD + before.id for before, after in self._pairs if before is not None
        }

    def graph(self) -> DiagramGraph:
        nodes = tuple(self._node(before, after) for before, after in self._pairs)
        kept = {cluster.id for cluster in self._new.clusters}
        gone = [replace(one, id=self._frames[one.id], parent=self._frame(one.parent)) for one in self._old.clusters]
        clusters = (*self._new.clusters, *(one for one in gone if one.id not in kept))
        present = {node.status for node in nodes}
        legend = tuple(change for change in CHANGES if change in present)
        return DiagramGraph(self._new.title or self._old.title, nodes, tuple(self._edges()), clusters, legend)

    def _node(self, before: DiagramNode | None, after: DiagramNode | None) -> DiagramNode:
        if after is None:
            assert before is not None
            return replace(before, id=_OLD + before.id, status=REMOVED, line=0, cluster=self._frame(before.cluster))
        if before is None:
            return replace(after, status=ADDED)
        same = (before.kind, before.title, before.detail) == (after.kind, after.title, after.detail)
        return replace(after, status=SAME if same and after.id not in self._changed else CHANGED)

    def _edges(self) -> Iterator[DiagramEdge]:
        before = [replace(edge, source=self._ids[edge.source], target=self._ids[edge.target]) for edge in self._old.edges]
        yield from (replace(edge, change=None if edge in before else ADDED) for edge in self._new.edges)
        yield from (replace(edge, change=REMOVED) for edge in before if edge not in self._new.edges)

    def _frame(self, cluster: str | None) -> str | None:
        return None if cluster is None else self._frames[cluster]


def _frames(old: DiagramGraph, new: DiagramGraph) -> dict[str, str]:
    """The frames of the old diagram by what they are drawn as: that of the same title, else one of their own."""
    found: dict[str, str] = {}
    for cluster in old.clusters:
        alike = [one.id for one in new.clusters if _path(one, new) == _path(cluster, old)]
        free = [one for one in alike if one not in found.values()]
        found[cluster.id] = free[0] if free else f"{cluster.id}:old"
    return found


def _path(cluster: Cluster, diagram: DiagramGraph) -> tuple[str, ...]:
    above = next((one for one in diagram.clusters if one.id == cluster.parent), None)
    return (*(() if above is None else _path(above, diagram)), cluster.title)


def _paired(old: DiagramGraph, new: DiagramGraph) -> _Pairs:
    """The nodes of both in one order: old and new together where they are the same."""
    before, after = ([_key(node, diagram) for node in diagram.nodes] for diagram in (old, new))
    pairs: _Pairs = []
    for _, first, last, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if before[first:last] == after[start:end]:
            pairs += zip(old.nodes[first:last], new.nodes[start:end], strict=True)
        else:
            pairs += [(node, None) for node in old.nodes[first:last]]
            pairs += [(None, node) for node in new.nodes[start:end]]
    return pairs


def _key(node: DiagramNode, diagram: DiagramGraph) -> tuple[str, ...]:
    """What a node is known by: the place of its action, or its frame, kind and words."""
    if node.line and node.kind not in ("decision", "loop"):
        return ("site", node.id)
    frame = next((one for one in diagram.clusters if one.id == node.cluster), None)
    return (*(() if frame is None else _path(frame, diagram)), node.kind, "" if node.kind == "start" else node.title)
