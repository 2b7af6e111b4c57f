"""FG143, FG204, FG205: loops that cannot make progress, that poll without a pause, that change what they iterate over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowgraph_compiler.checks.reaching import leaves
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.expressions import Attribute, Call, Const, Cursor, Expr, Local, Method, Subscript
from flowgraph_compiler.graph import (
    SUSPENSIONS,
    AnyNode,
    Body,
    Break,
    For,
    Parallel,
    Pure,
    Raise,
    Return,
    Send,
    Step,
    While,
    WorkflowGraph,
    bodies,
    suspends,
    walk,
)
from flowgraph_compiler.infer.environment import path_of
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from flowgraph_compiler.statements import Augment
from flowgraph_compiler.subexpressions import inside, reads, walruses
from flowgraph_compiler.variables import bound_names, deleted_name, expressions_of, targets_of
from flowgraph_compiler.vocabulary import MUTATING_METHODS

_MUTATING = frozenset(name for names in MUTATING_METHODS.values() for name in names)


def check(graph: WorkflowGraph) -> Iterator[Diagnostic]:
    """All loops of all functions."""
    for function in graph.functions:
        for node in walk(function.body):
            if isinstance(node, While):
                yield from _busy(node, graph.name)
                yield from _polling(node, graph.name)
            elif isinstance(node, For) and any(suspends(inner) for inner in node.body):
                yield from _mutated(node, graph.name)


# --- FG204


def _busy(loop: While, workflow: str) -> Iterator[Diagnostic]:
    whole = (*loop.before, *loop.body)
    if isinstance(loop.test, Const) or suspends(loop) or leaves(loop.body) or any(_changes(node) for node in walk(whole)):
        return
    read = {local.name for local in reads(loop.test)}
    changed: set[str | None] = set(walruses(loop.test))
    for node in walk(whole):
        changed |= bound_names(node) | {deleted_name(node)}
    if read & changed or any(_is_effect(part) for part in inside(loop.test)):
        return
    names = ", ".join(f"'{name}'" for name in sorted(read))
    message = f"nothing in this loop changes what its condition reads{f' ({names})' if names else ''}"
    yield Diagnostic(RULES["FG204"], loop.span, message, "change it in the loop, or await something", (), workflow)


def _changes(node: AnyNode) -> bool:
    """Whether a node may change a container or an object, which the condition might reach by another name."""
    stored = any(isinstance(target, Attribute | Subscript) for target in targets_of(node))
    grown = isinstance(node, Pure) and isinstance(node.statement, Augment)
    return stored or grown or any(_is_effect(part) for expr in expressions_of(node) for part in inside(expr))


def _is_effect(part: Any) -> bool:
    return isinstance(part, Method) and part.name in _MUTATING


# --- FG205


def _polling(loop: While, workflow: str) -> Iterator[Diagnostic]:
    """Only steps that are asked the same question in each round: a loop that passes on what it got is no poll."""
    nodes = list(walk((*loop.before, *loop.body)))
    awaits = [node for node in nodes if isinstance(node, SUSPENSIONS)]
    steps = [node for node in awaits if isinstance(node, Step)]
    if not steps or any(not isinstance(node, Step | Parallel | Send) for node in awaits):
        return
    changed = {name for node in nodes for name in (*bound_names(node), *_walruses_of(node))}
    if any(_reads_any(node, changed) for node in awaits) or any(_changes(node) for node in nodes):
        return
    message = f"this loop calls step '{steps[0].callee}' again and again without a pause"
    related = (Related(steps[0].span, "called here"),)
    yield Diagnostic(RULES["FG205"], loop.span, message, 'await sleep("1m")', related, workflow)


def _walruses_of(node: AnyNode) -> Iterator[str]:
    for expr in expressions_of(node):
        yield from walruses(expr)


def _reads_any(node: AnyNode, names: set[str]) -> bool:
    return any(local.name in names for expr in expressions_of(node) for local in reads(expr))


# --- FG143


def _mutated(loop: For, workflow: str) -> Iterator[Diagnostic]:
    paths = set(iterated_paths(loop.iterable))
    for node, mutation in _mutations(loop.body, paths):
        message = f"'{mutation}' is changed while it is iterated over, with an await in the loop"
        related = (Related(loop.span, "iterated over here"),)
        yield Diagnostic(RULES["FG143"], node, message, f"for ... in list({mutation}): ...", related, workflow)


def iterated_paths(expr: Expr) -> Iterator[str]:
    """The variables that a `for` iterates over directly (`list(xs)` is another list)."""
    path = path_of(expr)
    if path is not None:
        yield path
    match expr:
        case Cursor(_, arguments) | Call("enumerate" | "zip" | "reversed", arguments):
            for argument in arguments:
                yield from iterated_paths(argument)
        case Method(value, "items" | "keys" | "values"):
            yield from iterated_paths(value)
        case _:
            pass


def _mutations(body: Body, paths: set[str]) -> Iterator[tuple[Span, str]]:
    """Mutations after which the loop may go on."""
    for at, node in enumerate(body):
        if any(isinstance(later, Break | Return | Raise) for later in body[at:]):
            return
        yield from _mutates(node, paths)
        for part in bodies(node):
            yield from _mutations(part, paths)


def _mutates(node: AnyNode, paths: set[str]) -> Iterator[tuple[Span, str]]:
    for expr in expressions_of(node):
        for part in inside(expr):
            if isinstance(part, Method) and part.name in _MUTATING and (path := path_of(part.value)) in paths and path:
                yield part.span if part.span.line else node.span, path
    if isinstance(node, Pure) and isinstance(node.statement, Augment) and isinstance(node.statement.target, Local):
        name = node.statement.target.name
        if name in paths:
            yield node.span, name
