"""The ways out of a `match`."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler import patterns as p
from flowgraph_compiler.explore.reading import Reader, same
from flowgraph_compiler.explore.values import NO_FACTS, Facts, Value, known


def cases(end: m.Choose, facts: Facts, reader: Reader) -> Iterator[tuple[m.Way | None, Facts]]:
    """The ways that may be taken, in order, each with what is known then; None for the way past all of them."""
    value, facts = reader.value(end.subject, facts), reader.after(end.subject, facts)
    for way in end.ways:
        fits = fitting(way.pattern, value, reader)
        if fits is False:
            continue
        bound = facts
        for name in p.captures(way.pattern):
            bound = reader.without(bound, name)
        holds = True if way.guard is None else reader.truth(way.guard, bound)
        if holds is not False:
            inside = bound if way.guard is None else reader.assuming(way.guard, True, bound)
            yield way, _noting(end.subject, way.pattern, inside, reader)
        if fits and holds:
            return
        facts = bound
    if end.orelse is not None:
        yield None, facts


def fitting(pattern: p.Pattern, value: Value, reader: Reader) -> bool | None:
    """Whether a pattern takes a value; None: it may."""
    match pattern:
        case p.CapturePattern(pattern=part):
            return True if part is None else fitting(part, value, reader)
        case p.EitherPattern(options):
            found = [fitting(option, value, reader) for option in options]
            return True if True in found else None if None in found else False
        case p.ValuePattern(expr):
            return same(value, reader.value(expr, NO_FACTS))
        case p.SingletonPattern(scalar):
            return same(value, known(scalar))
        case _:
            return None


def _noting(subject: e.Expr, pattern: p.Pattern, facts: Facts, reader: Reader) -> Facts:
    """What the way tells of the subject."""
    match pattern:
        case p.CapturePattern(pattern=part) if part is not None:
            return _noting(subject, part, facts, reader)
        case p.ValuePattern(expr):
            return reader.assuming(e.Compare(subject, ("==",), (expr,)), True, facts)
        case p.SingletonPattern(scalar):
            return reader.assuming(e.Compare(subject, ("is",), (e.Const(scalar),)), True, facts)
        case _:
            return facts
