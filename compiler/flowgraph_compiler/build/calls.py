"""Calls that are not awaited: listed pure functions and methods, `@pure` ones, constructors, `now()`, `uuid()`, `run_info()`."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from datetime import datetime

from typing_extensions import is_typeddict

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.constructors import user_code
from flowgraph_compiler.build.known import Known
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.expressions import Call, ClassRef, Const, Expr, Keyword, Method, New, PureCall, Recorded
from flowgraph_compiler.reachable import is_storable_class
from flowgraph_compiler.vocabulary import METHOD_NAMES, PATTERN_FUNCTIONS, PURE_CLASS_METHODS

_CONSUMING = frozenset(["all", "any", "max", "min", "sorted", "sum", "len", "math.fsum", "math.prod"])
_CONSUMING_TYPES = (list, tuple, set, frozenset, dict, bytes)
_CONSUMING_METHODS = frozenset(
    [
        "join",
        "extend",
        "update",
        "union",
        "intersection",
        "difference",
        "symmetric_difference",
        "issubset",
        "issuperset",
        "isdisjoint",
        "difference_update",
        "intersection_update",
        "symmetric_difference_update",
    ]
)
_ORDERED_TYPES = (list, tuple)
_ORDERED_METHODS = frozenset({"join", "extend"})
_CALLED = {"map": "first", "filter": "first", "sorted": "key", "min": "key", "max": "key", "sort": "key"}


class Calls(Known):
    """Pure calls."""

    def visit_Call(self, node: ast.Call) -> Expr:  # noqa: N802
        """A call without `await`."""
        match callees.callee(self, node.func):
            case callees.Function(name=name, lazy=lazy):
                return self._function(node, name, lazy=lazy)
            case callees.Class(cls=cls):
                return self._construct(node, cls)
            case callees.ClassMethod(cls=cls, name=name):
                return self._class_method(node, cls, name)
            case callees.OnValue(name=name):
                return self._method(node, name)
            case callees.Primitive(name=name) if name in callees.RECORDED and self.decl.kind != "pure":
                return Recorded(name, self.span(node))
            case callees.Durable(kind="pure") as called:
                return self.pure_call(node, called)
            case callees.Typing(name=name):
                return self._typing(node, name)
            case other:
                return self._refused_call(node, other)

    def _refused_call(self, node: ast.Call, callee: callees.Callee) -> Expr:
        text = ast.unparse(node.func)
        match callee:
            case callees.Primitive(name=name) if name in callees.RECORDED:
                message = f"'{name}' in the '@pure' function '{self.decl.name}' gives another answer each time"
                self.report("FG140", node, message, "call it in the workflow and pass its result")
            case callees.Durable() | callees.Primitive() if self.decl.kind == "pure":
                message = f"'{text}' is called in the '@pure' function '{self.decl.name}', which cannot wait"
                self.report("FG112", node, message, "call it in the workflow and pass its result")
            case callees.Durable(kind=kind):
                self.report("FG113", node, f"{kind} '{text}' is called but not awaited", f"await {ast.unparse(node)}")
            case callees.Primitive(name=name) if name in callees.SCOPES:
                self.refuse(node, f"'{name}' as a value", f"async with {name}(...):")
            case callees.Primitive(name=name):
                self.report("FG113", node, f"'{name}' is called but not awaited", f"await {ast.unparse(node)}")
            case callees.Refused(code=code, message=message, help=help_):
                self.report(code, node, message, help_)
            case callees.Misdeclared():
                self.session.is_incomplete = True
            case _:
                raise AssertionError(f"a call of {callee}")
        return Const(None, self.span(node))

    # --- arguments

    def arguments(
        self,
        node: ast.Call,
        *,
        consumed: bool = False,
        called: str = "",
        receiver: Sequence[ast.expr] = (),
    ) -> tuple[list[Expr], list[Expr], tuple[Keyword, ...]]:
        """Receiver, positional and keyword arguments in Python's order.

        With `consumed`, iterators are used up by the call; `called`: the argument that is a function, "first" or "key"."""
        self.check_order(*(argument.value for argument in node.args if isinstance(argument, ast.Starred)))
        positional = node.args[1:] if called == "first" else node.args
        keywords = [keyword for keyword in node.keywords if keyword.arg != "key" or called != "key"]
        every = [*receiver, *positional, *(keyword.value for keyword in keywords)]
        values = self.operands(every, consumed=positional if consumed else ())
        first, rest = values[: len(receiver)], values[len(receiver) : len(receiver) + len(positional)]
        named = dict(zip(map(id, keywords), values[len(receiver) + len(positional) :], strict=True))
        front = [self.function(node.args[0], max(len(positional), 1))] if called == "first" and node.args else []
        return first, [*front, *rest], tuple(self._keyword(keyword, named) for keyword in node.keywords)

    def _keyword(self, keyword: ast.keyword, values: dict[int, Expr]) -> Keyword:
        value = values[id(keyword)] if id(keyword) in values else self.function(keyword.value)
        return Keyword(keyword.arg, value, self.span(keyword))

    # --- kinds of calls

    def pure_call(self, node: ast.Call, called: callees.Durable, receiver: Sequence[ast.expr] = ()) -> Expr:
        """A call of a `@pure` function, which joins the machine; `receiver`: what is passed before the arguments."""
        assert isinstance(called.decl, FlowDecl)
        self.session.called.setdefault(called.decl.name, called.decl)
        first, arguments, keywords = self.arguments(node, receiver=receiver)
        return PureCall(called.decl.name, (*first, *arguments), keywords, self.span(node))

    def _function(self, node: ast.Call, name: str, *, lazy: bool) -> Expr:
        if name in PATTERN_FUNCTIONS:
            self._check_pattern(node, name)
        if lazy or name in ("sum", "math.fsum"):
            self.check_order(*node.args)
        _, arguments, keywords = self.arguments(node, consumed=lazy or name in _CONSUMING, called=_CALLED.get(name, ""))
        return Call(name, tuple(arguments), keywords, self.span(node))

    def _check_pattern(self, node: ast.Call, name: str) -> None:
        """A regular expression is written out, or a text of the module, so that it can be read now."""
        given = next((keyword.value for keyword in node.keywords if keyword.arg == "pattern"), None)
        written = node.args[0] if node.args else given
        found = None if written is None else callees.static(self, written)
        value = written.value if isinstance(written, ast.Constant) else None if found is None else found.value
        if not isinstance(value, str):
            self.refuse(node, f"'{name}' with a pattern that is not written out", f"{name}(r'...', text)")
            return
        try:
            re.compile(value)
        except re.error as error:
            self.report("FG170", node, f"{value!r} is no regular expression: {error}", "mend the pattern")

    def _construct(self, node: ast.Call, cls: type) -> Expr:
        span = self.span(node)
        if is_typeddict(cls):
            return New("dict", (), self.arguments(node)[2], span)
        name = callees.type_name(cls)
        if name is None and not self._is_allowed(node, cls):
            return Const(None, span)
        if cls in _ORDERED_TYPES:
            self.check_order(*node.args)
        _, arguments, keywords = self.arguments(node, consumed=cls in _CONSUMING_TYPES)
        return New(name or cls.__name__, tuple(arguments), keywords, span)

    def _is_allowed(self, node: ast.Call, cls: type) -> bool:
        ref = self.class_value(node.func, cls)
        if isinstance(ref, ClassRef) and not is_storable_class(cls):
            return False
        code = user_code(cls)
        if code is not None:
            self.report(
                "FG140",
                node,
                f"making a '{cls.__name__}' here runs {code}, code that the machine cannot pin",
                "make it in a '@step'",
            )
        return code is None

    def _class_method(self, node: ast.Call, cls: type, name: str) -> Expr:
        listed = callees.type_name(cls) or cls.__name__
        text = f"{listed}.{name}"
        if name not in PURE_CLASS_METHODS.get(listed, ()):
            if name in METHOD_NAMES and node.args:  # `str.lower(x)` is `x.lower()`
                return self._method(
                    ast.copy_location(
                        ast.Call(
                            ast.copy_location(ast.Attribute(node.args[0], name, ast.Load()), node.func),
                            node.args[1:],
                            node.keywords,
                        ),
                        node,
                    ),
                    name,
                )
            self.report("FG112", node, f"'{text}' is no listed pure function", callees.TO_STEP)
            return Const(None, self.span(node))
        if (cls, name) == (datetime, "fromtimestamp") and len(node.args) + len(node.keywords) < 2:
            self.report("FG140", node, f"'{text}' without a zone depends on the machine's", f"{text}(..., tz=UTC)")
        _, arguments, keywords = self.arguments(node, consumed=name == "fromkeys")
        return Method(ClassRef(listed, self.span(node.func)), name, tuple(arguments), keywords, self.span(node))

    def _method(self, node: ast.Call, name: str) -> Expr:
        assert isinstance(node.func, ast.Attribute)
        if name not in METHOD_NAMES or self.runs_user_code(node.func):
            self._unknown_method(node, name)
            return Const(None, self.span(node))
        if name == "astimezone" and not node.args and not node.keywords:
            self.report("FG140", node, "'.astimezone()' without a zone depends on the machine's", ".astimezone(UTC)")
        if name in _ORDERED_METHODS:
            self.check_order(*node.args)
        first, arguments, keywords = self.arguments(
            node, consumed=name in _CONSUMING_METHODS, called="key" if name == "sort" else "", receiver=[node.func.value]
        )
        return Method(first[0], name, tuple(arguments), keywords, self.span(node))

    def _unknown_method(self, node: ast.Call, name: str) -> None:
        what = ast.unparse(node.func)
        before = len(self.session.found)
        assert isinstance(node.func, ast.Attribute)
        self.consume(node.func.value)
        if len(self.session.found) > before:
            return  # what is wrong with the receiver says it all
        if name.startswith("_"):
            self.refuse(node, f"the private method '{what}'", "use a public one")
        else:
            self.report("FG112", node, f"'{what}' is no listed pure method", f"{callees.TO_STEP} and await it")

    def _typing(self, node: ast.Call, name: str) -> Expr:
        if name == "assert_never":
            _, arguments, _ = self.arguments(node)
            return New("AssertionError", tuple(arguments), (), self.span(node))
        wanted = node.args[1 if name == "cast" else 0 : (2 if name == "cast" else 1)]
        return self.translate(wanted[0]) if wanted else self.refuse(node, f"'{name}' with these arguments", f"{name}(...)")
