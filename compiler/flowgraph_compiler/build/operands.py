"""Operands in CPython's order: what Python evaluates before an await is evaluated before it here, into temporaries.

::

    total = a.price + await tax(a)      ->      $1 = a.price
                                                $2 = step tax(a)
                                                total = $1 + $2
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flowgraph_compiler.build.bindings import rebound
from flowgraph_compiler.build.context import Context
from flowgraph_compiler.expressions import (
    Attribute,
    Captured,
    ClassRef,
    Const,
    EllipsisConst,
    Expr,
    Formatted,
    Joined,
    ListOf,
    Local,
    NamedConstant,
    Starred,
)


class Operands(Context):
    """Evaluates several expressions from left to right."""

    def translate(self, node: ast.expr) -> Expr:
        """The await-free rest of an expression, after the nodes that it needs have been emitted; not an iterator that is kept."""
        raise NotImplementedError

    def consume(self, node: ast.expr) -> Expr:
        """As `translate`, in a place that uses an iterator up at once."""
        raise NotImplementedError

    def operands(
        self, nodes: Sequence[ast.expr], consumed: Sequence[ast.expr] = (), later: Sequence[ast.expr] = ()
    ) -> list[Expr]:
        """Translate operands of one expression; those in `consumed` may be iterators; `later` are evaluated after these."""
        every = [*nodes, *later]
        last = max((index for index, node in enumerate(every) if self.has_await(node)), default=-1)
        found: list[Expr] = []
        for index, node in enumerate(nodes):
            used_up = node in consumed and index >= last  # an iterator that lives across an await would be kept
            translated = self.consume(node) if used_up else self.translate(node)
            found.append(self.keep(translated, every[index + 1 : last + 1]) if index < last else translated)
        return found

    def keep(self, value: Expr, later: list[ast.expr]) -> Expr:
        """A value as it is now, also after `later` (which awaits) has been evaluated."""
        if not later or self.is_stable(value, later):
            return value
        match value:
            case Starred(value=inner):
                return Starred(self.spill(ListOf((value,), value.span), inner.span), value.span)
            case Formatted():
                return Formatted(self.spill(Joined((value,), value.span), value.span), "", None, value.span)
            case _:
                return self.spill(value, value.span)

    def is_stable(self, value: Expr, later: list[ast.expr]) -> bool:
        """Whether evaluating an expression after `later` gives what it gives now."""
        match value:
            case Const() | EllipsisConst() | Captured() | ClassRef() | NamedConstant() | Attribute(value=ClassRef()):
                return True
            case Local(name=name):
                return name not in rebound(later)
            case _:
                return False
