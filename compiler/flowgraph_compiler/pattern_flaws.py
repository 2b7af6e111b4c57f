"""What Python would refuse in a pattern, said of patterns from outside: those that the compiler makes have no flaw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from flowgraph_compiler.expressions import Attribute, Captured, ClassRef, Const, Expr, NamedConstant, Unary
from flowgraph_compiler.patterns import (
    CapturePattern,
    ClassPattern,
    EitherPattern,
    MappingPattern,
    Pattern,
    SequencePattern,
    StarPattern,
    ValuePattern,
    captures,
    inner,
    is_irrefutable,
)


def pattern_flaws(pattern: Pattern) -> Iterator[str]:
    """What is wrong with the pattern of a `case`."""
    if isinstance(pattern, StarPattern):
        yield "a '*' stands outside a sequence pattern"
    yield from _flaws(pattern)
    if any(count > 1 for count in Counter(_bound(pattern)).values()):
        yield "a pattern binds a name twice"


def _bound(pattern: Pattern) -> Iterator[str]:
    """The names that a pattern binds, those of alternatives once."""
    if isinstance(pattern, EitherPattern):
        yield from set(captures(pattern))
        return
    match pattern:
        case StarPattern(name) | CapturePattern(name=name) | MappingPattern(rest=name) if name is not None:
            yield name
        case _:
            pass
    for part in inner(pattern):
        yield from _bound(part)


def _flaws(pattern: Pattern) -> Iterator[str]:
    match pattern:
        case ValuePattern(value):
            yield from _value(value)
        case SequencePattern(items):
            if sum(isinstance(item, StarPattern) for item in items) > 1:
                yield "a sequence pattern has two '*'"
        case MappingPattern(keys, values):
            yield from _mapping(keys, values)
        case ClassPattern(names=names, values=values):
            if len(names) != len(values) or len(set(names)) < len(names):
                yield f"the fields {[*names]} of a class pattern are no names with one pattern each"
        case CapturePattern(part, name) if part is not None and name is None:
            yield "an 'as' has no name"
        case EitherPattern(options):
            yield from _either(options)
        case _:
            pass
    for part in inner(pattern):
        if isinstance(part, StarPattern) and not isinstance(pattern, SequencePattern):
            yield "a '*' stands outside a sequence pattern"
        yield from _flaws(part)


def _value(value: Expr) -> Iterator[str]:
    number = isinstance(value, Unary) and value.op == "-" and isinstance(value.operand, Const)
    if not number and not isinstance(value, Const | Attribute | Captured | ClassRef | NamedConstant):
        yield f"'{type(value).__name__}' is no value of a pattern"


def _mapping(keys: Sequence[Expr], values: Sequence[Pattern]) -> Iterator[str]:
    constants = [key.value for key in keys if isinstance(key, Const)]
    if len(keys) != len(values) or len(set(constants)) < len(constants):
        yield "the keys of a mapping pattern are not distinct, with one pattern each"
    for key in keys:
        yield from _value(key)


def _either(options: Sequence[Pattern]) -> Iterator[str]:
    if len(options) < 2:
        yield "'|' has fewer than two alternatives"
    if len({frozenset(captures(option)) for option in options}) > 1:
        yield "the alternatives of a pattern bind different names"
    if any(is_irrefutable(option) for option in options[:-1]):
        yield "an alternative that takes everything is not the last"
