"""Diagrams of workflows: a plain `DiagramGraph`, and writers that turn one into DOT or Mermaid text.

A machine's step diagram is drawn from its blocks, so a run that started on an old machine can still be shown; a graph is
outlined to blocks first.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowgraph_compiler.graph import WorkflowGraph
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.render.as_dot import dot
from flowgraph_compiler.render.as_mermaid import mermaid
from flowgraph_compiler.render.blocks import block_diagram
from flowgraph_compiler.render.colours import DARK, LIGHT
from flowgraph_compiler.render.comparing import compared
from flowgraph_compiler.render.outline import outlined
from flowgraph_compiler.render.shapes import Cluster, DiagramEdge, DiagramGraph, DiagramNode
from flowgraph_compiler.render.steps import StepDiagram
from flowgraph_compiler.render.styles import Style
from flowgraph_compiler.render.texts import heading

__all__ = [
    "DARK",
    "LIGHT",
    "Cluster",
    "DiagramEdge",
    "DiagramGraph",
    "DiagramNode",
    "Style",
    "compared",
    "diagram",
    "dot",
    "heading",
    "mermaid",
]


def diagram(form: WorkflowGraph | Machine, level: str = "graph", live: Mapping[str, str] | None = None) -> DiagramGraph:
    """The diagram of a workflow: `level` is `graph` (steps) or `machine` (blocks).

    `live` has the state of each node (by its id) in a run and colours the step diagram. Raises `ValueError` for another level."""
    machine = outlined(form) if isinstance(form, WorkflowGraph) else form
    if level == "graph":
        return StepDiagram(machine, live).graph()
    if level == "machine":
        return block_diagram(machine)
    raise ValueError(f"no level '{level}': 'graph' or 'machine'")
