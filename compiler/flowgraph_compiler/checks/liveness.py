"""Which variables live across each await: a backward analysis of the structured tree.

A variable lives after a node when some path from there reads it before binding it again. A handler may start from any point of
its `try` body; a `finally` body is passed once for each way of leaving the `try`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flowgraph_compiler.expressions import Local
from flowgraph_compiler.graph import (
    SUSPENSIONS,
    AnyNode,
    Body,
    Branch,
    Break,
    Continue,
    FlowGraph,
    For,
    Match,
    Raise,
    Return,
    Scope,
    Try,
    While,
)
from flowgraph_compiler.patterns import captures
from flowgraph_compiler.subexpressions import bound_by, read_by_target, reads, walruses
from flowgraph_compiler.variables import bound_names, deleted_name, expressions_of, read_by

Names = frozenset[str]
NOBODY: Names = frozenset()


@dataclass(frozen=True)
class Ways:
    """What lives at the start of each continuation of a place."""

    next: Names = NOBODY
    broken: Names = NOBODY
    continued: Names = NOBODY
    returned: Names = NOBODY
    raised: Names = NOBODY


@dataclass(frozen=True)
class _Effect:
    """What a node binds by its targets, all that it binds or deletes, and what it reads before that."""

    bound: Names
    gone: Names
    reads: Names


class Liveness:
    """`across[id]` are the variables that live across the suspension with that id (its own result is not among them), `after[id]`
    those that live after a node without bodies."""

    def __init__(self, function: FlowGraph) -> None:
        self.across: dict[str, Names] = {}
        self.after: dict[str, Names] = {}
        self._effects: dict[int, _Effect] = {}
        self.body(function.body, Ways())

    def body(self, body: Body, ways: Ways) -> Names:
        """What lives at the start of a body."""
        live = ways.next
        for node in reversed(body):
            live = self.node(node, Ways(live, ways.broken, ways.continued, ways.returned, ways.raised))
        return live

    def node(self, node: AnyNode, ways: Ways) -> Names:
        """What lives before a node."""
        match node:
            case Branch():
                inside = self.body(node.then, ways) | self.body(node.orelse, ways)
                return _evaluated([node.test], inside) | ways.raised
            case Match():
                return self._match(node, ways)
            case While():
                return self._while(node, ways)
            case For():
                return self._for(node, ways)
            case Try():
                return self._try(node, ways)
            case Scope():
                return self.body(node.body, ways) | self._effect(node).reads
            case _:
                return self._simple(node, ways)

    def _simple(self, node: AnyNode, ways: Ways) -> Names:
        after, effect = _continuation(node, ways), self._effect(node)
        self.after[node.id] = self.after.get(node.id, NOBODY) | ways.next | ways.raised
        if isinstance(node, SUSPENSIONS):
            self.across[node.id] = self.across.get(node.id, NOBODY) | (after - effect.bound) | ways.raised
        return (after - effect.gone) | effect.reads | ways.raised

    def _effect(self, node: AnyNode) -> _Effect:
        """Worked out once: loops and `finally` bodies are passed several times."""
        known = self._effects.get(id(node))
        if known is None:
            known = self._effects[id(node)] = _effect_of(node)
        return known

    def _match(self, node: Match, ways: Ways) -> Names:
        """From the last case to the first; a pattern that matches binds its names even if the guard then fails."""
        live = ways.next
        for case in reversed(node.cases):
            taken = self.body(case.body, ways)
            matched = taken if case.guard is None else _evaluated([case.guard], taken | live)
            live = _evaluated([case.pattern], (matched - set(captures(case.pattern))) | live)
        return _evaluated([node.subject], live) | ways.raised

    def _while(self, node: While, ways: Ways) -> Names:
        exhausted = self.body(node.orelse, ways)
        head: Names = NOBODY
        while True:
            inner = replace(ways, next=head, broken=ways.next, continued=head)
            into = _evaluated([node.test], self.body(node.body, inner) | exhausted)
            found = self.body(node.before, replace(ways, next=into)) | ways.raised
            if found <= head:
                return head
            head |= found

    def _for(self, node: For, ways: Ways) -> Names:
        exhausted = self.body(node.orelse, ways)
        bound = {local.name for local in bound_by(node.target)}
        target = {local.name for local in read_by_target(node.target)}
        head: Names = NOBODY
        while True:
            inner = replace(ways, next=head, broken=ways.next, continued=head)
            found = (self.body(node.body, inner) - bound) | target | exhausted | ways.raised
            if found <= head:
                return _evaluated([node.iterable], head)
            head |= found

    def _try(self, node: Try, ways: Ways) -> Names:
        through = Ways(*(self.body(node.final, replace(ways, next=live)) for live in _each(ways)))
        handled = [self.body(handler.body, through) - {handler.variable or ""} for handler in node.handlers]
        after = self.body(node.orelse, through)
        return self.body(node.body, replace(through, next=after, raised=through.raised.union(*handled)))


def _each(ways: Ways) -> tuple[Names, ...]:
    return ways.next, ways.broken, ways.continued, ways.returned, ways.raised


def _continuation(node: AnyNode, ways: Ways) -> Names:
    match node:
        case Break():
            return ways.broken
        case Continue():
            return ways.continued
        case Return():
            return ways.returned
        case Raise():
            return ways.raised
        case _:
            return ways.next


def _effect_of(node: AnyNode) -> _Effect:
    bound = frozenset(bound_names(node))
    walrus = {name for expr in expressions_of(node) for name in walruses(expr, certain=True)}
    return _Effect(bound, bound | walrus | {deleted_name(node) or ""}, _reads(node))


def _reads(node: AnyNode) -> Names:
    return _evaluated(list(expressions_of(node)), NOBODY) | {
        local.name for local in read_by(node) if not _bound_inside(node, local)
    }


def _bound_inside(node: AnyNode, local: Local) -> bool:
    """A walrus of the same node binds it first; what lives is decided by `_evaluated`."""
    return any(local.name in walruses(expr, certain=True) for expr in expressions_of(node))


def _evaluated(exprs: list[Any], after: Names) -> Names:
    """What lives before expressions: their reads, without the variables that a walrus in them binds for certain."""
    bound = {name for expr in exprs for name in walruses(expr, certain=True)}
    return (after | {local.name for expr in exprs for local in reads(expr)}) - bound
