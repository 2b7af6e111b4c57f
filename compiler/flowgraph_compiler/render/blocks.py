"""The diagram of a machine as it is: every block with its ops and its terminator."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler import machine as m
from flowgraph_compiler.notation import pattern_text
from flowgraph_compiler.pretty import block_lines
from flowgraph_compiler.render.shapes import Cluster, DiagramEdge, DiagramGraph, DiagramNode, shortened

_MOST_LINES = 12


def block_diagram(machine: m.Machine) -> DiagramGraph:
    """One node a block, one frame a function."""
    clusters = tuple(Cluster(f"cluster_{n}", function.name) for n, function in enumerate(machine.functions))
    nodes, edges = list[DiagramNode](), list[DiagramEdge]()
    for cluster, function in zip(clusters, machine.functions, strict=True):
        for number, block in enumerate(function.blocks):
            name = f"{function.name}:{number}"
            kind = "suspend" if isinstance(block.terminator, m.Suspend) else "block"
            lines = [shortened(line, 72) for line in block_lines(block)]
            shown = lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 2], "…", lines[-1]]
            nodes.append(DiagramNode(name, kind, str(number), tuple(shown), 0, None, cluster.id))
            edges += [DiagramEdge(name, f"{function.name}:{target}", label, kind) for label, kind, target in _ways(block)]
    return DiagramGraph(machine.workflow, tuple(nodes), tuple(edges), clusters)


def _ways(block: m.Block) -> Iterator[tuple[str, str, int]]:
    """Label, kind and target of every way out."""
    match block.terminator:
        case m.Goto(target) | m.Suspend(block=target):
            yield "", "flow", target
        case m.Test(_, then, orelse):
            yield from (("yes", "flow", then), ("no", "flow", orelse))
        case m.Choose(_, choices, orelse):
            yield from ((shortened(pattern_text(way.pattern), 24), "flow", way.block) for way in choices)
            yield from (("else", "flow", target) for target in (orelse,) if target is not None)
        case m.Advance(body=body, done=done):
            yield from (("each", "flow", body), ("done", "flow", done))
        case m.Resume(_, normal, returns, jumps):
            ways = [("next", normal), ("return", returns), *((f"jump {n}", target) for n, target in enumerate(jumps))]
            yield from ((label, "flow", target) for label, target in ways if target is not None)
        case _:
            pass
    if block.handler is not None:
        yield "error", "error", block.handler
