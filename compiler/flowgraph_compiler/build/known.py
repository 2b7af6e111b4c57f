"""What is certain about values before any inference: classes that annotations and constructors name, and sets.

Only for refusals that need a class (FG140 for the user's own code behind an attribute, FG142 for sets); unknown is silent."""

from __future__ import annotations

import ast
import inspect
from functools import cached_property
from types import FunctionType
from typing import Any

from flowgraph_compiler import syntax
from flowgraph_compiler.build import callees
from flowgraph_compiler.build.bindings import targets
from flowgraph_compiler.build.comprehensions import Comprehensions
from flowgraph_compiler.build.context import Session
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.expressions import Expr, PureCall
from flowgraph_compiler.types import class_of, element, fields, without_none

_SETS = (set, frozenset)
_SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})
_SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.Sub, ast.BitXor)


class Known(Comprehensions):
    """Classes of expressions, from declarations alone."""

    def __init__(self, session: Session, decl: FlowDecl) -> None:
        super().__init__(session, decl)
        self._asked: set[str] = set()

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        return syntax.nodes(self.decl.tree)

    @cached_property
    def _loops(self) -> list[ast.For]:
        return [each for each in self._nodes if isinstance(each, ast.For)]

    @cached_property
    def _inner_scopes(self) -> list[ast.comprehension | ast.Lambda]:
        return [each for each in self._nodes if isinstance(each, ast.comprehension | ast.Lambda)]

    @cached_property
    def _assignments(self) -> list[ast.Assign]:
        return [each for each in self._nodes if isinstance(each, ast.Assign)]

    def is_set(self, node: ast.expr) -> bool:
        """Displays, comprehensions, calls and operators that make sets, and what is declared as one."""
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _SET_METHODS:
                return self.is_set(value)
            case ast.BinOp(op=op, left=left) if isinstance(op, _SET_OPERATORS):
                return self.is_set(left) or (self.iterator(left) or "").startswith("a view")
            case ast.IfExp(body=body, orelse=orelse):
                return self.is_set(body) and self.is_set(orelse)
            case _:
                return self.class_of(node) in _SETS

    def visit_Attribute(self, node: ast.Attribute) -> Expr:  # noqa: N802
        """An attribute: of a `@pure` property the call of its function; FG140 where other code of the user's stands behind it."""
        owner = self.class_of(node.value)
        member = _member(owner, node.attr) if owner is not None else None
        if owner is not None and isinstance(member, property | cached_property) and self.is_users(owner, node.attr):
            pinned = self.session.declared(member.fget) if isinstance(member, property) else None
            if isinstance(pinned, FlowDecl):
                return self._pure_property(node, owner, pinned)
            message = f"property '{owner.__name__}.{node.attr}' runs code that the machine cannot pin"
            self.report("FG140", node, message, f"put '@pure' below its '@property', or {callees.TO_STEP}")
        return super().visit_Attribute(node)

    def _pure_property(self, node: ast.Attribute, owner: type, decl: FlowDecl) -> Expr:
        """The class is taken from the declaration, so that another class's property of this name would not be seen."""
        others = (cls for cls in self.session.app.classes.values() if issubclass(cls, owner) and cls is not owner)
        other = next((cls for cls in others if _member(cls, node.attr) is not _member(owner, node.attr)), None)
        if other is not None:
            message = f"property '{decl.name}' is another one in '{other.__name__}', and the machine pins one of them"
            self.report("FG140", node, message, "write a '@pure' function that looks at the class, and call it")
        self.session.called.setdefault(decl.name, decl)
        return PureCall(decl.name, (self.translate(node.value),), (), self.span(node))

    def runs_user_code(self, node: ast.Attribute) -> bool:
        """Whether a method is certainly a function of the user's own."""
        owner = self.class_of(node.value)
        member = _member(owner, node.attr) if owner is not None else None
        return owner is not None and isinstance(member, FunctionType) and self.is_users(owner, node.attr)

    def is_users(self, cls: type, name: str) -> bool:
        """Whether a member of a class comes from a class of the application's own."""
        home = next((base for base in cls.__mro__ if name in vars(base)), object)
        return self.session.app.classes.get(home.__name__) is home

    # --- classes

    def class_of(self, node: ast.expr) -> type[Any] | None:
        """The class of an expression's values, None apart; None where it is not certain."""
        match node:
            case ast.Name(id=name) if self.inner(name) is not None:
                return self._class_of_item(name)
            case ast.Name(id=name) if name in self.bindings:
                return self._class_of_variable(name)
            case ast.Name() | ast.Attribute() if (found := callees.static(self, node)) is not None:
                return _class_of_object(found.value)
            case ast.Attribute(value=inner, attr=attr):
                owner = self.class_of(inner)
                return None if owner is None else _declared_class((fields(owner) or {}).get(attr))
            case ast.Await(value=ast.Call(func=func)):
                called = callees.callee(self, func)
                return _declared_class(called.decl.result) if isinstance(called, callees.Durable) else None
            case ast.Call(func=func):
                called = callees.callee(self, func)
                return called.cls if isinstance(called, callees.Class) else None
            case ast.Set() | ast.SetComp():
                return set
            case _:
                return None

    def _class_of_variable(self, name: str) -> type | None:
        declared = self._declared_type(name)
        if declared is not None or name in self._asked:
            return _declared_class(declared)
        self._asked.add(name)  # `a = b; b = a` must not go round for ever
        try:
            values = self._values_of(name)
            if values and all(map(self.is_set, values)):
                return set
            items = [] if values else [loop.iter for loop in self._loops if _is_named(loop.target, name)]
            if items and len(items) != len(self.bindings[name]):
                return None
            return _the_only({*map(self.class_of, values), *map(self._class_of_items, items)})
        finally:
            self._asked.remove(name)

    def _class_of_item(self, name: str) -> type | None:
        """The class of what a comprehension goes over; None for what else a name is bound by, or when two differ."""
        if name in self._asked or any(
            isinstance(each, ast.Lambda) and name in {arg.arg for arg in ast.walk(each.args) if isinstance(arg, ast.arg)}
            for each in self._inner_scopes
        ):
            return None
        self._asked.add(name)
        try:
            found = [
                each
                for each in self._inner_scopes
                if isinstance(each, ast.comprehension) and name in {part.id for part in targets(each.target)}
            ]
            return _the_only({self._class_of_items(each.iter) if _is_named(each.target, name) else None for each in found})
        finally:
            self._asked.remove(name)

    def _class_of_items(self, node: ast.expr) -> type | None:
        """The class of the items of an expression: of a list that a declaration names, sorted or not."""
        match node:
            case ast.Name(id=name) if self.inner(name) is None and name in self.bindings:
                return _class_of_elements(self._declared_type(name))
            case ast.Attribute(value=inner, attr=attr):
                owner = self.class_of(inner)
                return None if owner is None else _class_of_elements((fields(owner) or {}).get(attr))
            case ast.Await(value=ast.Call(func=func)):
                called = callees.callee(self, func)
                return _class_of_elements(called.decl.result) if isinstance(called, callees.Durable) else None
            case ast.Call(func=ast.Name(id="sorted" | "list" | "reversed"), args=[items, *_]):
                return self._class_of_items(items)
            case _:
                return None

    def _declared_type(self, name: str) -> Any:
        declared = next((parameter.type for parameter in self.decl.parameters if parameter.name == name), None)
        return self.variable_types.get(name, declared)

    def _values_of(self, name: str) -> list[ast.expr]:
        """Everything that is ever assigned to a variable, or nothing when it is bound in another way too."""
        found = [
            each.value
            for each in self._assignments
            for target in each.targets
            if isinstance(target, ast.Name) and target.id == name
        ]
        return found if len(found) == len(self.bindings[name]) else []


def _the_only(classes: set[type | None]) -> type | None:
    return classes.pop() if len(classes) == 1 else None


def _is_named(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _class_of_elements(tp: Any) -> type | None:
    return None if tp is None else _declared_class(element(without_none(tp)))


def _member(cls: type, name: str) -> object:
    return inspect.getattr_static(cls, name, None)


def _class_of_object(value: object) -> type[Any] | None:
    return None if isinstance(value, type) else type(value)


def _declared_class(tp: Any) -> type | None:
    return None if tp is None else class_of(without_none(tp))
