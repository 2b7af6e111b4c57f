"""Walking through expressions: what is inside, which variables are read, which a walrus binds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from flowgraph_compiler.expressions import (
    Assigned,
    Attribute,
    Comprehension,
    Conditional,
    Expr,
    Lambda,
    ListOf,
    Local,
    Logical,
    Matches,
    Starred,
    Subscript,
    Target,
    TupleOf,
)
from flowgraph_compiler.spans import Span
from flowgraph_compiler.types import kind

_NAMES: dict[type, tuple[str, ...]] = {}
_PLAIN = frozenset({"str", "str | None", "bool", "bool | None", "tuple[str, ...]"})
"""Types of fields that hold no form."""


def _names(cls: Any) -> tuple[str, ...]:
    if cls not in _NAMES:
        _NAMES[cls] = tuple(field.name for field in fields(cls) if field.name != "span" and field.type not in _PLAIN)
    return _NAMES[cls]


def children(tree: Any) -> list[Any]:
    """The forms directly inside a form (expressions, keywords, clauses), in the order of their fields."""
    found: list[Any] = []
    cls = kind(tree)
    for name in _NAMES.get(cls) or _names(cls):
        _collect(getattr(tree, name), found)
    return found


def _collect(value: Any, found: list[Any]) -> None:
    cls = kind(value)
    if cls is tuple:
        for item in value:
            _collect(item, found)
    elif cls is not Span and hasattr(cls, "__dataclass_fields__"):
        found.append(value)


def inside(tree: Any) -> Iterator[Any]:
    """A form and everything inside it, in order."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(reversed(children(part)))


def reads(tree: Any) -> Iterator[Local]:
    """The variables of the frame that an expression may read."""
    for part in inside(tree):
        match part:
            case Local():
                yield part
            case Matches(variable, _, span):
                yield Local(variable, span)
            case _:
                pass


def walruses(tree: Any, *, certain: bool = False) -> Iterator[str]:
    """The variables that `:=` binds inside an expression; with `certain`, only those that are bound whenever it is evaluated."""
    if not certain:
        yield from (part.name for part in inside(tree) if isinstance(part, Assigned))
        return
    if isinstance(tree, Assigned):
        yield tree.name
    match tree:
        case Logical(_, operands):
            inner: list[Any] = [operands[0]]
        case Conditional(test):
            inner = [test]
        case Comprehension() | Lambda():
            inner = []
        case _:
            inner = children(tree)
    for child in inner:
        yield from walruses(child, certain=True)


def bound_by(target: Target | Expr) -> Iterator[Local]:
    """The variables that assigning to a target binds."""
    match target:
        case Local():
            yield target
        case TupleOf(items) | ListOf(items):
            for item in items:
                yield from bound_by(item)
        case Starred(value):
            yield from bound_by(value)
        case _:
            pass


def read_by_target(target: Target | Expr) -> Iterator[Local]:
    """The variables that assigning to a target reads: `xs` and `i` of `xs[i] = ...`."""
    match target:
        case TupleOf(items) | ListOf(items):
            for item in items:
                yield from read_by_target(item)
        case Starred(value):
            yield from read_by_target(value)
        case Attribute() | Subscript():
            yield from reads(target)
        case _:
            pass
