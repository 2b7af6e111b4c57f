"""FG211, FG213: results that nobody uses, conditions that are always true or false."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Call, Compare, Const, Expr, Local, Unary
from flowgraph_compiler.graph import AnyNode, Body, Branch, Child, Raise, Step, Subflow, While, WorkflowGraph, walk
from flowgraph_compiler.infer.environment import Env
from flowgraph_compiler.infer.expressions import Evaluator
from flowgraph_compiler.infer.findings import Findings
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import NONE, UNKNOWN, is_any, members, show


def check(graph: WorkflowGraph, flows: Mapping[str, FlowTypes]) -> Iterator[Diagnostic]:
    """By the types at each place, function by function."""
    for function in graph.functions:
        flow = flows[function.name]
        for node in walk(function.body):
            yield from _unused(node, flow, graph.name)
            env = flow.before.get(node.id)
            if env is not None:
                yield from _constant(node, Evaluator(flow.world, env, Findings(graph.name)), graph.name)


def _unused(node: AnyNode, flow: FlowTypes, workflow: str) -> Iterator[Diagnostic]:
    if not isinstance(node, Step | Subflow | Child) or node.result or node.id not in flow.before:
        return
    tp = flow.result_type(node)
    if any(is_any(member) or member is NONE for member in members(tp)) or not members(tp):
        return
    kind = {Step: "step", Subflow: "subflow", Child: "workflow"}[type(node)]
    message = f"the result of {kind} '{node.callee}' ('{show(tp)}') is not used"
    yield Diagnostic(RULES["FG211"], node.span, message, f"result = await {node.callee}(...)", (), workflow)


def _constant(node: AnyNode, evaluator: Evaluator, workflow: str) -> Iterator[Diagnostic]:
    if not isinstance(node, Branch | While) or _is_assertion(node):
        return
    value = constant_value(node.test, evaluator)
    if value is None or (isinstance(node, While) and value):
        return
    span = node.test.span if node.test.span.line else node.span
    message = _because(f"this condition is always {str(value).lower()}", node.test, evaluator)
    yield Diagnostic(RULES["FG213"], span, message, "remove the test", (), workflow)


def _because(message: str, test: Expr, evaluator: Evaluator) -> str:
    while isinstance(test, Unary):
        test = test.operand
    subject = test.left if isinstance(test, Compare) else test.arguments[0] if isinstance(test, Call) else None
    if not isinstance(subject, Local):
        return message
    return f"{message}: '{subject.name}' is '{show(evaluator.quiet(evaluator.env).of(subject))}' here"


def _is_assertion(node: Branch | While) -> bool:
    """An `assert`, or a guard that only raises: written for safety, and rightly so."""
    return isinstance(node, Branch) and (_only_raises(node.then) or _only_raises(node.orelse))


def _only_raises(body: Body) -> bool:
    return len(body) == 1 and isinstance(body[0], Raise)


def constant_value(test: Expr, evaluator: Evaluator) -> bool | None:
    """The value that a simple condition always has by the types of its operand; None where it may be either."""
    match test:
        case Const(value):
            return bool(value)
        case Unary("not", operand):
            inner = constant_value(operand, evaluator)
            return None if inner is None else not inner
        case Compare(Local(), ("is" | "is not",), (Const(None),)) | Call("isinstance", (Local(), _)):
            return _decided(test, evaluator)
        case _:
            return None


def _decided(test: Compare | Call, evaluator: Evaluator) -> bool | None:
    subject: Any = test.left if isinstance(test, Compare) else test.arguments[0]
    tp = evaluator.quiet(evaluator.env).of(subject)
    if tp is UNKNOWN or any(is_any(member) or member is object for member in members(tp)):
        return None
    holds, fails = _ends(test, evaluator)
    if holds is not None and fails is not None:
        return None
    return holds is not None


def _ends(test: Expr, evaluator: Evaluator) -> tuple[Env | None, Env | None]:
    return evaluator.quiet(evaluator.env).split(test)
