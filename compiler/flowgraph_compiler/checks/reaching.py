"""FG201, FG202, FG203: code that no path reaches, loops without a way out, functions that can only fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowgraph_compiler.checks.bindings import Definite
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Const
from flowgraph_compiler.graph import AnyNode, Body, Break, FlowGraph, For, Pure, Raise, Return, While, WorkflowGraph, bodies, walk
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.statements import Delete


def check(graph: WorkflowGraph, analyses: Iterable[Definite]) -> Iterator[Diagnostic]:
    """Judged by the control flow and constant conditions; by types only where they say that a `match` takes every value."""
    for flow in analyses:
        function = flow.function
        stuck = [node for node in walk(function.body) if isinstance(node, While) and node.id in flow.reached and is_endless(node)]
        for node in stuck:
            message = "this loop has no way out: no 'break', 'return' or 'raise' in it is ever reached"
            yield Diagnostic(RULES["FG202"], node.span, message, "while not done: ...", (), graph.name)
        yield from (
            Diagnostic(RULES["FG201"], node.span, "no path reaches this", "remove it", (), graph.name)
            for node in unreached(function.body, flow.reached)
        )
        if not stuck and flow.end is None and flow.exits.returned is None and not function.name.startswith("$"):
            yield _only_fails(function, graph.name)


def _only_fails(function: FlowGraph, workflow: str) -> Diagnostic:
    message = f"{function.kind} '{function.name}' can only fail: every path ends in 'raise'"
    return Diagnostic(RULES["FG203"], function.span, message, "return a value on some path", (), workflow)


def is_endless(loop: While) -> bool:
    """Whether a loop's condition is constantly true and nothing inside leaves it."""
    return isinstance(loop.test, Const) and bool(loop.test.value) and not leaves(loop.body)


def leaves(body: Body) -> bool:
    """Whether something in a loop's body may leave the loop: its own `break`, or a `return` or `raise` at any depth."""
    for node in body:
        if isinstance(node, Break | Return | Raise):
            return True
        inner = [inside for part in bodies(node) for inside in part]
        if isinstance(node, While | For):
            if any(isinstance(inside, Return | Raise) for inside in walk(tuple(inner))):
                return True
        elif leaves(tuple(inner)):
            return True
    return False


def unreached(body: Body, reached: set[str]) -> Iterator[AnyNode]:
    """The first node of each stretch that is never reached."""
    for node in body:
        if _is_ours(node):
            continue
        if node.id not in reached:
            yield node
            return
        for part in bodies(node):
            if not _is_assertion(node, part):
                yield from unreached(part, reached)


def _is_assertion(node: AnyNode, part: Body) -> bool:
    """The `raise` of an `assert` is not in the source."""
    return len(part) == 1 and isinstance(part[0], Raise) and part[0].span == node.span


def _is_ours(node: AnyNode) -> bool:
    """The `del` that ends an `except E as e` is not in the source."""
    return isinstance(node, Pure) and isinstance(node.statement, Delete) and node.statement.missing_ok
