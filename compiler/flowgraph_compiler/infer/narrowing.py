"""What a condition says about the values it tests: `is None`, truthiness, `isinstance`, `==` with literals, `in`."""

from __future__ import annotations

import typing
from enum import Enum
from typing import Any, get_args, get_origin

from flowgraph_compiler.expressions import (
    Assigned,
    Attribute,
    Call,
    Captured,
    ClassRef,
    Compare,
    Const,
    Expr,
    ListOf,
    Local,
    SetOf,
    TupleOf,
)
from flowgraph_compiler.infer.asked import Asked
from flowgraph_compiler.infer.environment import Env, Outcomes, path_of
from flowgraph_compiler.types import (
    NEVER,
    NONE,
    UNKNOWN,
    class_of,
    has_none,
    is_any,
    is_enum,
    members,
    union,
    without,
    without_none,
)


def narrow(evaluator: Asked, test: Expr, tp: Any, truth: bool) -> Env | None:
    """The place after a (plain, already evaluated) condition of type `tp` that turned out as `truth`; None: it cannot."""
    env = evaluator.env
    match test:
        case Const(value):
            return env if bool(value) is truth else None
        case Local(name) if name.startswith("$"):
            return _temporary(evaluator, name, tp, truth)
        case Compare(left, (op,), (right,)):
            return _compared(evaluator, left, op, right, truth)
        case Call("isinstance", (value, classes)):
            return _isinstance(evaluator, value, classes, truth)
        case _:
            return _truthiness(env, test, tp, truth)


def _restricted(env: Env, expr: Expr, before: Any, after: Any) -> Env | None:
    """The place where the tested value has a narrower type; None when no value is left."""
    if after == NEVER and before != NEVER and not is_any(before):
        return None
    path = path_of(expr)
    if path is not None:
        env = env.narrowed(path, after)
    if isinstance(expr, Assigned):
        inner = _restricted(env, expr.value, before, after)
        return env if inner is None else inner
    return env


def _truthiness(env: Env, test: Expr, tp: Any, truth: bool) -> Env | None:
    return _restricted(env, test, tp, without(tp, never_true) if truth else falsy(tp))


def never_true(tp: Any) -> bool:
    """Whether all values of a (non-union) type are false."""
    return tp is NONE or tp == tuple[()] or (get_origin(tp) is typing.Literal and not any(get_args(tp)))


def falsy(tp: Any) -> Any:
    """The type of a value that is false: without the classes whose values are always true."""
    return without(tp, _always_true)


def _always_true(tp: Any) -> bool:
    if get_origin(tp) is typing.Literal:
        return all(get_args(tp))
    if get_origin(tp) is tuple:
        return bool(get_args(tp)) and Ellipsis not in get_args(tp)
    cls = class_of(tp)
    plain = cls is not None and not hasattr(cls, "__bool__")
    return plain and cls is not None and is_enum(cls) and not issubclass(cls, int | str)


def _temporary(evaluator: Asked, name: str, tp: Any, truth: bool) -> Env | None:
    """A temporary tells about the variables that it was computed from; from now on its own truth is known."""
    fact = evaluator.env.facts.get(name)
    if isinstance(fact, Outcomes):
        return fact.true if truth else fact.false
    after = _truthiness(evaluator.env, Local(name), tp, truth)
    if after is not None and fact is not None:
        after = evaluator.quiet(after).split(fact)[0 if truth else 1]
    if after is None:
        return None
    return after.with_fact(name, Outcomes(after, None) if truth else Outcomes(None, after))


def _compared(evaluator: Asked, left: Expr, op: str, right: Expr, truth: bool) -> Env | None:
    positive = truth is (op in ("is", "==", "in"))
    if op not in ("is", "is not", "==", "!=", "in", "not in"):
        return evaluator.env
    if op in ("in", "not in"):
        return _contained(evaluator, left, right, positive)
    if isinstance(left, Const | Captured) and not isinstance(right, Const):
        left, right = right, left
    value = literal(evaluator, right)
    before = evaluator.quiet(evaluator.env).of(left)
    if value is NOT_LITERAL:
        return evaluator.env
    if value is None:
        after = union([NONE]) if positive and has_none(before) else without_none(before) if not positive else _only_none(before)
        return _restricted(evaluator.env, left, before, after)
    return _equal(evaluator.env, left, before, value, positive)


def _only_none(before: Any) -> Any:
    return UNKNOWN if any(is_any(member) or member is object for member in members(before)) else NEVER


NOT_LITERAL = object()
"""No value that is written out."""


def literal(evaluator: Asked, expr: Expr) -> object:
    """The value that a comparison is with, where it is written out: None, a bool, int, str, or an enum member."""
    match expr:
        case Const(value):
            return value
        case Captured(name):
            captured = evaluator.world.graph.constants.get(name)
            return captured if isinstance(captured, Enum) else NOT_LITERAL
        case Attribute(ClassRef(cls), name):
            member = getattr(evaluator.world.class_named(cls), name, None)
            return member if isinstance(member, Enum) else NOT_LITERAL
        case _:
            return NOT_LITERAL


def _equal(env: Env, left: Expr, before: Any, value: object, positive: bool) -> Env | None:
    return _restricted(env, left, before, equals(before, value, positive))


def equals(before: Any, value: object, positive: bool) -> Any:
    """The type of what is equal to a value that is written out, or of what is not."""
    kept: list[Any] = []
    for member in members(before):
        if get_origin(member) is typing.Literal:
            values = [one for one in get_args(member) if (one == value) is positive]
            kept += [_literals(values)] if values else []
        elif isinstance(value, Enum) and member is type(value):
            left_over = [one for one in type(value) if (one is value) is positive]
            kept += [_literals(left_over)] if left_over else []
        elif not (positive and member is NONE):
            kept.append(member)
    return union(kept)


def _literals(values: list[Any]) -> Any:
    return typing.Literal[tuple(values)]


def _contained(evaluator: Asked, left: Expr, right: Expr, positive: bool) -> Env | None:
    """`x in ("a", "b")`: x is not None where none of the values is."""
    before = evaluator.quiet(evaluator.env).of(left)
    if not positive or not isinstance(right, TupleOf | ListOf | SetOf):
        return evaluator.env
    options = union(evaluator.quiet(evaluator.env).many(right.items))
    if has_none(options) or any(is_any(member) for member in members(options)) or not has_none(before):
        return evaluator.env
    return _restricted(evaluator.env, left, before, without_none(before))


def _isinstance(evaluator: Asked, value: Expr, classes: Expr, truth: bool) -> Env | None:
    before = evaluator.quiet(evaluator.env).of(value)
    wanted = [evaluator.world.class_named(one.name) for one in _classes(classes)]
    if not wanted or None in wanted:
        return evaluator.env
    tests = tuple(cls for cls in wanted if cls is not None)
    parts = [tested(member, tests, truth) for member in members(before)]
    return _restricted(evaluator.env, value, before, union(parts))


def _classes(expr: Expr) -> list[ClassRef]:
    items = expr.items if isinstance(expr, TupleOf) else (expr,)
    refs = [item for item in items if isinstance(item, ClassRef)]
    return refs if len(refs) == len(items) else []


def tested(member: Any, tests: tuple[type, ...], truth: bool) -> Any:
    """What of a (non-union) type is, or is not, an instance of one of the classes."""
    cls = class_of(member)
    if cls is None or cls is object:
        return union(tests) if truth else member
    inside = issubclass(cls, tests)
    if inside or not truth:
        return NEVER if inside is not truth else member
    return union(test for test in tests if issubclass(test, cls))
