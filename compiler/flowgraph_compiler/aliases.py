"""Which variables may see that a value is changed in place: those whose values are that value, or hold it.

ys = xs         each holds the other: they may be the same value
row = rows[0]   `rows` holds `row`
both = [xs, 1]  `both` holds `xs`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler import statements as s
from flowgraph_compiler.patterns import captures
from flowgraph_compiler.subexpressions import bound_by, inside, reads
from flowgraph_compiler.traversal import is_tuple
from flowgraph_compiler.vocabulary import MUTATING_METHODS

_IN_PLACE = frozenset({"add_note"}).union(*MUTATING_METHODS.values())
_FRESH = frozenset("abs all any bool bytes chr float hash int isinstance len ord range repr round str".split())
"""Functions that give a new value, which holds nothing that can be changed."""
_KEEPING = frozenset({"+", "*", "|"})
"""Operators whose result may hold what their operands hold."""


def seen_through(changed: Iterable[tuple[str, bool]], holds: dict[str, set[str]]) -> set[str]:
    """The variables that may see changes in place: of values of variables, or (True) of something inside of these."""
    held_by: dict[str, set[str]] = {}
    for name, others in holds.items():
        for other in others:
            held_by.setdefault(other, set()).add(name)
    found = set[str]()
    for name, is_inner in changed:
        waiting, known = [name], {name}
        while waiting:
            each = waiting.pop()
            others = held_by.get(each, set[str]()) | (holds.get(each, set[str]()) if is_inner else set[str]())
            new = others - known
            known |= new
            waiting += new
        found |= known
    return found


def held(forms: Iterable[Any]) -> dict[str, set[str]]:
    """What each variable may hold, by the statements and the `("advance", cursor, target)` of a function, in any order."""
    holds: dict[str, set[str]] = {}
    for holder, name in (pair for form in forms for pair in _pairs(form)):
        holds.setdefault(holder, set()).add(name)
    return holds


def _pairs(form: Any) -> Iterator[tuple[str, str]]:
    """Each holder with what it may hold."""
    match form:
        case ("advance", cursor, target):
            yield from ((cursor, local.name) for local in bound_by(target))
        case ("choose", subject, ways):
            yield from ((one.name, name) for one in reads(subject) for pattern, _ in ways for name in captures(pattern))
        case ("test", test):
            yield from _pairs(s.Evaluate(test))
        case tuple():
            pass
        case _:
            for part in inside(form):
                yield from _pairs_of(part)


def _pairs_of(part: Any) -> Iterator[tuple[str, str]]:
    match part:
        case s.Assign(targets=targets, value=value):
            for target in targets:
                yield from _assigned(target, value)
        case s.Augment(target=target, value=value):
            yield from ((root, name) for root in _roots(target) for name in _kept(value))
        case e.Assigned(name=name, value=value):
            yield from _assigned(e.Local(name), value)
        case s.For(target=target, iterable=iterable):
            yield from ((name, local.name) for name in _kept(iterable) for local in bound_by(target))
        case s.Match(subject=subject, cases=cases):
            yield from ((one.name, name) for one in reads(subject) for case in cases for name in captures(case.pattern))
        case e.Method(value=value, name=name, arguments=arguments) if name in _IN_PLACE:
            yield from ((root, kept) for root in _roots(value) for argument in arguments for kept in _kept(argument))
        case _:
            pass


def _assigned(target: Any, value: Any) -> Iterator[tuple[str, str]]:
    names = [local.name for local in bound_by(target)] or list(_roots(target))
    match value:
        case e.ListOf() | e.TupleOf() | e.SetOf() | e.DictOf() | e.New() if isinstance(target, e.Local):
            yield from ((name, kept) for name in names for kept in _kept(value))
        case e.Attribute() | e.Subscript():
            yield from ((root, name) for root in _roots(value) for name in names)
        case _:
            for name in names:
                for kept in _kept(value):
                    yield from ((name, kept), (kept, name))


def _kept(expr: Any) -> list[str]:
    """The variables of which an expression's value may be, hold or be held by the value."""
    match expr:
        case e.Compare() | e.Unary() | e.Joined() | e.Formatted() | e.Const() | e.Lambda():
            return []
        case e.Binary(op=op) if op not in _KEEPING:
            return []
        case e.Call(function=function) if function in _FRESH:
            return []
        case e.Cursor(kind="range"):
            return []
        case e.Conditional(body=body, orelse=orelse):
            return [*_kept(body), *_kept(orelse)]
        case e.Attribute() | e.Subscript():
            return list(_roots(expr))
        case _:
            return [local.name for local in reads(expr)]


# --- changes in place


def changed_in_place(form: Any) -> Iterator[tuple[str, bool]]:
    """The variables whose values a statement or terminator changes in place; True: something inside of the value."""
    match form:
        case ("advance", _, target):
            yield from _stored(target)
        case _ if is_tuple(form):
            for item in form:
                yield from changed_in_place(item)
        case _ if hasattr(form, "__dataclass_fields__"):
            for part in inside(form):
                yield from _changed_by(part)
        case _:
            pass


def _changed_by(part: Any) -> Iterator[tuple[str, bool]]:
    match part:
        case s.Assign(targets=targets):
            for target in targets:
                yield from _stored(target)
        case s.For(target=target):
            yield from _stored(target)
        case s.Augment(target=e.Local(name=name)):
            yield name, False
        case s.Augment(target=target):
            yield from ((root, True) for root in _roots(target))
        case e.Method(value=value, name=name) if name in _IN_PLACE:
            yield from ((root, not isinstance(value, e.Local)) for root in _roots(value))
        case _:
            pass


def _stored(target: Any) -> Iterator[tuple[str, bool]]:
    match target:
        case e.TupleOf(items) | e.ListOf(items):
            for item in items:
                yield from _stored(item)
        case e.Starred(value):
            yield from _stored(value)
        case e.Attribute(value=value) | e.Subscript(value=value):
            yield from ((root, not isinstance(value, e.Local)) for root in _roots(value))
        case _:
            pass


def _roots(expr: Any) -> Iterator[str]:
    """The variables that a path of attributes and indices begins with."""
    while isinstance(expr, e.Attribute | e.Subscript):
        expr = expr.value
    yield from (local.name for local in reads(expr))
