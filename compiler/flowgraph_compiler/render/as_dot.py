"""Diagrams in Graphviz' DOT language. Names come from users: every text is quoted and escaped, ids are made here."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler.render.shapes import CHANGES, UNPLACED, Cluster, DiagramEdge, DiagramGraph, DiagramNode, backward, folded
from flowgraph_compiler.render.styles import PLAIN, Style

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
    "flow": 'color="{0.arrow}"',
    "timeout": 'color="{0.timeout}", fontcolor="{0.timeout}", style=dashed',
    "error": 'color="{0.error}", fontcolor="{0.error}", style=dashed, constraint=true',
    "calls": 'color="{0.frame}", style=dotted, arrowhead=open, constraint=false',
}
_FONT = 'fontname="Helvetica,Arial,sans-serif"'


def dot(diagram: DiagramGraph, style: Style = PLAIN) -> str:
    """The DOT text of a diagram."""
    return "\n".join([*_Writer(diagram, style).lines(), "}", ""])


class _Writer:
    """Writes one diagram in one style."""

    def __init__(self, diagram: DiagramGraph, style: Style) -> None:
        self._diagram = diagram
        self._style = style
        self._palette = style.palette
        self._ids = {node.id: f"n{number}" for number, node in enumerate(diagram.nodes)}
        self._backward = backward(diagram)

    def lines(self) -> Iterator[str]:
        diagram, arrow = self._diagram, self._palette.arrow
        yield f"digraph {_quoted(diagram.title)} {{"
        yield f'  graph [rankdir=TB, bgcolor="transparent", nodesep=0.3, ranksep=0.32, pad=0.2, {_FONT}, fontsize=11];'
        yield f'  node [shape=box, style=filled, {_FONT}, fontsize=11, height=0.32, margin="0.14,0.06"];'
        yield f'  edge [{_FONT}, fontsize=9, arrowsize=0.7, color="{arrow}", fontcolor="{arrow}"];'
        if self._style.heading:
            lines = "".join(f"{_escaped(line)}\\l" for line in (*self._style.heading, " "))
            yield f'  label="{lines}"; labelloc=t; labeljust=l; fontsize=13; fontcolor="{arrow}";'
        for node in diagram.nodes:
            if node.cluster is None:
                yield f"  {self._node(node, self._ids[node.id])}"
        for cluster in diagram.clusters:
            if cluster.parent is None:
                yield from self._cluster(cluster)
        for edge in diagram.edges:
            yield f"  {self._edge(edge)}"
        yield from self._legend()

    def _cluster(self, cluster: Cluster) -> Iterator[str]:
        yield f"  subgraph {_quoted(cluster.id)} {{"
        yield f'    label={_quoted(cluster.title)}; labeljust=l; style="rounded,dashed"; margin=12; fontsize=11;'
        yield f'    color="{self._palette.frame}"; fontcolor="{self._palette.arrow}";'
        for node in self._diagram.nodes:
            if node.cluster == cluster.id:
                yield f"    {self._node(node, self._ids[node.id])}"
        for inner in self._diagram.clusters:
            if inner.parent == cluster.id:
                yield from (f"  {line}" for line in self._cluster(inner))
        yield "  }"

    def _node(self, node: DiagramNode, name: str) -> str:
        look = self._palette.paint(node.kind, node.status)
        shape = _SHAPES.get(node.kind, "shape=box, style=filled")
        if look.dashes:
            shape = shape.replace("style=filled", f'style="filled,{look.dashes}"').replace(
                '"filled,rounded"', f'"filled,rounded,{look.dashes}"'
            )
        parts = [
            f"label={_label(node)}",
            shape,
            f'fillcolor="{look.fill}", color="{look.border}", fontcolor="{look.text}", penwidth={look.width:g}',
            f"id={_quoted(f'node-{name}')}",
            f"class={_quoted(' '.join(part for part in (node.kind, node.status) if part))}",
            f"tooltip={_quoted(_tooltip(node))}",
        ]
        address = self._style.address(node.line)
        if address is not None:
            parts.append(f"URL={_quoted(address)}")
        return f"{name} [{', '.join(parts)}];"

    def _edge(self, edge: DiagramEdge) -> str:
        label = f"label={_quoted(f' {edge.label} ')}, " if edge.label else ""
        look = _EDGES[edge.kind].format(self._palette)
        if edge.change is not None:
            paint = self._palette.statuses[edge.change]
            look += f', color="{paint.border}", fontcolor="{paint.border}", penwidth=1.8, class="{edge.change}"'
            look += ", style=dashed" if edge.change == "removed" else ""
        source, target = self._ids[edge.source], self._ids[edge.target]
        if edge in self._backward:  # written the other way round, so that a loop's head stands above its body
            return f"{target} -> {source} [{label}{look}, dir=back];"
        return f"{source} -> {target} [{label}{look}];"

    def _legend(self) -> Iterator[str]:
        kinds = self._diagram.kinds() if self._style.legend else ()
        entries = [DiagramNode("", "step", status, status=status) for status in self._diagram.legend]
        entries += [DiagramNode("", kind, words) for kind, words in kinds]
        if not entries:
            return
        compared = any(status in CHANGES for status in self._diagram.legend)
        title, frame, arrow = "legend" if kinds else "changes" if compared else "states", self._palette.frame, self._palette.arrow
        yield '  subgraph "cluster_legend" {'
        yield f'    label="{title}"; labeljust=l; color="{frame}"; fontcolor="{arrow}"; style="rounded"; fontsize=9; margin=6;'
        names = [f"legend{number}" for number in range(len(entries))]
        for name, entry in zip(names, entries, strict=True):
            yield f"    {self._node(entry, name)}"
        if len(names) > 1:
            yield f"    {' -> '.join(names)} [style=invis];"
        yield "  }"


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


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """For a quoted string: Graphviz knows backslash escapes and HTML entities in it; what does not print becomes `?`."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
