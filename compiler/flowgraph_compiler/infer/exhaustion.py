"""Which values no case of a `match` takes, when their type is closed: enums, bools, literals, None and unions.

Pattern matrices after Maranget, "Warnings for pattern matching" (JFP 17, 2007), section 3: a column of patterns is split by the
constructors of its type, until no pattern is left that tells values apart. What is not certain to match (guards, values that
are no literals) takes nothing here.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, Flag
from typing import Any, get_args, get_origin

from flowgraph_compiler.expressions import Const
from flowgraph_compiler.infer.asked import Asked
from flowgraph_compiler.infer.members import attribute
from flowgraph_compiler.infer.narrowing import NOT_LITERAL, literal
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
from flowgraph_compiler.types import NONE, class_of, element, fields, is_any, is_enum, is_namedtuple, members, show

MOST = 2_000
"""Splits after which the question is given up: then nothing is reported."""
_ANY = CapturePattern(None, None)

Row = tuple[Pattern, ...]


class _TooMany(Exception):
    """The question has too many parts."""


@dataclass(frozen=True)
class _Space:
    """One constructor of a type: the types of its parts, the patterns for them of each row that takes it, and how it is shown."""

    parts: tuple[Any, ...]
    rows: Callable[[Pattern], Iterator[Row]]
    show: Callable[[Sequence[str]], str]


def is_closed(tp: Any) -> bool:
    """Whether all values of a type can be listed by kind."""
    every = members(tp)
    if any(is_any(member) or member is object or class_of(member) is None for member in every):
        return False
    return len(every) > 1 or any(listed(member) is not None for member in every)


def left_out(asked: Asked, tp: Any, patterns: Sequence[Pattern]) -> list[str] | None:
    """Examples of the values of a closed type that none of the patterns takes, as patterns; None where that is not certain."""
    question = _Question(asked)
    rows = [(pattern,) for pattern in patterns]
    try:
        found = [question.example_of(space, rows, ()) for space in question.spaces(tp, [row[0] for row in rows])]
    except _TooMany:
        return None
    return [example[0] for example in found if example is not None]


class _Question:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._left = MOST

    def example(self, rows: Sequence[Row], types: tuple[Any, ...]) -> list[str] | None:
        """One value for each type that no row takes together."""
        if not types or not rows:
            return None if rows else ["_"] * len(types)
        if any(all(_is_any(pattern) for pattern in row) for row in rows):
            return None
        column = [row[0] for row in rows]
        if all(map(_is_any, column)):
            rest = self.example([row[1:] for row in rows], types[1:])
            return None if rest is None else ["_", *rest]
        found = (self.example_of(space, rows, types[1:]) for space in self.spaces(types[0], column))
        return next((each for each in found if each is not None), None)

    def example_of(self, space: _Space, rows: Sequence[Row], types: tuple[Any, ...]) -> list[str] | None:
        """The same for values of one constructor."""
        self._left -= 1
        if self._left < 0:
            raise _TooMany
        inner = [
            (*parts, *row[1:])
            for row in rows
            for alternative in alternatives(row[0])
            for parts in ([(_ANY,) * len(space.parts)] if alternative == _ANY else space.rows(alternative))
        ]
        found, count = self.example(inner, (*space.parts, *types)), len(space.parts)
        return None if found is None else [space.show(found[:count]), *found[count:]]

    # --- the constructors of a type

    def spaces(self, tp: Any, column: Sequence[Pattern]) -> Iterator[_Space]:
        """How a column is split."""
        told = [alternative for pattern in column for alternative in alternatives(pattern)]
        for member in members(tp):
            values = listed(member)
            if values is not None:
                yield from (self._of_value(value) for value in values)
            elif _is_list(member):
                yield from self._of_list(member, told)
            else:
                yield self._of_class(member, told)

    def _of_value(self, value: object) -> _Space:
        def rows(pattern: Pattern) -> Iterator[Row]:
            if self._takes(pattern, value):
                yield ()

        return _Space((), rows, lambda _: shown(value))

    def _takes(self, pattern: Pattern, value: object) -> bool:
        match pattern:
            case SingletonPattern(single):
                return single is value
            case ValuePattern(expr):
                known = literal(self._asked, expr)
                return known is not NOT_LITERAL and known == value
            case ClassPattern(name, whole, ()):
                cls = self._asked.world.class_named(name)
                inside = cls is not None and isinstance(value, cls)
                return inside and (whole is None or any(self._takes_all(each, value) for each in alternatives(whole)))
            case _:
                return False

    def _takes_all(self, pattern: Pattern, value: object) -> bool:
        return pattern == _ANY or self._takes(pattern, value)

    def _of_class(self, member: Any, told: Sequence[Pattern]) -> _Space:
        names = [*_part_names(member, told)]
        known = fields(member) or {}
        types = tuple(known[name] if typing.is_typeddict(member) else attribute(member, name) for name in names)
        exact = _items(member)

        def rows(pattern: Pattern) -> Iterator[Row]:
            match pattern:
                case ClassPattern() if self._covers(pattern, member):
                    yield from self._fields(pattern, names, len(exact or ()), rows)
                case SequencePattern(items) if exact is not None:
                    yield from _aligned(items, len(exact))
                case MappingPattern(keys=keys) if (not keys or typing.is_typeddict(member)) and _keys(pattern) <= {*names}:
                    given = dict(zip(_texts(pattern), pattern.values, strict=True))
                    yield tuple(given.get(name, _ANY) for name in names)
                case _:
                    pass

        if exact is not None:
            head = member.__name__ if is_namedtuple(member) else ""
            return _Space(tuple(exact), rows, lambda parts: f"{head}({', '.join(parts)})")
        return _Space(types, rows, lambda parts: _shown_class(member, names, parts))

    def _covers(self, pattern: ClassPattern, member: Any) -> bool:
        cls, own = self._asked.world.class_named(pattern.cls), class_of(member)
        return cls is not None and own is not None and issubclass(own, cls)

    def _fields(
        self, pattern: ClassPattern, names: list[str], items: int, rows: Callable[[Pattern], Iterator[Row]]
    ) -> Iterator[Row]:
        given = dict(zip(pattern.names, pattern.values, strict=True))
        width = items or len(names)
        if pattern.whole is not None and not given:
            for alternative in alternatives(pattern.whole):
                yield from ([(_ANY,) * width] if alternative == _ANY else rows(alternative))
        elif pattern.whole is None and given.keys() <= {*names}:
            yield tuple(given.get(name, _ANY) for name in names) if names else (_ANY,) * width

    def _of_list(self, member: Any, told: Sequence[Pattern]) -> Iterator[_Space]:
        """One constructor for each length that a pattern tells apart, the last for all longer ones."""
        sequences = [pattern.items for pattern in told if isinstance(pattern, SequencePattern)]
        longest = max((len(items) - 1 if _has_star(items) else len(items) + 1 for items in sequences), default=0)
        for length in range(longest + 1):
            yield self._of_length(member, length, more=length == longest)

    def _of_length(self, member: Any, length: int, *, more: bool) -> _Space:
        def rows(pattern: Pattern) -> Iterator[Row]:
            match pattern:
                case SequencePattern(items) if _has_star(items) or not more:
                    yield from _aligned(items, length)
                case ClassPattern(whole=None, names=()) if self._covers(pattern, member):
                    yield (_ANY,) * length
                case ClassPattern(whole=whole, names=()) if whole is not None and self._covers(pattern, member):
                    for alternative in alternatives(whole):
                        yield from ([(_ANY,) * length] if alternative == _ANY else rows(alternative))
                case _:
                    pass

        tail = ["*_"] if more else []
        return _Space((element(member),) * length, rows, lambda parts: f"[{', '.join([*parts, *tail])}]")


def _is_any(pattern: Pattern) -> bool:
    return all(alternative == _ANY for alternative in alternatives(pattern))


def alternatives(pattern: Pattern) -> Iterator[Pattern]:
    """The patterns that a pattern stands for, without the names."""
    match pattern:
        case CapturePattern(inner):
            yield from [_ANY] if inner is None else alternatives(inner)
        case EitherPattern(options):
            for option in options:
                yield from alternatives(option)
        case _:
            yield pattern


def listed(tp: Any) -> tuple[Any, ...] | None:
    """All values of a type that has few; None for one that has not."""
    if tp is NONE:
        return (None,)
    if tp is bool:
        return (True, False)
    if get_origin(tp) is typing.Literal:
        return get_args(tp)
    return tuple(tp) if _is_listed(tp) else None


def _is_listed(tp: Any) -> bool:
    return is_enum(tp) and not issubclass(tp, Flag)


def shown(value: object) -> str:
    """A value as a pattern writes it."""
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


def _shown_class(member: Any, names: Sequence[str], parts: Sequence[str]) -> str:
    told = [f"{name}={part}" for name, part in zip(names, parts, strict=True) if part != "_"]
    return f"{show(member)}({', '.join(told)})" if told else show(member)


# --- parts of a value


def _items(tp: Any) -> list[Any] | None:
    """The items of a value whose length its type says."""
    if is_namedtuple(tp):
        return [*(fields(tp) or {}).values()]
    args = get_args(tp)
    return [*args] if get_origin(tp) is tuple and Ellipsis not in args else None


def _part_names(tp: Any, told: Sequence[Pattern]) -> dict[str, None]:
    """The fields by which patterns tell the values of a class apart; all of them for a named tuple."""
    if is_namedtuple(tp):
        return dict.fromkeys(fields(tp) or {})
    required: Mapping[str, Any] = dict.fromkeys(getattr(tp, "__required_keys__", ())) if typing.is_typeddict(tp) else {}
    cls, found = class_of(tp), dict[str, None]()
    for pattern in told:
        match pattern:
            case ClassPattern(names=names) if cls is not None:
                found.update(dict.fromkeys(names))
            case MappingPattern():
                found.update(dict.fromkeys(name for name in _texts(pattern) if name in required))
            case _:
                pass
    return found


def _is_list(tp: Any) -> bool:
    cls = class_of(tp)
    return cls is not None and (issubclass(cls, list) or (issubclass(cls, tuple) and _items(tp) is None))


def _has_star(items: Sequence[Pattern]) -> bool:
    return any(isinstance(item, StarPattern) for item in items)


def _aligned(items: Sequence[Pattern], length: int) -> Iterator[Row]:
    """The patterns for the items of a sequence of a length, where it fits."""
    at = next((index for index, item in enumerate(items) if isinstance(item, StarPattern)), None)
    if at is None:
        if len(items) == length:
            yield tuple(items)
    elif length >= len(items) - 1:
        after = len(items) - at - 1
        yield (*items[:at], *[_ANY] * (length - at - after), *items[len(items) - after :])


def _texts(pattern: MappingPattern) -> list[str]:
    return [str(key.value) if isinstance(key, Const) and isinstance(key.value, str) else "" for key in pattern.keys]


def _keys(pattern: MappingPattern) -> set[str]:
    return {*_texts(pattern)}
