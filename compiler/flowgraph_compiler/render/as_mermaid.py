"""Diagrams as Mermaid flowcharts. Texts are quoted, and what Mermaid or HTML would read as markup is written as a code."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler.render.colours import KINDS, OTHER, STATUSES, Paint
from flowgraph_compiler.render.shapes import UNPLACED, DiagramEdge, DiagramGraph, DiagramNode, folded

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


def mermaid(diagram: DiagramGraph) -> str:
    """The Mermaid text of a diagram."""
    return "\n".join([*_lines(diagram), ""])


def _lines(diagram: DiagramGraph) -> Iterator[str]:
    ids = {node.id: f"n{number}" for number, node in enumerate(diagram.nodes)}
    yield "flowchart TB"
    yield from (f"  {_node(node, ids)}" for node in diagram.nodes if node.cluster is None)
    for number, cluster in enumerate(diagram.clusters):
        yield f'  subgraph c{number}["{_text(cluster.title)}"]'
        yield from (f"    {_node(node, ids)}" for node in diagram.nodes if node.cluster == cluster.id)
        yield "  end"
    yield from (f"  {_edge(edge, ids)}" for edge in diagram.edges)
    for name, look in _looks(diagram):
        yield f"  classDef {name} {_style(look)}"


def _node(node: DiagramNode, ids: dict[str, str]) -> str:
    opening, closing = _SHAPES.get(node.kind, ("[", "]"))
    place = [f"line {node.line}"] if node.line and node.kind not in UNPLACED else []
    label = "<br/>".join(_text(line) for line in (*folded(node.title), *node.detail, *place))
    return f'{ids[node.id]}{opening}"{label}"{closing}:::{_class(node)}'


def _class(node: DiagramNode) -> str:
    if node.status is not None and node.status in STATUSES:
        return f"is_{node.status}"
    return f"k_{node.kind}" if node.kind in KINDS else "k_other"


def _edge(edge: DiagramEdge, ids: dict[str, str]) -> str:
    label = f'|"{_text(edge.label)}"|' if edge.label else ""
    return f"{ids[edge.source]} {_ARROWS[edge.kind]}{label} {ids[edge.target]}"


def _looks(diagram: DiagramGraph) -> Iterator[tuple[str, Paint]]:
    for name in sorted({_class(node) for node in diagram.nodes}):
        kind = name[2:] if name.startswith("k_") else name[3:]
        yield name, (STATUSES[kind] if name.startswith("is_") else KINDS.get(kind, OTHER))


def _style(look: Paint) -> str:
    dashes = ",stroke-dasharray:4 3" if look.dashes else ""
    return f"fill:{look.fill},stroke:{look.border},color:{look.text},stroke-width:{look.width:g}px{dashes}"


def _text(text: str) -> str:
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" if char.isprintable() else "?" for char in text)
