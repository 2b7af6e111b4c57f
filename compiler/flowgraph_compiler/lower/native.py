"""Await-free nodes as native statements: one op instead of a block per branch or iteration.

::

    for x in xs:            ->   For(x, xs, (If(x < 0, (BreakLoop,), ()), Augment(total += x)))
        if x < 0: break
        total += x

A node stays native only if nothing in it suspends and no `return`, `break`, `continue` or bare `raise` leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowgraph_compiler import graph, statements
from flowgraph_compiler.graph import AnyNode, Body
from flowgraph_compiler.statements import Statement


@dataclass(frozen=True, slots=True)
class Inside:
    """What encloses a node natively: a loop that `break` can leave, an `except` clause whose exception a bare `raise` means."""

    loop: bool = False
    handler: bool = False


def native(node: AnyNode, inside: Inside = Inside()) -> Statement | None:
    """The node as one native statement, or None where it has to become blocks."""
    match node:
        case graph.Pure(statement=statement):
            return statement
        case graph.Raise(exception=None, span=span):
            return statements.Rethrow(span) if inside.handler else None
        case graph.Raise(exception=exception, cause=cause, span=span) if exception is not None:
            return statements.Throw(exception, cause, span)
        case graph.Break(span=span):
            return statements.BreakLoop(span) if inside.loop else None
        case graph.Continue(span=span):
            return statements.ContinueLoop(span) if inside.loop else None
        case _:
            return _compound(node, inside)


def _compound(node: AnyNode, inside: Inside) -> Statement | None:
    loop = replace(inside, loop=True)
    match node:
        case graph.Branch(test=test, span=span):
            parts = _bodies((node.then, inside), (node.orelse, inside))
            return None if parts is None else statements.If(test, parts[0], parts[1], span)
        case graph.Match():
            return _match(node, inside)
        case graph.While(before=(), test=test, span=span):
            parts = _bodies((node.body, loop), (node.orelse, inside))
            return None if parts is None else statements.While(test, parts[0], parts[1], span)
        case graph.For(target=target, iterable=iterable, span=span):
            parts = _bodies((node.body, loop), (node.orelse, inside))
            return None if parts is None else statements.For(target, iterable, parts[0], parts[1], span)
        case graph.Try():
            return _try(node, inside)
        case _:
            return None


def _match(node: graph.Match, inside: Inside) -> Statement | None:
    parts = _bodies(*((case.body, inside) for case in node.cases))
    if parts is None:
        return None
    cases = tuple(
        statements.MatchCase(case.pattern, case.guard, body, case.span) for case, body in zip(node.cases, parts, strict=True)
    )
    return statements.Match(node.subject, cases, node.span)


def _try(node: graph.Try, inside: Inside) -> Statement | None:
    parts = _bodies((node.body, inside), (node.orelse, inside), (node.final, inside))
    caught = [(handler, _body(handler.body, replace(inside, handler=True))) for handler in node.handlers]
    handlers = tuple(
        statements.Except(handler.names, handler.variable, body, handler.span) for handler, body in caught if body is not None
    )
    if parts is None or len(handlers) < len(caught):
        return None
    body, orelse, final = parts
    return statements.Try(body, handlers, orelse, final, node.span)


def _bodies(*wanted: tuple[Body, Inside]) -> list[tuple[Statement, ...]] | None:
    found = [_body(body, inside) for body, inside in wanted]
    kept = [body for body in found if body is not None]
    return kept if len(kept) == len(found) else None


def _body(body: Body, inside: Inside) -> tuple[Statement, ...] | None:
    found = [native(node, inside) for node in body]
    kept = tuple(statement for statement in found if statement is not None)
    return kept if len(kept) == len(found) else None
