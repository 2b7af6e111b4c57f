"""What a pattern says about a value: the type of what it matches, of what it leaves, and of the names that it binds."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, get_args, get_origin

from flowgraph_compiler.expressions import Expr, Local, TupleOf
from flowgraph_compiler.infer.asked import Asked
from flowgraph_compiler.infer.environment import Env, path_of
from flowgraph_compiler.infer.members import attribute
from flowgraph_compiler.infer.narrowing import NOT_LITERAL, equals, literal, tested
from flowgraph_compiler.patterns import (
    CapturePattern,
    ClassPattern,
    EitherPattern,
    MappingPattern,
    Pattern,
    SequencePattern,
    SingletonPattern,
    StarPattern,
    ValuePattern,
)
from flowgraph_compiler.types import (
    NEVER,
    NONE,
    UNKNOWN,
    class_of,
    element,
    fields,
    generic,
    is_any,
    is_namedtuple,
    mapping_of,
    members,
    union,
)

_TEXTS = (str, bytes, bytearray)


@dataclass(frozen=True)
class Matched:
    """The types of the values that match, of those that may not, and of the names bound; `NEVER` where there are none."""

    taken: Any
    left: Any
    bound: Mapping[str, Any] = field(default_factory=dict[str, Any])


def matched(asked: Asked, pattern: Pattern, tp: Any) -> Matched:
    """Match a value of a type."""
    match pattern:
        case CapturePattern(None, name):
            return Matched(tp, NEVER, {} if name is None else {name: tp})
        case CapturePattern(inner, name) if inner is not None:
            found = matched(asked, inner, tp)
            return Matched(found.taken, found.left, {**found.bound, **({} if name is None else {name: found.taken})})
        case EitherPattern(options):
            return _either(asked, options, tp)
        case ValuePattern(value):
            return _value(asked, value, tp)
        case SingletonPattern(value):
            return _joined([_single(value, member) for member in members(tp)])
        case _:
            return _joined([_structure(asked, pattern, member) for member in members(tp)])


def _joined(found: Sequence[Matched]) -> Matched:
    """One after the other for the members of a union: a name may come from each that matches."""
    reached = [each for each in found if each.taken != NEVER]
    names = {name for each in reached for name in each.bound}
    bound = {name: union(each.bound[name] for each in reached if name in each.bound) for name in names}
    return Matched(union(each.taken for each in found), union(each.left for each in found), bound)


def _either(asked: Asked, options: Sequence[Pattern], tp: Any) -> Matched:
    found: list[Matched] = []
    for option in options:
        found.append(matched(asked, option, tp))
        tp = found[-1].left
    whole = _joined(found)
    return Matched(whole.taken, tp, whole.bound)


def _single(value: bool | None, member: Any) -> Matched:
    if is_any(member) or member is object:
        return Matched(NONE if value is None else bool, member)
    if value is None:
        return Matched(NONE, NEVER) if member is NONE else Matched(NEVER, member)
    if member is bool:
        return Matched(_literal(value), _literal(not value))
    if get_origin(member) is typing.Literal:
        same = [one for one in get_args(member) if one is value]
        rest = [one for one in get_args(member) if one is not value]
        return Matched(_literal(*same) if same else NEVER, _literal(*rest) if rest else NEVER)
    return Matched(bool, member) if member is int else Matched(NEVER, member)


def _literal(*values: Any) -> Any:
    return typing.Literal[values]


def _value(asked: Asked, value: Expr, tp: Any) -> Matched:
    known = literal(asked, value)
    if known is NOT_LITERAL:
        asked.of(value)
        return Matched(tp, tp)
    equal = [member for member in members(equals(tp, known, True)) if _may_equal(member, known)]
    taken = union(_literal(known) if member in (int, str, bytes) and type(known) is member else member for member in equal)
    return Matched(taken, equals(tp, known, False))


_KINDS: tuple[tuple[type, ...], ...] = ((str,), (bytes,), (int, float), (list,), (dict,), (tuple,), (set, frozenset))


def _may_equal(member: Any, value: object) -> bool:
    """Whether a value of a type can be equal to a literal: builtin values of different kinds never are."""
    cls = class_of(member)
    if cls is None or isinstance(value, Enum) or not any(cls in kinds for kinds in (*_KINDS, (bool,))):
        return True
    return any(issubclass(cls, kinds) and isinstance(value, kinds) for kinds in _KINDS)


# --- parts


def _structure(asked: Asked, pattern: Pattern, member: Any) -> Matched:
    match pattern:
        case SequencePattern(items):
            return _sequence(asked, items, member)
        case MappingPattern():
            return _mapping(asked, pattern, member)
        case ClassPattern():
            return _class(asked, pattern, member)
        case _:
            return Matched(member, member)


def _all(asked: Asked, patterns: Sequence[Pattern], types: Sequence[Any]) -> tuple[list[Matched], dict[str, Any]]:
    found = [matched(asked, pattern, tp) for pattern, tp in zip(patterns, types, strict=True)]
    return found, {name: tp for each in found for name, tp in each.bound.items()}


def _fails(found: Sequence[Matched], types: Sequence[Any]) -> bool:
    """Whether some part can never match."""
    return any(each.taken == NEVER and tp != NEVER for each, tp in zip(found, types, strict=True))


def _sequence(asked: Asked, items: Sequence[Pattern], member: Any) -> Matched:
    cls = class_of(member)
    open_ended = is_any(member) or member is object or cls is None
    if not open_ended and (not issubclass(cls, Sequence) or issubclass(cls, _TEXTS)):  # type: ignore[arg-type]
        return Matched(NEVER, member)
    types = item_types(member, items)
    if types is None:
        return Matched(NEVER, member)
    patterns = [CapturePattern(None, item.name) if isinstance(item, StarPattern) else item for item in items]
    found, bound = _all(asked, patterns, types)
    if _fails(found, types):
        return Matched(NEVER, member)
    fixed = _exact(member) is not None
    whole = all(isinstance(item, StarPattern) for item in items)
    refutable = [index for index, each in enumerate(found) if each.left != NEVER]
    is_plain = fixed and not any(isinstance(item, StarPattern) for item in items) and not is_namedtuple(member)
    taken = generic(tuple, *(each.taken for each in found)) if is_plain else member
    if not open_ended and not refutable and (fixed or (whole and bool(items))):
        return Matched(taken, NEVER, bound)
    if is_plain and len(refutable) == 1:
        parts = [each.left if index in refutable else tp for index, (each, tp) in enumerate(zip(found, types, strict=True))]
        return Matched(taken, generic(tuple, *parts), bound)
    return Matched(taken, member, bound)


def _exact(tp: Any) -> list[Any] | None:
    """The types of the items of a tuple of known length."""
    if is_namedtuple(tp):
        return list((fields(tp) or {}).values())
    args = get_args(tp)
    if get_origin(tp) is not tuple or Ellipsis in args:
        return None
    return list(args)


def item_types(tp: Any, items: Sequence[Pattern]) -> list[Any] | None:
    """The types of the values that items of a sequence pattern are matched against; None where the length cannot fit."""
    exact, stars = _exact(tp), [index for index, item in enumerate(items) if isinstance(item, StarPattern)]
    if exact is None:
        item = element(tp)
        return [generic(list, item) if index in stars else item for index in range(len(items))]
    if not stars:
        return exact if len(exact) == len(items) else None
    after = len(items) - stars[0] - 1
    if len(exact) < len(items) - 1:
        return None
    middle = exact[stars[0] : len(exact) - after]
    return [*exact[: stars[0]], generic(list, union(middle) if middle else UNKNOWN), *exact[len(exact) - after :]]


def _mapping(asked: Asked, pattern: MappingPattern, member: Any) -> Matched:
    cls = class_of(member)
    open_ended = is_any(member) or member is object or cls is None
    if not open_ended and not issubclass(cls, Mapping):  # type: ignore[arg-type]
        return Matched(NEVER, member)
    key_type, value_type = mapping_of(member) or (UNKNOWN, UNKNOWN)
    known = fields(member) or {} if typing.is_typeddict(member) else {}
    keys = [literal(asked, key) for key in pattern.keys]
    types = [known.get(key, value_type) if isinstance(key, str) else value_type for key in keys]
    found, bound = _all(asked, pattern.values, types)
    if _fails(found, types):
        return Matched(NEVER, member)
    rest = {} if pattern.rest is None else {pattern.rest: generic(dict, key_type, value_type)}
    return Matched(member, NEVER if not keys and not open_ended else member, {**bound, **rest})


def _class(asked: Asked, pattern: ClassPattern, member: Any) -> Matched:
    cls = asked.world.class_named(pattern.cls)
    if cls is None:
        return Matched(UNKNOWN, member, _unknown(asked, pattern))
    value = int if member is float and cls is int else tested(member, (cls,), True)
    if value == NEVER:
        return Matched(NEVER, member)
    types = [attribute(value, name) for name in pattern.names]
    found, bound = _all(asked, pattern.values, types)
    taken, refutable = value, any(each.left != NEVER for each in found)
    if pattern.whole is not None:
        inner = matched(asked, pattern.whole, value)
        taken, bound, refutable = inner.taken, {**bound, **inner.bound}, refutable or inner.left != NEVER
    if _fails(found, types):
        return Matched(NEVER, member)
    rest = int if member is cls is float else tested(member, (cls,), False)  # what is called a float may be an int
    return Matched(taken, member if refutable else rest, bound)


def _unknown(asked: Asked, pattern: ClassPattern) -> dict[str, Any]:
    parts = pattern.values if pattern.whole is None else (pattern.whole, *pattern.values)
    return _all(asked, parts, [UNKNOWN] * len(parts))[1]


# --- places


def narrowed(env: Env, subject: Expr, tp: Any) -> Env:
    """The place where the subject of a `match` has a narrower type; the items of a tuple display are subjects of their own."""
    path = path_of(subject)
    if path is not None:
        return env.narrowed(path, tp)
    if isinstance(subject, TupleOf) and get_origin(tp) is tuple and len(get_args(tp)) == len(subject.items):
        for item, part in zip(subject.items, get_args(tp), strict=True):
            env = narrowed(env, item, part)
    return env


def bind_all(asked: Asked, bound: Mapping[str, Any]) -> None:
    """Bind what a pattern has captured."""
    for name, tp in bound.items():
        asked.bind(Local(name), tp)
