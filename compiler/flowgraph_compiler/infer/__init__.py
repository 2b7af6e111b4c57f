"""Inference of types on the graph, flow-sensitive: "infer or ask". What is unknown is silent; what is reported is certain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.graph import FlowGraph, WorkflowGraph
from flowgraph_compiler.infer.environment import Env
from flowgraph_compiler.infer.findings import Findings
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.infer.world import World, declaration, parameters, result_of
from flowgraph_compiler.types import UNKNOWN, normal


def infer(graph: WorkflowGraph, app: Application) -> tuple[WorkflowGraph, list[Diagnostic]]:
    """The graph with `variable_types` and `result_type` filled in, and the findings (FG170-174)."""
    findings = Findings(graph.name)
    functions = tuple(_inferred(function, graph, app, findings) for function in graph.functions)
    return replace(graph, functions=functions), list(findings.found.values())


def types_at(function: FlowGraph, graph: WorkflowGraph, app: Application) -> dict[str, dict[str, Any]]:
    """The types of the variables before each node, by the node's id; nodes that are never reached are missing."""
    flow = analysed(function, graph, app, Findings(graph.name))
    return {node: {name: tp for name, tp in env.types.items() if _is_variable(name)} for node, env in flow.before.items()}


def flows_of(graph: WorkflowGraph, app: Application) -> dict[str, FlowTypes]:
    """The finished analyses of all functions, by name."""
    return {function.name: analysed(function, graph, app, Findings(graph.name)) for function in graph.functions}


def analysed(function: FlowGraph, graph: WorkflowGraph, app: Application, findings: Findings) -> FlowTypes:
    """The finished analysis of one function."""
    declared = {name: normal(tp) for name, tp in function.variable_types.items() if tp is not UNKNOWN}
    bare = World(app, graph, function)
    given = {name: tp for name, tp in parameters(bare).items() if tp is not UNKNOWN}
    world = World(app, graph, function, {**declared, **given})
    flow = FlowTypes(world, findings)
    flow.finish(flow.run(function.body, Env({**dict.fromkeys(function.names, UNKNOWN), **given})))
    return flow


def _inferred(function: FlowGraph, graph: WorkflowGraph, app: Application, findings: Findings) -> FlowGraph:
    flow = analysed(function, graph, app, findings)
    types = {name: tp for name, tp in flow.seen.items() if _is_variable(name)}
    return replace(function, variable_types={**types, **flow.world.declared}, result_type=result_of(declaration(flow.world)))


def _is_variable(path: str) -> bool:
    return not path.startswith("^") and "." not in path and "[" not in path
