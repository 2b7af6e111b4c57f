"""The key split of `wait_for(..., where=)`: equalities that the index of waits can answer, and the rest.

A conjunct `event.field == value` becomes a key when both sides have the same non-optional key type and the value is one of the
run's that reading cannot fail. Conjuncts are evaluated from left to right in Python, so a key is taken from behind another
conjunct only if that one cannot raise. Optional values stay in the rest: `None == None` is true there (ruling 19).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from flowgraph_compiler.expressions import Attribute, Bound, Captured, Compare, Const, Expr, Local, Logical
from flowgraph_compiler.graph import (
    AnyNode,
    Body,
    Branch,
    FanOut,
    FlowGraph,
    For,
    Match,
    Parallel,
    Scope,
    Try,
    Wait,
    While,
    WorkflowGraph,
    walk,
)
from flowgraph_compiler.infer.environment import Env
from flowgraph_compiler.infer.expressions import Evaluator
from flowgraph_compiler.infer.findings import Findings
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.types import UNKNOWN, base, is_any, is_enum, members

_KEY_TYPES = (str, int, bool, UUID, date)
_ORDERED = (str, int, float, bool, Decimal)


def split(graph: WorkflowGraph, flows: Mapping[str, FlowTypes]) -> WorkflowGraph:
    """The graph with the keys of its waits taken out of their residual predicates; `flows` has the types at its nodes."""
    return replace(graph, functions=tuple(_function(function, flows[function.name]) for function in graph.functions))


def _function(function: FlowGraph, flow: FlowTypes) -> FlowGraph:
    if not any(isinstance(node, Wait) and node.residual is not None for node in walk(function.body)):
        return function
    return replace(function, body=_body(function.body, flow))


def _body(body: Body, flow: FlowTypes) -> Body:
    return tuple(_node(node, flow, flow.before.get(node.id)) for node in body)


def _node(node: AnyNode, flow: FlowTypes, env: Env | None) -> AnyNode:
    match node:
        case Wait():
            return node if env is None or node.residual is None else _split(node, flow, env)
        case Branch():
            return replace(node, then=_body(node.then, flow), orelse=_body(node.orelse, flow))
        case Match():
            return replace(node, cases=tuple(replace(case, body=_body(case.body, flow)) for case in node.cases))
        case While():
            return replace(node, before=_body(node.before, flow), body=_body(node.body, flow), orelse=_body(node.orelse, flow))
        case For():
            return replace(node, body=_body(node.body, flow), orelse=_body(node.orelse, flow))
        case Try():
            return _try(node, flow)
        case Scope():
            return replace(node, body=_body(node.body, flow))
        case Parallel():
            return replace(node, branches=tuple(_node(branch, flow, env) for branch in node.branches))
        case FanOut():
            return replace(node, branch=_node(node.branch, flow, flow.within.get(node.branch.id, env)))
        case _:
            return node


def _try(node: Try, flow: FlowTypes) -> Try:
    handlers = tuple(replace(handler, body=_body(handler.body, flow)) for handler in node.handlers)
    body, orelse, final = (_body(part, flow) for part in (node.body, node.orelse, node.final))
    return replace(node, body=body, handlers=handlers, orelse=orelse, final=final)


# --- one wait


@dataclass(frozen=True)
class _Where:
    """The `where` of one wait, at its place."""

    parameter: str
    evaluator: Evaluator

    def type_of(self, expr: Expr) -> Any:
        """The type of an operand, unknown when reading it may fail."""
        return self.evaluator.of(expr) if _is_read(expr) and self._certain(expr) else UNKNOWN

    def _certain(self, expr: Expr) -> bool:
        """Whether every attribute on the way is one of a known class."""
        if not isinstance(expr, Attribute):
            return True
        receiver = members(self.evaluator.of(expr.value))
        known = len(receiver) == 1 and not is_any(receiver[0]) and receiver[0] is not type(None)
        return known and self._certain(expr.value)


def _split(node: Wait, flow: FlowTypes, env: Env) -> Wait:
    event = flow.world.app.events.get(node.event)
    if event is None or node.residual is None:
        return node
    inner = env.narrowed(f"^{node.parameter}", event)
    where = _Where(node.parameter, Evaluator(flow.world, inner, Findings(flow.world.graph.name)))
    keys, rest, movable = list(node.keys), list[Expr](), True
    for conjunct in conjuncts(node.residual):
        key = _key(conjunct, where) if movable else None
        if key is not None:
            keys.append(key)
            continue
        rest.append(conjunct)
        movable = movable and _total(conjunct, where)
    return replace(node, keys=tuple(keys), residual=_conjunction(rest, node.residual))


def conjuncts(expr: Expr) -> list[Expr]:
    """The operands of nested `and`s, in the order of their evaluation."""
    if isinstance(expr, Logical) and expr.op == "and":
        return [inner for operand in expr.operands for inner in conjuncts(operand)]
    return [expr]


def _conjunction(parts: list[Expr], whole: Expr) -> Expr | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return Logical("and", tuple(parts), whole.span)


def _key(expr: Expr, where: _Where) -> tuple[str, Expr] | None:
    """The event's field path and the run's value of an equality that the index can answer."""
    match expr:
        case Compare(left, ("==",), (right,)):
            sides = [(left, right), (right, left)]
        case _:
            return None
    for field, value in sides:
        path = field_path(field, where.parameter)
        if path is not None and not _mentions(value, where.parameter) and _same_key_type(field, value, where):
            return path, value
    return None


def field_path(expr: Expr, parameter: str) -> str | None:
    """`address.city` for `p.address.city`."""
    match expr:
        case Attribute(Bound(name), field) if name == parameter:
            return field
        case Attribute(value, field):
            inner = field_path(value, parameter)
            return None if inner is None else f"{inner}.{field}"
        case _:
            return None


def _same_key_type(field: Expr, value: Expr, where: _Where) -> bool:
    one, other = base(where.type_of(field)), base(where.type_of(value))
    return one is other and (one in _KEY_TYPES or is_enum(one))


def _is_read(expr: Expr) -> bool:
    """A variable, constant or attributes of one: nothing that computes."""
    return isinstance(expr, Local | Bound | Captured | Const) or (isinstance(expr, Attribute) and _is_read(expr.value))


def _mentions(expr: Expr, parameter: str) -> bool:
    while isinstance(expr, Attribute):
        expr = expr.value
    return isinstance(expr, Bound) and expr.name == parameter


def _total(expr: Expr, where: _Where) -> bool:
    """Whether evaluating a conjunct cannot raise: a comparison of plain values of one ordered type, or an equality."""
    match expr:
        case Compare(left, (op,), (right,)):
            one, other = base(where.type_of(left)), base(where.type_of(right))
            if UNKNOWN in (one, other):
                return False
            return op in ("==", "!=", "is", "is not") or (op in ("<", "<=", ">", ">=") and one is other and one in _ORDERED)
        case _:
            return where.type_of(expr) is bool
