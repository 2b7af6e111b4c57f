"""Diagrams in Graphviz' DOT language. Names come from users: every text is quoted and escaped, ids are made here."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler.render.colours import ARROW, ERROR, FRAME, TIMEOUT, paint
from flowgraph_compiler.render.shapes import UNPLACED, Cluster, DiagramEdge, DiagramGraph, DiagramNode, folded

_SHAPES = {
    "start": 'shape=box, style="filled,rounded"',
    "end": 'shape=box, style="filled,rounded"',
    "wait": 'shape=box, style="filled,rounded"',
    "sleep": 'shape=box, style="filled,rounded"',
    "decision": 'shape=diamond, style=filled, margin="0.04,0.03"',
    "loop": "shape=hexagon, style=filled",
    "finally": "shape=hexagon, style=filled",
    "subflow": "shape=box, style=filled, peripheries=2",
    "child": "shape=box, style=filled, peripheries=2",
    "join": "shape=box, style=filled, height=0.07, width=1.1, fixedsize=true",
}
_EDGES = {
    "flow": f'color="{ARROW}"',
    "timeout": f'color="{TIMEOUT}", fontcolor="{TIMEOUT}", style=dashed',
    "error": f'color="{ERROR}", fontcolor="{ERROR}", style=dashed, constraint=true',
    "calls": f'color="{FRAME}", style=dotted, arrowhead=open, constraint=false',
}
_FONT = 'fontname="Helvetica,Arial,sans-serif"'


def dot(diagram: DiagramGraph) -> str:
    """The DOT text of a diagram."""
    return "\n".join([*_lines(diagram), "}", ""])


def _lines(diagram: DiagramGraph) -> Iterator[str]:
    ids = {node.id: f"n{number}" for number, node in enumerate(diagram.nodes)}
    yield f"digraph {_quoted(diagram.title)} {{"
    yield f'  graph [rankdir=TB, bgcolor="transparent", nodesep=0.3, ranksep=0.32, pad=0.2, {_FONT}, fontsize=11];'
    yield f'  node [shape=box, style=filled, {_FONT}, fontsize=11, height=0.32, margin="0.14,0.06"];'
    yield f'  edge [{_FONT}, fontsize=9, arrowsize=0.7, color="{ARROW}", fontcolor="{ARROW}"];'
    for node in diagram.nodes:
        if node.cluster is None:
            yield f"  {_node(node, ids)}"
    for cluster in diagram.clusters:
        yield from _cluster(cluster, diagram, ids)
    for edge in diagram.edges:
        yield f"  {_edge(edge, ids)}"
    yield from _legend(diagram)


def _cluster(cluster: Cluster, diagram: DiagramGraph, ids: dict[str, str]) -> Iterator[str]:
    yield f"  subgraph {_quoted(cluster.id)} {{"
    yield f'    label={_quoted(cluster.title)}; labeljust=l; style="rounded,dashed"; margin=12;'
    yield f'    color="{FRAME}"; fontcolor="{ARROW}";'
    for node in diagram.nodes:
        if node.cluster == cluster.id:
            yield f"    {_node(node, ids)}"
    yield "  }"


def _node(node: DiagramNode, ids: dict[str, str]) -> str:
    look = paint(node.kind, node.status)
    shape = _SHAPES.get(node.kind, "shape=box, style=filled")
    if look.dashes:
        shape = shape.replace("style=filled", f'style="filled,{look.dashes}"').replace(
            '"filled,rounded"', f'"filled,rounded,{look.dashes}"'
        )
    parts = [
        f"label={_label(node)}",
        shape,
        f'fillcolor="{look.fill}", color="{look.border}", fontcolor="{look.text}", penwidth={look.width:g}',
        f"id={_quoted(f'node-{ids[node.id]}')}",
        f"class={_quoted(' '.join(part for part in (node.kind, node.status) if part))}",
        f"tooltip={_quoted(_tooltip(node))}",
    ]
    return f"{ids[node.id]} [{', '.join(parts)}];"


def _label(node: DiagramNode) -> str:
    if node.kind == "join":
        return '""'
    if node.kind in ("block", "suspend"):
        return '"' + "".join(f"{_escaped(line)}\\l" for line in (f"{node.title}:", *node.detail)) + '"'
    place = [f"line {node.line}"] if node.line and node.kind not in UNPLACED else []
    lines = [*folded(node.title), *node.detail, *place]
    return '"' + "\\n".join(map(_escaped, lines)) + '"'


def _tooltip(node: DiagramNode) -> str:
    place = f" (line {node.line})" if node.line else ""
    return f"{node.title}{place}{': ' + node.status if node.status else ''}"


def _edge(edge: DiagramEdge, ids: dict[str, str]) -> str:
    label = f"label={_quoted(f' {edge.label} ')}, " if edge.label else ""
    return f"{ids[edge.source]} -> {ids[edge.target]} [{label}{_EDGES[edge.kind]}];"


def _legend(diagram: DiagramGraph) -> Iterator[str]:
    if not diagram.legend:
        return
    yield '  subgraph "cluster_legend" {'
    yield f'    label="states"; labeljust=l; color="{FRAME}"; fontcolor="{ARROW}"; style="rounded"; fontsize=9; margin=6;'
    for number, status in enumerate(diagram.legend):
        node = DiagramNode(f"legend{number}", "step", status, (), 0, status)
        yield f"    {_node(node, {node.id: node.id})}"
    names = [f"legend{number}" for number in range(len(diagram.legend))]
    if len(names) > 1:
        yield f"    {{ rank=same; {' -> '.join(names)} [style=invis]; }}"
    yield "  }"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """For a quoted string: Graphviz knows backslash escapes and HTML entities in it; what does not print becomes `?`."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
