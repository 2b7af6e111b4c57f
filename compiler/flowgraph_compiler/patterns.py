"""Patterns of `match`, a closed vocabulary like that of `expressions`.

    case Order(lines=[first, *_], total=Color.RED | None as kind):

is a `ClassPattern` over a `SequencePattern` and a `CapturePattern` of an `EitherPattern`. Positional parts of a class pattern
have become named ones: which fields they mean is fixed when the machine is made. A pattern binds its names when all of it has
matched, before the guard is evaluated, as CPython does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from flowgraph_compiler.expressions import Expr
from flowgraph_compiler.spans import NOWHERE, Span


def _span() -> Span:
    return field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ValuePattern:
    """What equals a value: a literal, or one that has a dotted name."""

    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SingletonPattern:
    """`None`, `True` or `False`, by identity."""

    value: bool | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SequencePattern:
    """`[a, *rest, b]`: at most one item is a `StarPattern`."""

    items: tuple[Pattern, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class StarPattern:
    """`*name` inside a sequence pattern; without a name, `*_`."""

    name: str | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class MappingPattern:
    """`{key: value, **rest}`: other keys may be there, too."""

    keys: tuple[Expr, ...]
    values: tuple[Pattern, ...]
    rest: str | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class ClassPattern:
    """`cls(whole)` and `cls(name=value, ...)`; `whole` is matched against the value itself (`int(n)`)."""

    cls: str
    whole: Pattern | None
    names: tuple[str, ...]
    values: tuple[Pattern, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class CapturePattern:
    """`pattern as name`; without a pattern, anything; without a name as well, `_`."""

    pattern: Pattern | None
    name: str | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class EitherPattern:
    """`a | b`: the first that matches; all bind the same names."""

    options: tuple[Pattern, ...]
    span: Span = _span()


Pattern: TypeAlias = (
    ValuePattern
    | SingletonPattern
    | SequencePattern
    | StarPattern
    | MappingPattern
    | ClassPattern
    | CapturePattern
    | EitherPattern
)


def inner(pattern: Pattern) -> tuple[Pattern, ...]:
    """The patterns directly inside a pattern."""
    match pattern:
        case SequencePattern(items) | EitherPattern(items):
            return items
        case MappingPattern(values=values):
            return values
        case ClassPattern(whole=whole, values=values):
            return values if whole is None else (whole, *values)
        case CapturePattern(pattern=part) if part is not None:
            return (part,)
        case _:
            return ()


def captures(pattern: Pattern) -> Iterator[str]:
    """The names that a pattern binds, those of alternatives as often as they stand there."""
    match pattern:
        case StarPattern(name) | CapturePattern(name=name) | MappingPattern(rest=name) if name is not None:
            yield name
        case _:
            pass
    for part in inner(pattern):
        yield from captures(part)


def is_irrefutable(pattern: Pattern) -> bool:
    """Whether a pattern matches everything, whatever is matched."""
    match pattern:
        case CapturePattern(pattern=part):
            return part is None or is_irrefutable(part)
        case EitherPattern(options):
            return any(is_irrefutable(option) for option in options)
        case _:
            return False
