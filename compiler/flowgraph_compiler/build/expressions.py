"""Expressions of Python's `ast` to the closed vocabulary of `flowgraph_compiler.expressions`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType, EllipsisType, FunctionType, ModuleType
from typing import Any

from flowgraph import Err, Ok
from flowgraph_compiler.build import callees
from flowgraph_compiler.build.context import MISSING
from flowgraph_compiler.build.operands import Operands
from flowgraph_compiler.build.refusals import EXPRESSIONS
from flowgraph_compiler.constants import is_constant
from flowgraph_compiler.expressions import (
    Attribute,
    Binary,
    ClassRef,
    Compare,
    Const,
    DictOf,
    EllipsisConst,
    Expr,
    Formatted,
    Joined,
    ListOf,
    Local,
    NamedConstant,
    SetOf,
    Slice,
    Starred,
    Subscript,
    TupleOf,
    Unary,
)
from flowgraph_compiler.vocabulary import PURE_CONSTANTS

UNARY: dict[type[ast.unaryop], str] = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~", ast.Not: "not"}
BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**", ast.LShift: "<<",
    ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.MatMult: "@",
}  # fmt: skip
COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in",
    ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
_CONSTANT_NAMES = {id(value): name for name, value in PURE_CONSTANTS.items()}
_CONVERSIONS = {-1: "", 115: "s", 114: "r", 97: "a"}


class Expressions(Operands):
    """Names, operators, displays and f-strings; the parts with a flow or a scope of their own are in the layers above."""

    def translate(self, node: ast.expr) -> Expr:
        """The await-free rest of an expression; FG132 for an iterator, which cannot be kept."""
        lazy = self.iterator(node)
        if lazy is not None:
            self.report(
                "FG132",
                node,
                f"{lazy} is kept here: it can be used up only once and cannot be stored",
                f"list({ast.unparse(node)})",
            )
        return self.consume(node)

    def consume(self, node: ast.expr) -> Expr:
        """The await-free rest of an expression; iterators are welcome."""
        visit: Callable[[Any], Expr] | None = getattr(self, f"visit_{type(node).__name__}", None)
        if visit is not None:
            return visit(node)
        what, instead = EXPRESSIONS.get(type(node).__name__, (f"'{type(node).__name__}'", "write it in a '@step'"))
        return self.refuse(node, what, instead)

    def iterator(self, node: ast.expr) -> str | None:
        """What kind of iterator or view an expression makes, in words, or None."""
        match node:
            case ast.GeneratorExp():
                return "a generator"
            case ast.Call(func=ast.Attribute(attr="items" | "keys" | "values" as view), args=[], keywords=[]):
                return f"a view ('.{view}()')" if callees.static(self, node.func) is None else None
            case ast.Call(func=func):
                found = callees.callee(self, func)
                return f"an iterator ('{found.name}')" if isinstance(found, callees.Function) and found.lazy else None
            case _:
                return None

    # --- values and names

    def visit_Constant(self, node: ast.Constant) -> Expr:  # noqa: N802
        """A literal."""
        if isinstance(node.value, EllipsisType):
            return EllipsisConst(self.span(node))
        if isinstance(node.value, complex):
            return self.refuse(node, "a complex number", "compute with it in a '@step'")
        return Const(node.value, self.span(node))

    def visit_Name(self, node: ast.Name) -> Expr:  # noqa: N802
        """A variable, or what a name of the module stands for."""
        inner = self.inner(node.id)
        if inner is not None:
            return inner
        if node.id in self.bindings:
            return Local(node.id, self.span(node))
        return self.global_value(node, callees.Static(self.lookup(node.id), node.id))

    def visit_Attribute(self, node: ast.Attribute) -> Expr:  # noqa: N802
        """An attribute of a value, a member of an enum, a name of a module."""
        found = callees.static(self, node)
        if found is not None:
            return self.global_value(node, found)
        if node.attr.startswith("_"):
            return self.refuse(node, f"the private attribute '.{node.attr}'", "use a public field")
        return Attribute(self.translate(node.value), node.attr, self.span(node))

    def global_value(self, node: ast.expr, found: callees.Static) -> Expr:
        """A global that is read as a value."""
        value, span = found.value, self.span(node)
        if isinstance(value, type):
            return self.class_value(node, value)
        if id(value) in _CONSTANT_NAMES:
            return NamedConstant(_CONSTANT_NAMES[id(value)], span)
        if isinstance(value, Enum) and self._is_member(value):
            return Attribute(ClassRef(type(value).__name__, span), value.name, span)
        if is_constant(value):
            return self.capture(found.text, value, span)
        self._refused_global(node, found)
        return Const(None, span)

    def _is_member(self, value: Enum) -> bool:
        """Whether it is a named member (not a combination of flags) of a class that is stored."""
        cls = type(value)
        return value.name in cls.__members__ and self.session.app.classes.get(cls.__name__) is cls

    def class_value(self, node: ast.expr, cls: type) -> Expr:
        """A class: a listed one, a stored one, what `settle` gives, or an exception that Python knows."""
        listed = callees.type_name(cls)
        known = self.session.app.classes.get(cls.__name__) is cls
        always = cls in (Ok, Err) or (issubclass(cls, BaseException) and cls.__module__ in ("builtins", "flowgraph.errors"))
        if listed is None and not known and not always:
            message = f"class '{cls.__name__}' is no model, dataclass, enum, named tuple or exception of this application"
            self.report("FG112", node, message, "import it by name, or use it in a '@step'")
        return ClassRef(listed or cls.__name__, self.span(node))

    def _refused_global(self, node: ast.expr, found: callees.Static) -> None:
        value, text = found.value, found.text
        if value is MISSING:
            self.report("FG210", node, f"name '{text}' is not defined", "import or define it")
        elif callees.is_refused_durable(value) or callees.is_primitive(value):
            self.report("FG114", node, f"'{text}' is used as a value; it may only be called", f"await {text}(...)")
        elif isinstance(value, FunctionType | BuiltinFunctionType):
            self.report("FG131", node, f"function '{text}' is used as a value", f"call it where it is needed: '{text}(...)'")
        elif isinstance(value, ModuleType):
            self.report("FG100", node, f"module '{text}' as a value is not in the language", f"write '{text}.name'")
        else:
            message = f"'{text}' is mutable state of the module ({type(value).__name__}); a run could see it change"
            self.report("FG140", node, message, "make it a tuple, an enum or a frozen dataclass, or read it in a '@step'")

    # --- operators

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Expr:  # noqa: N802
        """`-x`, `not x`."""
        return Unary(UNARY[type(node.op)], self.translate(node.operand), self.span(node))

    def visit_BinOp(self, node: ast.BinOp) -> Expr:  # noqa: N802
        """`x + y`; dictionary views are sets here."""
        left, right = self.operands([node.left, node.right], consumed=[node.left, node.right] if self._are_views(node) else [])
        return Binary(BINARY[type(node.op)], left, right, self.span(node))

    def _are_views(self, node: ast.BinOp) -> bool:
        return isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor | ast.Sub)

    def compare(self, node: ast.Compare) -> Expr:
        """A chain of comparisons in which only the first two operands may await."""
        every = [node.left, *node.comparators]
        left, *others = self.operands(
            every,
            consumed=[right for op, right in zip(node.ops, node.comparators, strict=True) if isinstance(op, ast.In | ast.NotIn)],
        )
        self.check_identity(node)
        return Compare(left, tuple(COMPARE[type(op)] for op in node.ops), tuple(others), self.span(node))

    def check_identity(self, node: ast.Compare) -> None:
        """FG141: `is` only against values of which there is one."""
        operands = [node.left, *node.comparators]
        for op, left, right in zip(node.ops, operands[:-1], operands[1:], strict=True):
            if isinstance(op, ast.Is | ast.IsNot) and not (self._is_single(left) or self._is_single(right)):
                equal = "==" if isinstance(op, ast.Is) else "!="
                self.report("FG141", node, f"'{ast.unparse(node)}' tests identity, which a stored value does not keep",
                            f"{ast.unparse(left)} {equal} {ast.unparse(right)}")  # fmt: skip

    def _is_single(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return node.value is None or isinstance(node.value, bool) or node.value is Ellipsis
        found = callees.static(self, node)
        return found is not None and isinstance(found.value, Enum | type)

    def visit_Subscript(self, node: ast.Subscript) -> Expr:  # noqa: N802
        """`xs[i]` and `xs[a:b]`."""
        value, index = self.subscript(node)
        return Subscript(value, index, self.span(node))

    def subscript(self, node: ast.Subscript, later: tuple[ast.expr, ...] = ()) -> tuple[Expr, Expr]:
        """The container and the index."""
        if not isinstance(node.slice, ast.Slice):
            value, index = self.operands([node.value, node.slice], later=later)
            return value, index
        bounds = [node.slice.lower, node.slice.upper, node.slice.step]
        value, *given = self.operands([node.value, *(bound for bound in bounds if bound is not None)], later=later)
        rest = iter(given)
        lower, upper, step = (next(rest) if bound is not None else None for bound in bounds)
        return value, Slice(lower, upper, step, self.span(node.slice))

    # --- displays and f-strings

    def visit_Starred(self, node: ast.Starred) -> Expr:  # noqa: N802
        """`*xs` inside a display or call."""
        return Starred(self.consume(node.value), self.span(node))

    def visit_List(self, node: ast.List) -> Expr:  # noqa: N802
        """`[a, b]`."""
        self.check_order(*_spread(node.elts))
        return ListOf(tuple(self.operands(node.elts)), self.span(node))

    def visit_Tuple(self, node: ast.Tuple) -> Expr:  # noqa: N802
        """`(a, b)`."""
        self.check_order(*_spread(node.elts))
        return TupleOf(tuple(self.operands(node.elts)), self.span(node))

    def visit_Set(self, node: ast.Set) -> Expr:  # noqa: N802
        """`{a, b}`."""
        return SetOf(tuple(self.operands(node.elts)), self.span(node))

    def visit_Dict(self, node: ast.Dict) -> Expr:  # noqa: N802
        """`{a: b}`: each key before its value."""
        every = [part for key, value in zip(node.keys, node.values, strict=True) for part in (key, value) if part is not None]
        given = iter(self.operands(every))
        pairs = [(next(given) if key is not None else None, next(given)) for key in node.keys]
        return DictOf(tuple(key for key, _ in pairs), tuple(value for _, value in pairs), self.span(node))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Expr:  # noqa: N802
        """An f-string: each part is formatted before the next one is evaluated. Python 3.12 ends some with an empty text."""
        parts = [part for part in node.values if not (isinstance(part, ast.Constant) and part.value == "")]
        return Joined(tuple(self.operands(parts)), self.span(node))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Expr:  # noqa: N802
        """`{value!r:spec}`."""
        value, *spec = self.operands([node.value, *([node.format_spec] if node.format_spec is not None else [])])
        return Formatted(value, _CONVERSIONS[node.conversion], spec[0] if spec else None, self.span(node))

    # --- iteration

    def ordered(self, node: ast.expr) -> Expr:
        """Something whose items are taken in order."""
        self.check_order(node)
        return self.consume(node)

    def check_order(self, *nodes: ast.expr) -> None:
        """FG142 for sets where the order of the items counts."""
        for node in filter(self.is_set, nodes):
            self.report("FG142", node, "a set has no order that two runs would agree on", f"sorted({ast.unparse(node)})")

    def is_set(self, node: ast.expr) -> bool:
        """Whether an expression is certainly a set."""
        raise NotImplementedError


def _spread(nodes: list[ast.expr]) -> list[ast.expr]:
    """What `*` spreads among the items of a display."""
    return [node.value for node in nodes if isinstance(node, ast.Starred)]
