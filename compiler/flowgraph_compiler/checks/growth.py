"""FG240, FG241: what a run stores that grows without a bound, or is larger than a run may store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowgraph.fan_outs import FAN_OUT_LIMIT
from flowgraph_compiler.checks.liveness import Liveness
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.expressions import (
    Attribute,
    Binary,
    Captured,
    Comprehension,
    Const,
    Expr,
    ListOf,
    Local,
    Method,
    New,
    Subscript,
)
from flowgraph_compiler.graph import (
    AnyNode,
    Branch,
    FanOut,
    FlowGraph,
    Match,
    Pure,
    Sleep,
    SleepUntil,
    Wait,
    While,
    WorkflowGraph,
    walk,
)
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.statements import Assign, Augment, Evaluate
from flowgraph_compiler.subexpressions import inside, reads
from flowgraph_compiler.types import class_of
from flowgraph_compiler.variables import bound_names, deleted_name, expressions_of

STATE_LIMIT = 32_000_000
"""Bytes of state that a run may store."""

_GROWS = frozenset({"add", "append", "extend", "insert", "setdefault", "update"})
_SHRINKS = frozenset({"clear", "discard", "pop", "popitem", "remove", "difference_update", "intersection_update"})


def check(graph: WorkflowGraph, flows: Mapping[str, FlowTypes], lives: Mapping[str, Liveness]) -> Iterator[Diagnostic]:
    """All functions of a workflow."""
    for function in graph.functions:
        if function.kind != "pure":
            liveness = lives[function.name]
            for node in walk(function.body):
                if isinstance(node, While):
                    yield from _growing(node, liveness, flows[function.name], graph.name)
            yield from _large(function, liveness, graph)


# --- FG240


def _growing(loop: While, liveness: Liveness, flow: FlowTypes, workflow: str) -> Iterator[Diagnostic]:
    """A `while True` that rests in each round, and a variable that lives across the rest, is added to and never taken from."""
    if not (isinstance(loop.test, Const) and loop.test.value):
        return
    nodes = list(walk(loop.body))
    rests = [node for node in nodes if isinstance(node, Wait | Sleep | SleepUntil)]
    if not rests:
        return
    kept = set[str]().union(*(liveness.across.get(node.id, frozenset()) for node in rests))
    let_go = {name for node in nodes for name in _let_go(node)}
    told: set[str] = set()
    for node in nodes:
        for name in _grown(node, flow):
            if name in kept and name not in let_go | told:
                told.add(name)
                message = f"'{name}' grows in each round of a loop that has no bound, and is stored whenever the loop waits"
                related = (Related(loop.span, "the loop"),)
                yield Diagnostic(
                    RULES["FG240"], node.span, message, f"keep the last ones: {name} = {name}[-100:]", related, workflow
                )


def _grown(node: AnyNode, flow: FlowTypes) -> Iterator[str]:
    match node:
        case Pure(statement=Evaluate(value=Method(value=Local(name), name=method))) if method in _GROWS:
            yield name
        case Pure(statement=Augment(target=Local(name), op="+" | "|")):
            env = flow.before.get(node.id)
            if env is not None and class_of(env.types.get(name)) in (list, str, set, dict, bytes):
                yield name
        case _:
            pass


def _let_go(node: AnyNode) -> Iterator[str]:
    """Variables that a round may empty or shorten, and those whose size a test looks at."""
    if isinstance(node, Branch | While | Match):
        yield from (local.name for local in reads(node.subject if isinstance(node, Match) else node.test))
    if not (isinstance(node, Pure) and isinstance(node.statement, Augment)):
        yield from bound_names(node)
    yield from (name for name in (deleted_name(node),) if name is not None)
    for expr in expressions_of(node):
        for part in inside(expr):
            if isinstance(part, Method) and part.name in _SHRINKS and isinstance(part.value, Local):
                yield part.value.name
    if isinstance(node, Pure) and isinstance(node.statement, Assign):
        for target in node.statement.targets:
            if isinstance(target, Subscript | Attribute) and isinstance(target.value, Local):
                yield target.value.name


# --- FG241


def _large(function: FlowGraph, liveness: Liveness, graph: WorkflowGraph) -> Iterator[Diagnostic]:
    kept = set[str]().union(*liveness.across.values())
    for node in walk(function.body):
        if isinstance(node, FanOut) and len(node.clauses) == 1 and not node.clauses[0].conditions:
            count = _count(node.clauses[0].iterable, graph)
            if count is not None and count > FAN_OUT_LIMIT:
                message = f"this fan-out has {count:,} branches, and a run may have {FAN_OUT_LIMIT:,} at once"
                yield Diagnostic(RULES["FG241"], node.span, message, "fan out over parts of it", (), graph.name)
        if isinstance(node, Pure) and isinstance(node.statement, Assign):
            size = _bytes(node.statement.value, graph)
            for name in sorted(bound_names(node) & kept) if size > STATE_LIMIT else ():
                message = f"'{name}' takes about {size // 1_000_000:,} MB when it is stored, and a run may store 32 MB"
                yield Diagnostic(RULES["FG241"], node.span, message, "let a step keep it, and pass a reference", (), graph.name)


def _number(expr: Any, graph: WorkflowGraph) -> int | None:
    match expr:
        case Const(int() as value):
            return value
        case Captured(name):
            captured = graph.constants.get(name)
            return captured if isinstance(captured, int) else None
        case Binary("*" | "+" as op, left, right):
            one, other = _number(left, graph), _number(right, graph)
            if one is None or other is None:
                return None
            return one * other if op == "*" else one + other
        case _:
            return None


def _count(expr: Expr, graph: WorkflowGraph) -> int | None:
    """How many items an iterable has, where it is written out."""
    match expr:
        case New("range", (stop,)):
            return _number(stop, graph)
        case New("range", (start, stop)):
            first, last = _number(start, graph), _number(stop, graph)
            return None if first is None or last is None else last - first
        case New("list", (inner,)):
            return _count(inner, graph)
        case _:
            return None


def _bytes(expr: Expr, graph: WorkflowGraph) -> int:
    """The least size of a value as JSON, 0 where nothing is known."""
    match expr:
        case New("list", (inner,)):
            count = _count(inner, graph) or 0
            return count * len(str(count))
        case Comprehension(_, _, _, (clause,)) if not clause.conditions:
            return 2 * (_count(clause.iterable, graph) or 0)
        case Binary("*", Const(str() | bytes() as text), times) | Binary("*", times, Const(str() | bytes() as text)):
            return len(text) * (_number(times, graph) or 0)
        case Binary("*", ListOf(items), times) | Binary("*", times, ListOf(items)):
            return 2 * len(items) * (_number(times, graph) or 0)
        case _:
            return 0
