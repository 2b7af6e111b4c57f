"""What is certain about values before any inference: classes that annotations and constructors name, and sets.

Only for refusals that need a class (FG140 for the user's own code behind an attribute, FG142 for sets); unknown is silent."""

from __future__ import annotations

import ast
import inspect
from functools import cached_property
from types import FunctionType
from typing import Any

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.comprehensions import Comprehensions
from flowgraph_compiler.build.context import Session
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.expressions import Expr
from flowgraph_compiler.types import class_of, fields, without_none

_SETS = (set, frozenset)
_SET_METHODS = frozenset({"union", "intersection", "difference", "symmetric_difference"})
_SET_OPERATORS = (ast.BitAnd, ast.BitOr, ast.Sub, ast.BitXor)


class Known(Comprehensions):
    """Classes of expressions, from declarations alone."""

    def __init__(self, session: Session, decl: FlowDecl) -> None:
        super().__init__(session, decl)
        self._asked: set[str] = set()

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
        """An attribute; FG140 where the user's own code stands behind it."""
        owner = self.class_of(node.value)
        member = inspect.getattr_static(owner, node.attr, None) if owner is not None else None
        if owner is not None and isinstance(member, property | cached_property) and self.is_users(owner, node.attr):
            message = f"property '{owner.__name__}.{node.attr}' runs code that the machine cannot pin"
            self.report("FG140", node, message, f"{callees.TO_STEP}, or write its expression out here")
        return super().visit_Attribute(node)

    def runs_user_code(self, node: ast.Attribute) -> bool:
        """Whether a method is certainly a function of the user's own."""
        owner = self.class_of(node.value)
        member = inspect.getattr_static(owner, node.attr, None) if owner is not None else None
        return owner is not None and isinstance(member, FunctionType) and self.is_users(owner, node.attr)

    def is_users(self, cls: type, name: str) -> bool:
        """Whether a member of a class comes from a class of the application's own."""
        home = next((base for base in cls.__mro__ if name in vars(base)), object)
        return self.session.app.classes.get(home.__name__) is home

    # --- classes

    def class_of(self, node: ast.expr) -> type[Any] | None:
        """The class of an expression's values, None apart; None where it is not certain."""
        match node:
            case ast.Name(id=name) if self.inner(name) is None and name in self.bindings:
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
        declared = next((parameter.type for parameter in self.decl.parameters if parameter.name == name), None)
        declared = self.variable_types.get(name, declared)
        if declared is not None or name in self._asked:
            return _declared_class(declared)
        self._asked.add(name)  # `a = b; b = a` must not go round for ever
        try:
            values = self._values_of(name)
            if values and all(map(self.is_set, values)):
                return set
            classes = {self.class_of(value) for value in values}
            return classes.pop() if len(classes) == 1 else None
        finally:
            self._asked.remove(name)

    def _values_of(self, name: str) -> list[ast.expr]:
        """Everything that is ever assigned to a variable, or nothing when it is bound in another way too."""
        found = [
            each.value
            for each in ast.walk(self.decl.tree)
            if isinstance(each, ast.Assign)
            for target in each.targets
            if isinstance(target, ast.Name) and target.id == name
        ]
        return found if len(found) == len(self.bindings[name]) else []


def _class_of_object(value: object) -> type[Any] | None:
    return None if isinstance(value, type) else type(value)


def _declared_class(tp: Any) -> type | None:
    return None if tp is None else class_of(without_none(tp))
