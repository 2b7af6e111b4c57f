"""Assignment: the value first, then the targets from left to right, each with what its own parts await."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flowgraph_compiler.build.expressions import BINARY
from flowgraph_compiler.build.fan_outs import FanOuts
from flowgraph_compiler.expressions import Attribute, Const, Expr, ListOf, Local, Starred, Subscript, Target, TupleOf
from flowgraph_compiler.graph import Pure
from flowgraph_compiler.signatures import evaluate
from flowgraph_compiler.spans import Span
from flowgraph_compiler.statements import Assign, Augment, Delete, Statement


class Targets(FanOuts):
    """Statements that bind names and change containers."""

    def pure(self, statement: Statement, span: Span) -> None:
        """Append a simple statement."""
        self.emit(Pure(self.node_id("="), span, statement))

    def do_Assign(self, node: ast.Assign) -> None:  # noqa: N802
        """`a = b, c = value`."""
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Await() as value):
                self.awaited(value, name)
            case _:
                if any(isinstance(target, ast.Tuple | ast.List) for target in node.targets):
                    self.check_order(node.value)
                self._store(node.targets, self.translate(node.value), self.span(node))

    def do_AnnAssign(self, node: ast.AnnAssign) -> None:  # noqa: N802
        """`name: type = value`; the type is what the author says that it is."""
        if not isinstance(node.target, ast.Name):
            self.refuse(node, f"an annotation of '{ast.unparse(node.target)}'", "annotate a name")
            return
        self._annotate(node.target.id, node.annotation)
        match node.value:
            case None:
                pass
            case ast.Await() as value:
                self.awaited(value, node.target.id)
            case value:
                self._store([node.target], self.translate(value), self.span(node))

    def _annotate(self, name: str, annotation: ast.expr) -> None:
        if any(isinstance(inner, ast.Call | ast.Await | ast.NamedExpr) for inner in ast.walk(annotation)):
            # Python does not evaluate annotations of variables, so nothing in them may run now.
            self.report(
                "FG160", annotation, f"annotation '{ast.unparse(annotation)}' is no type", "write a class or a form of 'typing'"
            )
            return
        tp, found = evaluate(ast.unparse(annotation), dict(self.decl.scope), self.span(annotation))
        self.session.found.extend(found)
        if not found:
            self.variable_types[name] = tp

    def _store(self, targets: Sequence[ast.expr], value: Expr, span: Span) -> None:
        if not self.has_await(*targets):
            self.pure(Assign(tuple(self.target(target) for target in targets), value, span), span)
            return
        kept = value if isinstance(value, Const | Local) else self.spill(value, span)
        for target in targets:
            self._store_one(target, kept, span)

    def _store_one(self, node: ast.expr, value: Expr, span: Span) -> None:
        """Assign to a target whose parts may await, after what stands to its left."""
        if not isinstance(node, ast.Tuple | ast.List) or not self.has_await(node):
            self.pure(Assign((self.target(node),), value, span), span)
            return
        fresh = [Local(self.temporary(), span) for _ in node.elts]
        items = tuple(
            Starred(name, span) if isinstance(item, ast.Starred) else name for item, name in zip(node.elts, fresh, strict=True)
        )
        self.pure(Assign((TupleOf(items, span),), value, span), span)
        for item, name in zip(node.elts, fresh, strict=True):
            self._store_one(item.value if isinstance(item, ast.Starred) else item, name, span)

    def target(self, node: ast.expr) -> Target:
        """An assignment target; the awaits of its parts are emitted."""
        span = self.span(node)
        match node:
            case ast.Name(id=name):
                return Local(name, span)
            case ast.Attribute(value=value, attr=attr) if not attr.startswith("_"):
                return Attribute(self.translate(value), attr, span)
            case ast.Subscript():
                container, index = self.subscript(node)
                return Subscript(container, index, span)
            case ast.Starred(value=value):
                return Starred(self._expression(value), span)
            case ast.Tuple(elts=items):
                return TupleOf(tuple(self._expression(item) for item in items), span)
            case ast.List(elts=items):
                return ListOf(tuple(self._expression(item) for item in items), span)
            case _:
                self.refuse(node, f"assigning to '{ast.unparse(node)}'", "assign to a name, a public attribute or an item")
                return Local("_", span)

    def _expression(self, node: ast.expr) -> Expr:
        """A target inside another one (every target is an expression too)."""
        return self.target(node)

    # --- augmented

    def do_AugAssign(self, node: ast.AugAssign) -> None:  # noqa: N802
        """`target op= value`: the old value is read before the right side is evaluated."""
        op, span = BINARY[type(node.op)], self.span(node)
        if not self.has_await(node.value):
            target, value = self.target(node.target), self.translate(node.value)
            self.pure(Augment(target, op, value, span), span)
            return
        target = self._steady(node.target, node.value)
        old = self.spill(target, span) if not (isinstance(target, Local) and self.is_stable(target, [node.value])) else target
        value = self.translate(node.value)
        self.pure(Augment(old, op, value, span), span)
        if old is not target:
            self.pure(Assign((target,), old, span), span)

    def _steady(self, node: ast.expr, value: ast.expr) -> Local | Attribute | Subscript:
        """A target whose parts are evaluated now and hold until `value` has been awaited."""
        span = self.span(node)
        match node:
            case ast.Attribute(value=owner, attr=attr) if not attr.startswith("_"):
                return Attribute(self.keep(self.translate(owner), [value]), attr, span)
            case ast.Subscript(slice=ast.Slice()):
                self.refuse(node, "a slice as the target of an augmented assignment that awaits", "await into a variable before")
            case ast.Subscript():
                container, index = self.subscript(node, later=(value,))
                return Subscript(container, self.keep(index, [value]), span)
            case ast.Name(id=name):
                return Local(name, span)
            case _:
                self.target(node)  # reports what is wrong with it
        return Local("_", span)

    # --- del

    def do_Delete(self, node: ast.Delete) -> None:  # noqa: N802
        """`del name`."""
        for target in node.targets:
            self._delete(target)

    def _delete(self, node: ast.expr) -> None:
        match node:
            case ast.Name(id=name):
                self.pure(Delete(name, span=self.span(node)), self.span(node))
            case ast.Tuple(elts=items) | ast.List(elts=items):
                for item in items:
                    self._delete(item)
            case ast.Subscript(value=value, slice=index):
                self.refuse(node, f"'del {ast.unparse(node)}'", f"{ast.unparse(value)}.pop({ast.unparse(index)})")
            case _:
                self.refuse(node, f"'del {ast.unparse(node)}'", "assign None")
