"""What Python evaluates only sometimes: `and`, `or`, `a if c else b`, comparison chains; with an await inside, a `Branch`.

::

    ok = order.paid and await ship(order)     ->     if ($1 := order.paid): $1 = step ship(order)
                                                     ok = $1
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flowgraph_compiler.build.context import done
from flowgraph_compiler.build.expressions import COMPARE, Expressions
from flowgraph_compiler.expressions import (
    Assigned,
    Compare,
    Conditional,
    Const,
    Expr,
    Local,
    Logical,
)
from flowgraph_compiler.graph import AnyNode, Branch
from flowgraph_compiler.places import Located


class ShortCircuits(Expressions):
    """Lazily evaluated operators."""

    def visit_BoolOp(self, node: ast.BoolOp) -> Expr:  # noqa: N802
        """`a and b or c`."""
        return self._logical("and" if isinstance(node.op, ast.And) else "or", node.values, node)

    def _logical(self, op: str, operands: Sequence[ast.expr], node: Located) -> Expr:
        """A chain of one operator, cut before the first operand (but the first of all) that awaits."""
        cut = next((index for index, operand in enumerate(operands) if index and self.has_await(operand)), None)
        if cut is None:
            values = tuple(self.translate(operand) for operand in operands)
            return values[0] if len(values) == 1 else Logical(op, values, self.span(node))
        before, after = operands[:cut], operands[cut:]
        test = self._logical(op, before, node)
        result = Local(self.temporary(), self.span(node))
        self._branch(op, Assigned(result.name, test, test.span), result, after, node)
        return result

    def _branch(self, op: str, test: Expr, result: Local, after: Sequence[ast.expr], node: Located) -> None:
        name, body = self.node_id("if"), list[AnyNode]()
        with self.block(body):
            if len(after) == 1:
                self.into(result, after[0])
            else:
                value = self._logical(op, after, node)
                self.assign(result, value, value.span)
        then, orelse = (done(body), ()) if op == "and" else ((), done(body))
        self.emit(Branch(name, self.span(node), test, then, orelse))

    def into(self, result: Local, node: ast.expr) -> None:
        """Evaluate an expression into a temporary."""
        value = self.translate(node)
        self.assign(result, value, value.span)

    def visit_IfExp(self, node: ast.IfExp) -> Expr:  # noqa: N802
        """`a if c else b`."""
        test = self.translate(node.test)
        if not self.has_await(node.body, node.orelse):
            return Conditional(test, self.translate(node.body), self.translate(node.orelse), self.span(node))
        name, result = self.node_id("if"), Local(self.temporary(), self.span(node))
        bodies: list[list[AnyNode]] = [[], []]
        for body, part in zip(bodies, (node.body, node.orelse), strict=True):
            with self.block(body):
                self.into(result, part)
        self.emit(Branch(name, self.span(node), test, done(bodies[0]), done(bodies[1])))
        return result

    def visit_Compare(self, node: ast.Compare) -> Expr:  # noqa: N802
        """`a < b < c`: from the second comparison on, only if those before hold."""
        if not self.has_await(*node.comparators[1:]):
            return self.compare(node)
        self.check_identity(node)
        left, right = self.operands([node.left, node.comparators[0]], later=node.comparators[1:])
        return self._chain(left, right, list(zip(node.ops, [*node.comparators[1:], None], strict=True)), node)

    def _chain(self, left: Expr, right: Expr, rest: list[tuple[ast.cmpop, ast.expr | None]], node: ast.Compare) -> Expr:
        """`left op right`, then the rest of the chain in a branch."""
        (op, following), *others = rest
        compared = Compare(left, (COMPARE[type(op)],), (right,), self.span(node))
        if following is None:
            return compared
        if not isinstance(right, Const | Local):  # it is compared twice
            right = self.spill(right, right.span)
            compared = Compare(left, compared.ops, (right,), compared.span)
        result, name, body = Local(self.temporary(), self.span(node)), self.node_id("if"), list[AnyNode]()
        with self.block(body):
            value = self._chain(
                right, self.operands([following], later=[each for _, each in others if each is not None])[0], others, node
            )
            self.assign(result, value, value.span)
        self.emit(Branch(name, self.span(node), Assigned(result.name, compared, compared.span), done(body), ()))
        return result

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Expr:  # noqa: N802
        """`name := value`."""
        return Assigned(node.target.id, self.translate(node.value), self.span(node))
