"""What a diagram is made of: plain data, which the writers of DOT and Mermaid know and nothing else."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

STATUSES = ("pending", "running", "retrying", "waiting", "completed", "failed", "cancelled", "skipped")
"""States that colour a node; `done` is read as `completed`."""
CHANGES = ("added", "removed", "changed", "same")
"""States that colour a node where two machines are compared."""
UNPLACED = frozenset({"decision", "loop", "fork"})
"""Kinds whose line is not written into the box: it stands at the steps around."""


@dataclass(frozen=True, slots=True)
class DiagramNode:
    """A box. `kind`: start, step, subflow, child, wait, sleep, send, fork, join, decision, loop, end, raise or block; `detail` is
    the small print, one string a line; `line` the source line (0: none); `cluster` the id of the frame around it."""

    id: str
    kind: str
    title: str
    detail: tuple[str, ...] = ()
    line: int = 0
    status: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class DiagramEdge:
    """An arrow. `kind`: flow, timeout, error or calls; `change`: added or removed, where two machines are compared."""

    source: str
    target: str
    label: str = ""
    kind: str = "flow"
    change: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A frame: a subflow, a handler, a function at machine level, or a scope, which may stand in another frame, its `parent`."""

    id: str
    title: str
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class DiagramGraph:
    """A whole diagram. `legend` are the statuses that occur, when the diagram shows a run or compares two machines."""

    title: str
    nodes: tuple[DiagramNode, ...]
    edges: tuple[DiagramEdge, ...]
    clusters: tuple[Cluster, ...] = ()
    legend: tuple[str, ...] = ()

    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Return the kinds of boxes in it that need an explanation, each with one."""
        present = {node.kind for node in self.nodes}
        return tuple((kind, words) for kind, words in _EXPLAINED.items() if kind in present)


_EXPLAINED = {
    "step": "a step",
    "wait": "waits for an event",
    "sleep": "sleeps",
    "send": "sends an event",
    "subflow": "a subflow",
    "child": "another workflow",
    "fork": "side by side",
    "decision": "a decision",
    "loop": "a loop",
    "finally": "what follows a clean-up",
    "end": "an end",
    "raise": "an error",
}


def backward(diagram: DiagramGraph) -> set[DiagramEdge]:
    """The arrows that lead back to where the way to them came from: those that close loops."""
    onward: dict[str, list[DiagramEdge]] = {}
    for edge in diagram.edges:
        if edge.kind != "calls" and edge.change != "removed":
            onward.setdefault(edge.source, []).append(edge)
    found, done = set[DiagramEdge](), set[str]()
    for node in diagram.nodes:
        if node.id not in done:
            _search(node.id, onward, found, done)
    return found


def _search(start: str, onward: Mapping[str, list[DiagramEdge]], found: set[DiagramEdge], done: set[str]) -> None:
    """Depth first: an arrow to a node on the way to where it starts closes a loop."""
    way = [(start, iter(onward.get(start, ())))]
    around = {start}
    while way:
        here, edges = way[-1]
        for edge in edges:
            if edge.target in around:
                found.add(edge)
            elif edge.target not in done:
                around.add(edge.target)
                way.append((edge.target, iter(onward.get(edge.target, ()))))
                break
        else:
            way.pop()
            around.discard(here)
            done.add(here)


class _Wrapper(textwrap.TextWrapper):
    """Breaks at spaces and after punctuation; inside a word only when it is too long."""

    wordsep_simple_re = re.compile(r"(\s+)|(?<=[,.(\[=/])(?=\w)")


_WRAPPER = _Wrapper(34, break_on_hyphens=False)


def folded(text: str) -> list[str]:
    """The text on as many lines as it takes."""
    return _WRAPPER.wrap(text) or [""]


_STUB = 12
"""Characters of a word that has no room: so few say nothing."""


def shortened(text: str, most: int = 64) -> str:
    """The text on one line and not longer than that; what does not print is shown as `?`."""
    line = "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text)
    if len(line) <= most:
        return line
    cut = line[: most - 1]
    words, space, begun = cut.rpartition(" ")
    return (words + space if len(begun) <= _STUB else cut) + "…"
