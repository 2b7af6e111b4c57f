"""Comprehensions and lambdas. One that awaits becomes a loop over names of its own, which do not leak.

::

    sent = [await mail(g) for g in guests]     ->     $1 = []
                                                      for $2 in guests: $3 = step mail($2); $1.append($3)
                                                      sent = $1
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.bindings import targets
from flowgraph_compiler.build.context import done
from flowgraph_compiler.build.shortcircuits import ShortCircuits
from flowgraph_compiler.expressions import (
    Bound,
    Clause,
    Comprehension,
    Const,
    DictOf,
    Expr,
    Lambda,
    ListOf,
    Local,
    Method,
    New,
    Starred,
    Subscript,
    Target,
    TupleOf,
)
from flowgraph_compiler.graph import AnyNode, Branch, For, Pure
from flowgraph_compiler.statements import Assign, Evaluate

Displayed = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_KINDS = {ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict", ast.GeneratorExp: "generator"}


class Comprehensions(ShortCircuits):
    """Expressions with a scope of their own."""

    def visit_ListComp(self, node: ast.ListComp) -> Expr:  # noqa: N802
        """`[f(x) for x in xs]`."""
        return self._comprehension(node, [node.elt])

    def visit_SetComp(self, node: ast.SetComp) -> Expr:  # noqa: N802
        """`{f(x) for x in xs}`."""
        return self._comprehension(node, [node.elt])

    def visit_DictComp(self, node: ast.DictComp) -> Expr:  # noqa: N802
        """`{k: v for x in xs}`."""
        return self._comprehension(node, [node.key, node.value])

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> Expr:  # noqa: N802
        """`f(x) for x in xs`, used up by the call around it."""
        if self.has_await(node.elt, *node.generators[1:], *node.generators[0].ifs):
            return self.refuse(node, "a generator with 'await'", f"write a list: [{ast.unparse(node)[1:-1]}]")
        return self._comprehension(node, [node.elt])

    def _comprehension(self, node: Displayed, elements: list[ast.expr]) -> Expr:
        if any(generator.is_async for generator in node.generators):
            return self.refuse(node, "'async for' in a comprehension", "fetch a list in a '@step' and loop over it with 'for'")
        if self.has_await(*elements, *node.generators[1:], *node.generators[0].ifs):
            return self._loop(node, elements)  # the first iterable is evaluated before, outside
        return self._native(node, elements, node.generators, ())

    # --- without awaits

    def _native(
        self, node: Displayed, elements: list[ast.expr], rest: Sequence[ast.comprehension], clauses: tuple[Clause, ...]
    ) -> Expr:
        """Translate clause by clause: each one's names are bound in the following ones."""
        if not rest:
            element, *value = [self.translate(part) for part in elements]
            return Comprehension(_KINDS[type(node)], element, value[0] if value else None, clauses, self.span(node))
        generator, *others = rest
        iterable = self.ordered(generator.iter)
        with self.scope({name.id: Bound(name.id, self.span(name)) for name in targets(generator.target)}):
            target = self.bound_target(generator.target)
            conditions = tuple(self.translate(condition) for condition in generator.ifs)
            clause = Clause(target, iterable, conditions, self.span(generator.target))
            return self._native(node, elements, others, (*clauses, clause))

    def bound_target(self, node: ast.expr) -> Target:
        """The target of a clause: names, tuples of names."""
        match node:
            case ast.Name(id=name):
                known = self.inner(name)
                return known if isinstance(known, Local) else Bound(name, self.span(node))
            case ast.Tuple(elts=items):
                return TupleOf(tuple(self.bound_target(item) for item in items), self.span(node))
            case ast.List(elts=items):
                return ListOf(tuple(self.bound_target(item) for item in items), self.span(node))
            case ast.Starred(value=value):
                return Starred(self.bound_target(value), self.span(node))
            case _:
                self.refuse(node, f"'{ast.unparse(node)}' as the target of a comprehension", "use a name")
                return Bound("_", self.span(node))

    # --- with awaits

    def _loop(self, node: Displayed, elements: list[ast.expr]) -> Expr:
        span = self.span(node)
        empty: Expr = DictOf((), (), span) if isinstance(node, ast.DictComp) else ListOf((), span)
        result = self.spill(New("set", (), (), span) if isinstance(node, ast.SetComp) else empty, span)
        self._nested(node, elements, node.generators, result)
        return result

    def _nested(self, node: Displayed, elements: list[ast.expr], rest: Sequence[ast.comprehension], result: Local) -> None:
        if not rest:
            self._collect(node, elements, result)
            return
        generator, *others = rest
        name, iterable = self.node_id("for"), self.ordered(generator.iter)
        self.check_cursor(generator.iter)
        fresh: dict[str, Expr] = {each.id: Local(self.temporary(), self.span(each)) for each in targets(generator.target)}
        body: list[AnyNode] = []
        with self.scope(fresh), self.block(body):
            target = self.bound_target(generator.target)
            self._filtered(generator.ifs, node, elements, others, result)
        self.emit(For(name, self.span(generator.target), target, iterable, done(body)))

    def _filtered(
        self,
        conditions: Sequence[ast.expr],
        node: Displayed,
        elements: list[ast.expr],
        rest: Sequence[ast.comprehension],
        result: Local,
    ) -> None:
        if not conditions:
            self._nested(node, elements, rest, result)
            return
        condition, *others = conditions
        name, test, body = self.node_id("if"), self.translate(condition), list[AnyNode]()
        with self.block(body):
            self._filtered(others, node, elements, rest, result)
        self.emit(Branch(name, self.span(condition), test, done(body), ()))

    def _collect(self, node: Displayed, elements: list[ast.expr], result: Local) -> None:
        span = self.span(node)
        values = self.operands(elements)
        if isinstance(node, ast.DictComp):
            self.emit(Pure(self.node_id("="), span, Assign((Subscript(result, values[0], span),), values[1], span)))
            return
        method = "add" if isinstance(node, ast.SetComp) else "append"
        self.emit(Pure(self.node_id("="), span, Evaluate(Method(result, method, (values[0],), (), span), span)))

    def check_cursor(self, node: ast.expr) -> None:
        """FG132: what a loop that awaits goes over must be storable while it waits."""
        if self._is_opaque(node):
            message = f"'{ast.unparse(node)}' is kept while the loop waits: it cannot be stored"
            self.report("FG132", node, message, f"for ... in list({ast.unparse(node)})")

    def _is_opaque(self, node: ast.expr) -> bool:
        """Whether iterating calls code of its own: generators, `map`, `filter`; not `zip`, `enumerate`, `reversed` or views."""
        if isinstance(node, ast.GeneratorExp):
            return True
        found = callees.callee(self, node.func) if isinstance(node, ast.Call) else None
        if not (isinstance(node, ast.Call) and isinstance(found, callees.Function) and found.lazy):
            return False
        return found.name in ("map", "filter") or any(map(self._is_opaque, node.args))

    # --- lambdas and functions as arguments

    def visit_Lambda(self, node: ast.Lambda) -> Expr:  # noqa: N802
        """A lambda anywhere but as an argument that is called at once."""
        self.report("FG131", node, "a lambda is kept here; functions cannot be stored", "write its body where it is needed")
        return Const(None, self.span(node))

    def function(self, node: ast.expr, arity: int = 1) -> Expr:
        """An argument that a pure function calls with `arity` arguments: a lambda, or a listed function by its name."""
        if isinstance(node, ast.Lambda):
            return self.lambda_(node)
        if isinstance(node, ast.Constant) and node.value is None:
            return self.translate(node)
        items = [ast.Name(f"item{index}", ast.Load()) for index in range(arity)]
        match callees.callee(self, node):
            case callees.Class() | callees.Function(lazy=False) | callees.Durable(kind="pure"):
                return self._wrapped(node, ast.Call(node, list(items), []), items)
            case callees.ClassMethod(name=name):
                return self._wrapped(node, ast.Call(ast.Attribute(items[0], name, ast.Load()), list(items[1:]), []), items)
            case callees.Refused(code=code, message=message, help=help_):
                self.report(code, node, message, help_)
            case callees.Misdeclared():
                self.session.is_incomplete = True
            case _:
                self.report(
                    "FG112", node, f"'{ast.unparse(node)}' is called here and is no listed pure function", "write a lambda"
                )
        return Const(None, self.span(node))

    def lambda_(self, node: ast.Lambda) -> Expr:
        """A lambda that is called at once."""
        arguments = node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            return self.refuse(node, "a lambda with defaults or '*args'", "give it plain parameters")
        if any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(node.body)):
            return self.refuse(node, "':=' in a lambda", "assign before, or write a loop")
        names = tuple(arg.arg for arg in (*arguments.posonlyargs, *arguments.args))
        with self.scope({name: Bound(name, self.span(node)) for name in names}):
            return Lambda(names, self.translate(node.body), self.span(node))

    def _wrapped(self, node: ast.expr, call: ast.Call, items: list[ast.Name]) -> Expr:
        """A listed function as an argument: `key=len` is `key=lambda item0: len(item0)`."""
        for inner in ast.walk(call):
            if isinstance(inner, ast.expr) and not hasattr(inner, "lineno"):
                ast.copy_location(inner, node)
        span, names = self.span(node), tuple(item.id for item in items)
        with self.scope({name: Bound(name, span) for name in names}):
            return Lambda(names, self.translate(call), span)
