"""Statements to nodes of the step graph."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.context import Session, done
from flowgraph_compiler.build.refusals import STATEMENTS
from flowgraph_compiler.build.targets import Targets
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.expressions import ClassRef, Expr, Local, New, Target
from flowgraph_compiler.graph import AnyNode, Body, Branch, Break, Continue, For, Raise, Return, Scope, While
from flowgraph_compiler.places import Located
from flowgraph_compiler.statements import Evaluate

_LOOP, _FINAL, _HANDLER = "loop", "final", "handler"


class Statements(Targets):
    """All statements but `try`."""

    def __init__(self, session: Session, decl: FlowDecl) -> None:
        super().__init__(session, decl)
        self.inside: list[str] = []  # the loops, handlers and finally bodies around the statement, innermost last

    def statements(self, nodes: Sequence[ast.stmt], inside: str | None = None) -> Body:
        """Translate a body of its own."""
        body: list[AnyNode] = []
        self.inside += [inside] if inside else []
        with self.block(body):
            for node in nodes:
                self.statement(node)
        self.inside = self.inside[:-1] if inside else self.inside
        return done(body)

    def statement(self, node: ast.stmt) -> None:
        """Translate one statement into the body being filled."""
        do: Callable[[Any], None] | None = getattr(self, f"do_{type(node).__name__}", None)
        if do is not None:
            do(node)
            return
        what, instead = STATEMENTS.get(type(node).__name__, (f"'{type(node).__name__}'", "write it in a '@step'"))
        self.refuse(node, what, instead)

    # --- straight lines

    def do_Pass(self, node: ast.Pass) -> None:  # noqa: N802
        """Nothing."""

    def do_Expr(self, node: ast.Expr) -> None:  # noqa: N802
        """An expression for its effect; docstrings and `...` are skipped."""
        match node.value:
            case ast.Constant():
                pass
            case ast.Await() as value:
                self.awaited(value, None)
            case value:
                self.pure(Evaluate(self.translate(value), self.span(node)), self.span(node))

    def do_Return(self, node: ast.Return) -> None:  # noqa: N802
        """`return value`."""
        if _FINAL in self.inside:
            self.report(
                "FG125", node, "'return' leaves a 'finally', which would drop an exception", "return after the 'try' statement"
            )
        value = self.translate(node.value) if node.value is not None else None
        self.emit(Return(self.node_id("return"), self.span(node), value))

    def do_Raise(self, node: ast.Raise) -> None:  # noqa: N802
        """`raise exception from cause`, or a bare `raise` in a handler."""
        name = self.node_id("raise")
        if node.exc is None:
            around = [each for each in self.inside if each != _LOOP]
            if not around or around[-1] != _HANDLER:
                self.refuse(node, "a bare 'raise' outside 'except'", "raise an exception by its name")
            self.emit(Raise(name, self.span(node), None))
            return
        exception, *cause = self.operands([node.exc, *([node.cause] if node.cause is not None else [])])
        self.emit(Raise(name, self.span(node), self._instance(exception), cause[0] if cause else None))

    def _instance(self, value: Expr) -> Expr:
        """`raise ValueError` is `raise ValueError()`."""
        return New(value.name, (), (), value.span) if isinstance(value, ClassRef) else value

    def do_Assert(self, node: ast.Assert) -> None:  # noqa: N802
        """`assert test, message`."""
        name, test, body = self.node_id("if"), self.translate(node.test), list[AnyNode]()
        with self.block(body):
            message = (self.translate(node.msg),) if node.msg is not None else ()
            error = New("AssertionError", message, (), self.span(node))
            self.emit(Raise(self.node_id("raise"), self.span(node), error))
        self.emit(Branch(name, self.span(node), test, (), done(body)))

    # --- branches and loops

    def do_If(self, node: ast.If) -> None:  # noqa: N802
        """`if`, with `elif` as an `if` in the else part."""
        match node.test:
            case ast.BoolOp(op=ast.And(), values=values) if not node.orelse and self.has_await(*values[1:]):
                self._nested_if(values, node)
            case _:
                name, test = self.node_id("if"), self.translate(node.test)
                self.emit(Branch(name, self.span(node), test, self.statements(node.body), self.statements(node.orelse)))

    def _nested_if(self, tests: Sequence[ast.expr], node: ast.If) -> None:
        """`if a and await b(): ...` without `else` is `if a: if await b(): ...`."""
        first, *rest = tests
        name, test = self.node_id("if"), self.translate(first)
        body: list[AnyNode] = []
        with self.block(body):
            if rest:
                self._nested_if(rest, node)
            else:
                body.extend(self.statements(node.body))
        self.emit(Branch(name, self.span(node), test, done(body), ()))

    def do_While(self, node: ast.While) -> None:  # noqa: N802
        """`while`: the awaits of the condition run before every test."""
        name, before = self.node_id("while"), list[AnyNode]()
        with self.block(before):
            test = self.translate(node.test)
        body = self.statements(node.body, _LOOP)
        self.emit(While(name, self.span(node), done(before), test, body, self.statements(node.orelse)))

    def do_For(self, node: ast.For) -> None:  # noqa: N802
        """`for`."""
        name = self.node_id("for")
        iterable = self.ordered(node.iter)
        self._check_iterable(node)
        first: list[AnyNode] = []
        with self.block(first):
            target = self._loop_target(node.target)
        body = self.statements(node.body, _LOOP)
        self.emit(For(name, self.span(node), target, iterable, (*first, *body), self.statements(node.orelse)))

    def _loop_target(self, node: ast.expr) -> Target:
        if not self.has_await(node):
            return self.target(node)
        item = Local(self.temporary(), self.span(node))
        self._store_one(node, item, self.span(node))
        return item

    def _check_iterable(self, node: ast.For) -> None:
        """FG132: what the loop goes over must be storable while its body waits."""
        if self.has_await(*node.body, node.target):
            self.check_cursor(node.iter)
        elif isinstance(node.iter, ast.GeneratorExp):
            self.report(
                "FG132", node.iter, "a generator is what the loop goes over", f"for ... in [{ast.unparse(node.iter)[1:-1]}]:"
            )

    def do_Break(self, node: ast.Break) -> None:  # noqa: N802
        """`break`."""
        self._check_jump(node, "break")
        self.emit(Break(self.node_id("break"), self.span(node)))

    def do_Continue(self, node: ast.Continue) -> None:  # noqa: N802
        """`continue`."""
        self._check_jump(node, "continue")
        self.emit(Continue(self.node_id("continue"), self.span(node)))

    def _check_jump(self, node: Located, what: str) -> None:
        loops_and_finals = [each for each in self.inside if each != _HANDLER]
        if loops_and_finals and loops_and_finals[-1] == _FINAL:
            self.report(
                "FG125",
                node,
                f"'{what}' leaves a 'finally', which would drop an exception",
                f"'{what}' after the 'try' statement",
            )

    # --- scopes

    def do_AsyncWith(self, node: ast.AsyncWith) -> None:  # noqa: N802
        """`async with timeout(...)` and `async with saga()`; several in one statement are nested."""
        self._scope(node, node.items)

    def _scope(self, node: ast.AsyncWith, items: Sequence[ast.withitem]) -> None:
        first, *rest = items
        kind, body = self._scope_kind(first), list[AnyNode]()
        if kind is None:
            self.refuse(first.context_expr, *STATEMENTS["AsyncWith"])
            return
        if first.optional_vars is not None:
            self.refuse(first.optional_vars, f"'as {ast.unparse(first.optional_vars)}' of '{kind}'", f"async with {kind}(...):")
        name, duration = self.node_id(kind), self._scope_duration(first.context_expr, kind)
        if rest:
            with self.block(body):
                self._scope(node, rest)
        else:
            body.extend(self.statements(node.body))
        self.emit(Scope(name, self.span(first.context_expr), kind, duration, done(body)))

    def _scope_kind(self, item: ast.withitem) -> str | None:
        made = callees.callee(self, item.context_expr.func) if isinstance(item.context_expr, ast.Call) else None
        return made.name if isinstance(made, callees.Primitive) and made.name in callees.SCOPES else None

    def _scope_duration(self, node: ast.expr, kind: str) -> Expr | None:
        assert isinstance(node, ast.Call)
        if kind == "saga":
            if node.args or node.keywords:
                self.report("FG172", node, "'saga' takes no argument", "async with saga():")
            return None
        if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
            self.report("FG171", node, "'timeout' takes one duration", 'async with timeout("1h"):')
            return None
        return self.translate(node.args[0])
