"""Diagrams as Mermaid flowcharts. Texts are quoted, and what Mermaid or HTML would read as markup is written as a code."""

from __future__ import annotations

import json
from collections.abc import Iterator

from flowgraph_compiler.render.colours import Paint
from flowgraph_compiler.render.shapes import CHANGES, UNPLACED, Cluster, DiagramEdge, DiagramGraph, DiagramNode, folded
from flowgraph_compiler.render.styles import PLAIN, Style

_SHAPES = {
    "start": ("([", "])"),
    "end": ("([", "])"),
    "decision": ("{", "}"),
    "loop": ("{{", "}}"),
    "finally": ("{{", "}}"),
    "wait": (">", "]"),
    "sleep": (">", "]"),
    "subflow": ("[[", "]]"),
    "child": ("[[", "]]"),
}
_ARROWS = {"flow": "-->", "timeout": "-.->", "error": "-.->", "calls": "-.->"}
_PLAIN = frozenset(" .,:;!?+-*/=()[]_'…×@$^~{}")


def mermaid(diagram: DiagramGraph, style: Style = PLAIN) -> str:
    """The Mermaid text of a diagram."""
    return "\n".join([*_lines(diagram, style), ""])


def _lines(diagram: DiagramGraph, style: Style) -> Iterator[str]:
    ids = {node.id: f"n{number}" for number, node in enumerate(diagram.nodes)}
    if style.heading:
        yield from ("---", f"title: {json.dumps(' · '.join(style.heading), ensure_ascii=False)}", "---")
    yield "flowchart TB"
    yield from (f"  {_node(node, ids[node.id], style)}" for node in diagram.nodes if node.cluster is None)
    for cluster in diagram.clusters:
        if cluster.parent is None:
            yield from _cluster(cluster, diagram, ids, style)
    yield from (f"  {_edge(edge, ids)}" for edge in diagram.edges)
    explained = [DiagramNode("", "step", status, status=status) for status in diagram.legend if status in CHANGES]
    explained += [DiagramNode("", kind, words) for kind, words in diagram.kinds()] if style.legend else []
    if explained:
        yield '  subgraph legend["legend"]'
        yield from (f"    {_node(node, f'legend{number}', style)}" for number, node in enumerate(explained))
        yield "  end"
    for number, edge in enumerate(diagram.edges):
        if edge.change is not None:
            yield f"  linkStyle {number} stroke:{style.palette.statuses[edge.change].border},stroke-width:2px"
    for node in diagram.nodes:
        address = style.address(node.line)
        if address is not None:
            yield f"  click {ids[node.id]} href {json.dumps(address)}"
    for name in sorted({_class(node, style) for node in (*diagram.nodes, *explained)}):
        yield f"  classDef {name} {_style(_paint(name, style))}"


def _cluster(cluster: Cluster, diagram: DiagramGraph, ids: dict[str, str], style: Style) -> Iterator[str]:
    yield f'  subgraph c{diagram.clusters.index(cluster)}["{_text(cluster.title)}"]'
    yield from (f"    {_node(node, ids[node.id], style)}" for node in diagram.nodes if node.cluster == cluster.id)
    for inner in diagram.clusters:
        if inner.parent == cluster.id:
            yield from (f"  {line}" for line in _cluster(inner, diagram, ids, style))
    yield "  end"


def _node(node: DiagramNode, name: str, style: Style) -> str:
    opening, closing = _SHAPES.get(node.kind, ("[", "]"))
    place = [f"line {node.line}"] if node.line and node.kind not in UNPLACED else []
    label = "<br/>".join(_text(line) for line in (*folded(node.title), *node.detail, *place))
    return f'{name}{opening}"{label}"{closing}:::{_class(node, style)}'


def _class(node: DiagramNode, style: Style) -> str:
    if node.status is not None and node.status in style.palette.statuses:
        return f"is_{node.status}"
    return f"k_{node.kind}" if node.kind in style.palette.kinds else "k_other"


def _edge(edge: DiagramEdge, ids: dict[str, str]) -> str:
    label = f'|"{_text(edge.label)}"|' if edge.label else ""
    return f"{ids[edge.source]} {_ARROWS[edge.kind]}{label} {ids[edge.target]}"


def _paint(name: str, style: Style) -> Paint:
    """The look of a class that `_class` has named."""
    family, _, kind = name.partition("_")
    return style.palette.statuses[kind] if family == "is" else style.palette.paint(kind, None)


def _style(look: Paint) -> str:
    dashes = ",stroke-dasharray:4 3" if look.dashes else ""
    return f"fill:{look.fill},stroke:{look.border},color:{look.text},stroke-width:{look.width:g}px{dashes}"


def _text(text: str) -> str:
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" if char.isprintable() else "?" for char in text)
