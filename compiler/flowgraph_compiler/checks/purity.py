"""FG144: a `@pure` function that changes what its caller has passed.

Arguments go by reference, so the caller would see the change. Each variable has a level: how many accesses lead from it to an
object of a parameter; 0 is such an object itself, 1 a list made here that holds them, and so on. What calls give is taken as new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import (
    Assigned,
    Attribute,
    Bound,
    Call,
    Clause,
    Comprehension,
    Conditional,
    DictOf,
    Expr,
    ListOf,
    Local,
    Logical,
    Method,
    New,
    SetOf,
    Slice,
    Starred,
    Subscript,
    Target,
    TupleOf,
)
from flowgraph_compiler.graph import AnyNode, FlowGraph, For, Match, Pure, WorkflowGraph, walk
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.notation import expression
from flowgraph_compiler.patterns import CapturePattern, ClassPattern, EitherPattern, MappingPattern, Pattern, StarPattern, inner
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.statements import Assign, Augment
from flowgraph_compiler.subexpressions import inside
from flowgraph_compiler.types import class_of
from flowgraph_compiler.variables import expressions_of, targets_of
from flowgraph_compiler.vocabulary import MUTATING_METHODS

_MUTATING = frozenset(name for names in MUTATING_METHODS.values() for name in names)
_NEW = 99
"""The level of what has nothing of a parameter in it."""
_COPIES = frozenset({"list", "tuple", "set", "frozenset", "dict"})


def check(graph: WorkflowGraph, flows: Mapping[str, FlowTypes]) -> Iterator[Diagnostic]:
    """Report each change that is certain."""
    for function in graph.functions:
        if function.kind == "pure":
            yield from _Levels(function).findings(flows[function.name], graph.name)


class _Levels:
    """The lowest level that each variable of a function ever has."""

    def __init__(self, function: FlowGraph) -> None:
        self._function = function
        self._levels = dict.fromkeys(function.names, 0)
        before: dict[str, int] = {}
        while before != self._levels:
            before = dict(self._levels)
            for node in walk(function.body):
                self._node(node)

    def findings(self, flow: FlowTypes, workflow: str) -> Iterator[Diagnostic]:
        """What the function changes of its arguments."""
        for node in walk(self._function.body):
            for changed in self._changed(node, flow):
                text, name = expression(changed), self._function.name
                message = f"'{text}' belongs to an argument of the '@pure' function '{name}' and is changed here"
                yield Diagnostic(RULES["FG144"], node.span, message, "change a copy and return it", (), workflow)

    def _changed(self, node: AnyNode, flow: FlowTypes) -> Iterator[Expr]:
        for expr in expressions_of(node):
            for part in inside(expr):
                if isinstance(part, Method) and part.name in _MUTATING and self.of(part.value) == 0:
                    yield part.value
        for target in targets_of(node):
            if isinstance(target, Attribute | Subscript) and self.of(target.value) == 0:
                yield target.value
            elif isinstance(target, Local) and _augments(node) and self.of(target) == 0 and _is_mutable(target, node, flow):
                yield target

    # --- levels

    def of(self, expr: Any) -> int:
        """The level of a value."""
        match expr:
            case Local(name):
                return self._levels.get(name, _NEW)
            case Bound(name):
                return self._levels.get(f"^{name}", _NEW)
            case Subscript(value, Slice()) | Method(value, "copy"):
                return max(self.of(value), 1)
            case Attribute(value) | Subscript(value) | Method(value, "get" | "pop" | "setdefault"):
                return self.item(value)
            case Method(value, "items"):
                return self.item(value) + 2
            case Method(value, "values"):
                return self.item(value) + 1
            case Assigned(_, value):
                return self.of(value)
            case Conditional(_, body, orelse):
                return min(self.of(body), self.of(orelse))
            case Logical(_, operands):
                return min(map(self.of, operands))
            case _:
                return self._made(expr)

    def _made(self, expr: Any) -> int:
        match expr:
            case ListOf(items) | TupleOf(items) | SetOf(items):
                return 1 + min(map(self._spread, items), default=_NEW)
            case DictOf(_, values):
                return 1 + min(map(self.of, values), default=_NEW)
            case Comprehension(_, element, value):
                return 1 + self.of(value if value is not None else element)
            case Call("enumerate" | "zip", arguments):
                return 2 + min(map(self.item, arguments), default=_NEW)
            case Call("sorted" | "reversed", (first, *_)):
                return 1 + self.item(first)
            case Call("max" | "min", (lone,)):
                return self.item(lone)
            case New(cls, (first, *_)) if cls in _COPIES:
                return 1 + self.item(first)
            case _:
                return _NEW

    def item(self, container: Any) -> int:
        """The level of what one access to a value gives."""
        return max(self.of(container) - 1, 0)

    def _spread(self, expr: Any) -> int:
        return self.item(expr.value) if isinstance(expr, Starred) else self.of(expr)

    # --- bindings

    def _node(self, node: AnyNode) -> None:
        match node:
            case Pure(statement=Assign(targets, value)):
                for target in targets:
                    self._bind(target, self.of(value))
            case For(target=target, iterable=iterable):
                self._bind(target, self.item(iterable))
            case Match(subject=subject, cases=cases):
                for case in cases:
                    self._bind_pattern(case.pattern, self.of(subject))
            case _:
                pass
        for expr in expressions_of(node):
            for part in inside(expr):
                if isinstance(part, Assigned):
                    self._lower(part.name, self.of(part.value))
                elif isinstance(part, Clause):
                    self._bind(part.target, self.item(part.iterable))

    def _bind(self, target: Target | Expr, level: int) -> None:
        match target:
            case Local(name):
                self._lower(name, level)
            case Bound(name):
                self._lower(f"^{name}", level)
            case TupleOf(items) | ListOf(items):
                for item in items:
                    self._bind(item, max(level - 1, 0))
            case Starred(value):
                self._bind(value, level + 1)
            case _:
                pass

    def _bind_pattern(self, pattern: Pattern, level: int) -> None:
        match pattern:
            case StarPattern(name) if name is not None:  # the level is that of an item
                self._lower(name, level + 1)
            case MappingPattern(rest=rest) if rest is not None:
                self._lower(rest, max(level, 1))
            case CapturePattern(name=name) if name is not None:
                self._lower(name, level)
            case _:
                pass
        whole = pattern.whole if isinstance(pattern, ClassPattern) else None
        for part in inner(pattern):
            same = part is whole or isinstance(pattern, CapturePattern | EitherPattern)
            self._bind_pattern(part, level if same else max(level - 1, 0))

    def _lower(self, name: str, level: int) -> None:
        self._levels[name] = min(self._levels.get(name, _NEW), level)


def _augments(node: AnyNode) -> bool:
    return isinstance(node, Pure) and isinstance(node.statement, Augment)


def _is_mutable(target: Local, node: AnyNode, flow: FlowTypes) -> bool:
    """Whether `+=` changes the value itself rather than making a new one."""
    env = flow.before.get(node.id)
    return env is not None and class_of(env.types.get(target.name)) in (list, dict, set)
