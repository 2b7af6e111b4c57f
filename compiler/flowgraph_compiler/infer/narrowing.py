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
from flowgraph_compiler.infer.members import attribute
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
    return _restricted(env, test, tp, truthy(tp) if truth else falsy(tp))


_FALSE: dict[Any, Any] = {
    str: typing.Literal[""],
    bytes: typing.Literal[b""],
    int: typing.Literal[0],
    bool: typing.Literal[False],
}


def truthy(tp: Any) -> Any:
    """The type of a value that is true: without what is always false."""
    return union(_truthy(member) for member in members(tp))


def _truthy(tp: Any) -> Any:
    if tp is NONE or tp == tuple[()]:
        return NEVER
    if get_origin(tp) is typing.Literal:
        return _literals([value for value in get_args(tp) if value])
    return typing.Literal[True] if tp is bool else tp


def falsy(tp: Any) -> Any:
    """The type of a value that is false: without the classes whose values are always true."""
    return union(_falsy(member) for member in members(tp))


def _falsy(tp: Any) -> Any:
    if get_origin(tp) is typing.Literal:
        return _literals([value for value in get_args(tp) if not value])
    return NEVER if _always_true(tp) else _FALSE.get(tp, tp)


def _always_true(tp: Any) -> bool:
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
    after = _equal(evaluator.env, left, before, value, positive)
    return after if after is None or not isinstance(left, Attribute) else _discriminated(evaluator, after, left, value, positive)


def _discriminated(evaluator: Asked, env: Env, left: Attribute, value: object, positive: bool) -> Env | None:
    """`animal.kind == "cat"`: only those members of a union are left whose `kind` may be so."""
    owner = evaluator.quiet(evaluator.env).of(left.value)
    kinds = {member: attribute(member, left.name) for member in members(owner)}
    if len(kinds) < 2 or not all(get_origin(tp) is typing.Literal for tp in kinds.values()):
        return env
    kept = [member for member, tp in kinds.items() if any((one == value) is positive for one in get_args(tp))]
    return _restricted(env, left.value, owner, union(kept))


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
            kept.append(_literals([one for one in get_args(member) if (one == value) is positive]))
        elif isinstance(value, Enum | bool) and member is type(value):
            every: Any = type(value) if isinstance(value, Enum) else (True, False)
            kept.append(_literals([one for one in every if (one is value) is positive]))
        elif not (positive and member is NONE):
            kept.append(member)
    return union(kept)


def _literals(values: list[Any]) -> Any:
    return typing.Literal[tuple(values)] if values else NEVER


def _contained(evaluator: Asked, left: Expr, right: Expr, positive: bool) -> Env | None:
    """`x in ("a", "b")`: x is not None where none of the values is; of literals those are left that may be found."""
    before = evaluator.quiet(evaluator.env).of(left)
    if isinstance(right, TupleOf | ListOf | SetOf):
        values = [literal(evaluator, item) for item in right.items]
        if NOT_LITERAL not in values and any(get_origin(member) is typing.Literal for member in members(before)):
            return _restricted(evaluator.env, left, before, union(_among(member, values, positive) for member in members(before)))
    if not positive or not isinstance(right, TupleOf | ListOf | SetOf):
        return evaluator.env
    options = union(evaluator.quiet(evaluator.env).many(right.items))
    if has_none(options) or any(is_any(member) for member in members(options)) or not has_none(before):
        return evaluator.env
    return _restricted(evaluator.env, left, before, without_none(before))


def _among(member: Any, values: list[object], positive: bool) -> Any:
    if get_origin(member) is typing.Literal:
        return _literals([one for one in get_args(member) if (one in values) is positive])
    return NEVER if member is NONE and (None in values) is not positive else member


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
