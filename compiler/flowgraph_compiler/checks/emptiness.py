"""FG214: a division by `len(xs)`, or `xs[0]`, where nothing in the function asks whether `xs` is empty.

Only what is certain is told: one test of the list, of what it was made from or of what was made from it is taken for the guard,
and so is a loop over it, a handler for the error, and any way of filling it that is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import (
    Attribute,
    Binary,
    Call,
    Clause,
    Comprehension,
    Conditional,
    Const,
    Local,
    Logical,
    Method,
    Subscript,
    Unary,
)
from flowgraph_compiler.graph import (
    AnyNode,
    Body,
    Branch,
    FanOut,
    FlowGraph,
    For,
    Match,
    Pure,
    Try,
    While,
    WorkflowGraph,
    bodies,
    walk,
)
from flowgraph_compiler.infer.environment import path_of
from flowgraph_compiler.infer.expressions import Evaluator
from flowgraph_compiler.infer.findings import Findings
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.notation import expression
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.statements import Assign, Augment
from flowgraph_compiler.subexpressions import bound_by, children, inside
from flowgraph_compiler.types import class_of, is_model
from flowgraph_compiler.variables import expressions_of, targets_of
from flowgraph_compiler.vocabulary import MUTATING_METHODS

_ERRORS = frozenset({"ArithmeticError", "BaseException", "Exception", "IndexError", "LookupError", "ZeroDivisionError"})
_GROWING = frozenset(name for names in MUTATING_METHODS.values() for name in names)


def check(graph: WorkflowGraph, flows: Mapping[str, FlowTypes]) -> Iterator[Diagnostic]:
    """By the types at each place, function by function."""
    for function in graph.functions:
        flow, guards = flows[function.name], _Guards.of(function)
        for node, looped in _unguarded(function.body, frozenset()):
            env = flow.before.get(node.id)
            if env is not None:
                evaluator = Evaluator(flow.world, env, Findings(graph.name))
                for expr in expressions_of(node):
                    yield from _risks(expr, node, looped, guards, evaluator, graph.name)


def _unguarded(body: Body, looped: frozenset[str]) -> Iterator[tuple[AnyNode, frozenset[str]]]:
    """The nodes that no handler for the error stands around, each with what is iterated over around it."""
    for node in body:
        yield node, looped
        within = looped | set(_paths([node.iterable])) if isinstance(node, For) else looped
        handled = isinstance(node, Try) and any(_ERRORS & set(handler.names) for handler in node.handlers)
        for number, inner in enumerate(bodies(node)):
            if not (handled and number == 0):
                yield from _unguarded(inner, within)


def _risks(
    expr: Any, node: AnyNode, looped: frozenset[str], guards: _Guards, evaluator: Evaluator, workflow: str
) -> Iterator[Diagnostic]:
    for part in inside(expr):
        match part:
            case Binary("/" | "//" | "%", _, Call("len", (listed,))):
                text = f"'len({expression(listed)})' may be 0 here"
            case Subscript(listed, Const(0) | Unary("-", Const(1))):
                text = f"'{expression(part)}' fails when '{expression(listed)}' is empty"
            case _:
                continue
        path = path_of(listed)
        if path is None or path.startswith("^") or path in looped or guards.cover(path):
            continue
        if _may_be_empty(listed, isinstance(part, Subscript), evaluator):
            message = f"{text}, and nothing tests '{path}'"
            span = part.span if part.span.line else node.span
            yield Diagnostic(RULES["FG214"], span, message, f"if {path}: ...", (), workflow)


def _may_be_empty(listed: Any, indexed: bool, evaluator: Evaluator) -> bool:
    """A list, or a tuple of any length; for `len` also a set or a dict. Not a field that is declared with a least length."""
    tp = evaluator.quiet(evaluator.env).of(listed)
    cls = class_of(tp)
    if get_origin(tp) is tuple:
        return Ellipsis in get_args(tp)
    if isinstance(listed, Attribute):
        if indexed and path_of(listed.value) not in evaluator.world.function.names:
            return False  # inside of what a step has made, whose author knows
        owner = class_of(evaluator.quiet(evaluator.env).of(listed.value))
        if owner is not None and is_model(owner) and _has_least_length(owner, listed.name):
            return False
    return cls is list or (not indexed and cls in (set, frozenset, dict))


def _has_least_length(owner: Any, name: str) -> bool:
    field_info = owner.model_fields.get(name)
    return field_info is not None and any(getattr(one, "min_length", None) for one in field_info.metadata)


# --- guards


@dataclass
class _Guards:
    """The paths that a function tests or fills, and which paths were made from one another."""

    covered: set[str] = field(default_factory=set[str])
    made_of: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    @staticmethod
    def of(function: FlowGraph) -> _Guards:
        """Everything that the function says about emptiness."""
        guards = _Guards()
        for node in walk(function.body):
            guards.covered.update(_paths(_tests(node)))
            guards.covered.update(_filled(node))
            for one, other in _links(node):
                guards.made_of.setdefault(one, set()).add(other)
                guards.made_of.setdefault(other, set()).add(one)
        return guards

    def cover(self, path: str) -> bool:
        """Whether the path, or one that is connected with it, is tested or filled."""
        seen, waiting = {path}, [path]
        while waiting:
            here = waiting.pop()
            if here in self.covered:
                return True
            new = self.made_of.get(here, set()) - seen
            seen |= new
            waiting += new
        return False


def _tests(node: AnyNode) -> Iterator[Any]:
    if isinstance(node, Branch | While):
        yield node.test
    if isinstance(node, Match):
        yield from (node.subject, *(case.guard for case in node.cases if case.guard is not None))
    for expr in expressions_of(node):
        for part in inside(expr):
            match part:
                case Conditional(test):
                    yield test
                case Logical(_, operands):
                    yield from operands
                case Clause(_, _, conditions):
                    yield from conditions
                case _:
                    pass


def _filled(node: AnyNode) -> Iterator[str]:
    """What is changed in place, and what is assigned a value that need not be empty for a reason this check cannot see."""
    for expr in expressions_of(node):
        for part in inside(expr):
            if isinstance(part, Method) and part.name in _GROWING:
                yield from _paths([part.value])
    for target in targets_of(node):
        if not isinstance(target, Local):
            yield from _paths([getattr(target, "value", target)])
    if isinstance(node, Pure) and isinstance(node.statement, Augment):
        yield from _paths([node.statement.target])
    if isinstance(node, FanOut) and node.result is not None and not _has_source(node.clauses):
        yield node.result
    if isinstance(node, Pure) and isinstance(node.statement, Assign) and not _is_plain(node.statement.value):
        yield from (local.name for target in node.statement.targets for local in bound_by(target))


def _is_plain(value: Any) -> bool:
    """A value that is empty when what it is made from is."""
    if isinstance(value, Comprehension):
        return _has_source(value.clauses)
    return path_of(value) is not None or (isinstance(value, Call) and value.function != "max")


def _has_source(clauses: tuple[Clause, ...]) -> bool:
    return any(True for _ in _paths(clause.iterable for clause in clauses))


def _links(node: AnyNode) -> Iterator[tuple[str, str]]:
    """Paths and the variables that were made from them by an assignment or a fan-out."""
    made = isinstance(node, FanOut) or (isinstance(node, Pure) and isinstance(node.statement, Assign))
    for target in targets_of(node) if made else ():
        for local in bound_by(target):
            yield from ((local.name, path) for path in _paths(expressions_of(node)))


def _paths(exprs: Iterable[Any]) -> Iterator[str]:
    """The longest paths that expressions read."""
    for expr in exprs:
        path = path_of(expr)
        if path is not None:
            yield path
        else:
            yield from _paths(children(expr))
