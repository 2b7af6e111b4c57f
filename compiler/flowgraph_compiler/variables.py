"""Which variables one node of the graph reads and binds by itself, without the bodies inside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowgraph_compiler.expressions import Local
from flowgraph_compiler.graph import (
    AnyNode,
    Branch,
    FanOut,
    For,
    Invocation,
    Match,
    Parallel,
    Pure,
    Raise,
    Return,
    Scope,
    Send,
    Sleep,
    SleepUntil,
    Wait,
    While,
)
from flowgraph_compiler.patterns import captures
from flowgraph_compiler.statements import Assign, Augment, Delete, Evaluate
from flowgraph_compiler.subexpressions import bound_by, read_by_target, reads


def expressions_of(node: AnyNode) -> Iterator[Any]:  # noqa: PLR0912  (one case a form)
    """The expressions that a node evaluates itself, in order: an operand of an await, a test, an iterable, a value."""
    match node:
        case Pure(statement=Assign(value=value) | Augment(value=value) | Evaluate(value=value)):
            yield value
        case Invocation():
            yield from (*node.arguments, *(keyword.value for keyword in node.keywords))
        case Sleep(duration=expr) | SleepUntil(when=expr) | Send(event=expr) | Branch(test=expr):
            yield expr
        case Match(subject=subject, cases=cases):
            yield subject
            yield from (part for case in cases for part in (case.pattern, case.guard) if part is not None)
        case While(test=expr) | For(iterable=expr):
            yield expr
        case Wait():
            yield from (expr for _, expr in node.keys)
            yield from (expr for expr in (node.residual, node.timeout) if expr is not None)
        case Return(value=value) if value is not None:
            yield value
        case Raise():
            yield from (expr for expr in (node.exception, node.cause) if expr is not None)
        case Scope(duration=duration) if duration is not None:
            yield duration
        case Parallel():
            for branch in node.branches:
                yield from expressions_of(branch)
        case FanOut(limit=limit):
            yield from (*(() if limit is None else (limit,)), *node.clauses, *expressions_of(node.branch))
        case _:
            pass


def read_by(node: AnyNode) -> Iterator[Local]:
    """The variables that a node reads."""
    if isinstance(node, Pure) and isinstance(node.statement, Augment):
        yield from reads(node.statement.target)
    for expr in expressions_of(node):
        yield from reads(expr)
    for target in targets_of(node):
        yield from read_by_target(target)


def targets_of(node: AnyNode) -> tuple[Any, ...]:
    """The targets that a node assigns, those of an augmented assignment and of a `for` included."""
    match node:
        case Pure(statement=Assign(targets=targets)):
            return targets
        case Pure(statement=Augment(target=target)) | For(target=target):
            return (target,)
        case _:
            result = getattr(node, "result", None)
            return () if result is None else (Local(result),)


def bound_names(node: AnyNode) -> set[str]:
    """The variables that the targets of a node bind."""
    if isinstance(node, Match):
        return {name for case in node.cases for name in captures(case.pattern)}
    return {local.name for target in targets_of(node) for local in bound_by(target)}


def deleted_name(node: AnyNode) -> str | None:
    """The variable of a `del`."""
    return node.statement.name if isinstance(node, Pure) and isinstance(node.statement, Delete) else None
