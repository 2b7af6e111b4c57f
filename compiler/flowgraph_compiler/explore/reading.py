"""Evaluates expressions over facts, and adds to the facts what a condition has told."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import Any

from flowgraph_compiler import expressions as e
from flowgraph_compiler.explore.values import (
    FALSY,
    NONE,
    PRESENT,
    TRUTHY,
    UNKNOWN,
    Error,
    Facts,
    Known,
    Partly,
    Record,
    Value,
    known,
    matches,
    truth_of,
)
from flowgraph_compiler.subexpressions import inside, reads, walruses
from flowgraph_compiler.vocabulary import MUTATING_METHODS

MUTATING = frozenset(name for names in MUTATING_METHODS.values() for name in names)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_EQUAL = {"==": True, "is": True, "!=": False, "is not": False}
_UNSTABLE = e.Recorded | e.Assigned | e.PureCall | e.Cursor
Classes = Mapping[str, tuple[str, ...]]
"""Names of exception classes to the names of themselves and their bases."""


class Reader:
    """Evaluates the expressions of one machine."""

    def __init__(self, constants: Mapping[str, str], errors: Classes) -> None:
        self._constants = {name: known(_scalar(text)) for name, text in constants.items()}
        self._errors = errors
        self._numbers: dict[e.Expr, int] = {}
        self._mentioned: list[frozenset[str]] = []
        self._keys: dict[int, tuple[e.Expr, str | int | None]] = {}

    # --- keys of facts

    def key(self, expr: e.Expr) -> str | int | None:
        """What facts about an expression are kept under; None for one that may have another value next time."""
        if isinstance(expr, e.Local):
            return expr.name
        found = self._keys.get(id(expr))
        if found is None or found[0] is not expr:
            found = self._keys[id(expr)] = (expr, self._number(expr) if is_stable(expr) else None)
        return found[1]

    def _number(self, expr: e.Expr) -> int:
        if expr not in self._numbers:
            self._numbers[expr] = len(self._mentioned)
            self._mentioned.append(frozenset(local.name for local in reads(expr)))
        return self._numbers[expr]

    def mentions(self, key: str | int) -> frozenset[str]:
        """The variables that a fact is about."""
        return frozenset((key,)) if isinstance(key, str) else self._mentioned[key]

    def without(self, facts: Facts, name: str) -> Facts:
        """The facts that stay true when a variable gets another value."""
        return facts.only(lambda key, _: key != name and (isinstance(key, str) or name not in self._mentioned[key]))

    def mutated(self, facts: Facts) -> Facts:
        """The facts that stay true when some container or model was changed."""
        return facts.only(lambda key, value: isinstance(key, str) and not (isinstance(value, Partly) and value != PRESENT))

    def kept(self, facts: Facts, live: frozenset[str]) -> Facts:
        """The facts about variables that are read again."""
        return facts.only(lambda key, _: self.mentions(key) <= live)

    # --- values

    def value(self, expr: e.Expr, facts: Facts) -> Value:
        """What an expression comes to."""
        found = self._computed(expr, facts)
        if found is not None:
            return found
        key = self.key(expr)
        return UNKNOWN if key is None else facts.get(key)

    def truth(self, expr: e.Expr, facts: Facts) -> bool | None:
        """Whether a condition holds; None: either."""
        return truth_of(self.value(expr, facts))

    def _computed(self, expr: e.Expr, facts: Facts) -> Value:
        match expr:
            case e.Const(value):
                return known(value)
            case e.Captured(name):
                return self._constants.get(name)
            case e.Attribute(e.ClassRef(cls), name):
                return Known("enum", f"{cls}.{name}")
            case e.New(cls):
                return Error(self._errors[cls]) if cls in self._errors else PRESENT
            case e.TupleOf(items) if not any(isinstance(item, e.Starred) for item in items):
                return Record(tuple(self.value(item, facts) for item in items))
            case e.ListOf(items) | e.SetOf(items) | e.DictOf(values=items):
                return _display(items)
            case e.Joined():
                return PRESENT
            case e.Matches(variable, names):
                return known_truth(matches(facts.get(variable), names))
            case _:
                return self._operation(expr, facts)

    def _operation(self, expr: e.Expr, facts: Facts) -> Value:
        match expr:
            case e.Unary("not", operand):
                found = self.truth(operand, facts)
                return known_truth(None if found is None else not found)
            case e.Unary("-", operand):
                return _negated(self.value(operand, facts))
            case e.Logical(op, operands):
                return self._logical(op == "and", operands, facts)
            case e.Conditional(test, body, orelse):
                found = self.truth(test, facts)
                return UNKNOWN if found is None else self.value(body if found else orelse, facts)
            case e.Binary(op, left, right) if op in _ARITHMETIC:
                return _arithmetic(_ARITHMETIC[op], self.value(left, facts), self.value(right, facts))
            case e.Compare(left, (op,), (right,)):
                return known_truth(self._comparison(op, left, right, facts))
            case e.Assigned(_, value):
                return self.value(value, facts)
            case _:
                return UNKNOWN

    def _logical(self, conjunction: bool, operands: tuple[e.Expr, ...], facts: Facts) -> Value:
        for number, operand in enumerate(operands):
            found = self.truth(operand, facts)
            if found is None:
                others = [self.truth(other, facts) for other in operands[number + 1 :]]
                return (FALSY if conjunction else TRUTHY) if (not conjunction) in others else UNKNOWN
            if found is not conjunction or operand is operands[-1]:
                return self.value(operand, facts)
        return UNKNOWN

    def _comparison(self, op: str, left: e.Expr, right: e.Expr, facts: Facts) -> bool | None:
        if op in ("in", "not in"):
            found = self._is_in(left, right, facts)
            return None if found is None else found is (op == "in")
        one, other = self.value(left, facts), self.value(right, facts)
        if op in _EQUAL:
            found = same(one, other)
            return None if found is None else found is _EQUAL[op]
        if op in _ORDER and isinstance(one, Known) and isinstance(other, Known) and one.kind == other.kind in ("int", "str"):
            return _ORDER[op](one.value, other.value)
        return None

    def _is_in(self, left: e.Expr, right: e.Expr, facts: Facts) -> bool | None:
        if not isinstance(right, e.TupleOf | e.ListOf | e.SetOf):
            return None
        one = self.value(left, facts)
        found = [same(one, self.value(item, facts)) for item in right.items]
        return True if True in found else None if None in found else False

    # --- what a condition tells

    def assuming(self, expr: e.Expr, holds: bool, facts: Facts) -> Facts:
        """The facts when a condition was true, or was false."""
        match expr:
            case e.Unary("not", operand):
                return self.assuming(operand, not holds, facts)
            case e.Logical(op, operands) if (op == "and") is holds:
                for operand in operands:
                    facts = self.assuming(operand, holds, facts)
                return facts
            case e.Matches(variable, names):
                return _matched(variable, names, holds, facts)
            case e.Compare(left, (op,), (right,)) if op in _EQUAL:
                return self._assuming_equal(expr, left, right, holds is _EQUAL[op], holds, facts)
            case _:
                return self._noted(expr, TRUTHY if holds else FALSY, facts)

    def _assuming_equal(self, expr: e.Expr, left: e.Expr, right: e.Expr, equal: bool, holds: bool, facts: Facts) -> Facts:
        for one, other in ((left, right), (right, left)):
            value = self.value(other, facts)
            if isinstance(value, Known) and equal:
                return self._noted(one, value, facts)
            if value == NONE:
                return self._noted(one, PRESENT, facts)
        return self._noted(expr, TRUTHY if holds else FALSY, facts)

    def _noted(self, expr: e.Expr, value: Value, facts: Facts) -> Facts:
        key = self.key(expr)
        before = UNKNOWN if key is None else facts.get(key)
        if key is None or isinstance(before, Known | Error | Record):
            return facts
        return facts.with_(key, value)

    # --- effects

    def after(self, expr: e.Expr, facts: Facts) -> Facts:
        """The facts after an expression was evaluated: it may bind variables and change containers."""
        if isinstance(expr, e.Const | e.Local):
            return facts
        if any(isinstance(part, e.Method) and part.name in MUTATING for part in inside(expr)):
            facts = self.mutated(facts)
        for name in walruses(expr):
            facts = self.without(facts, name)
        return facts


def is_stable(expr: e.Expr) -> bool:
    """Whether an expression has the same value each time, as long as nothing that it reads has changed."""
    return not any(isinstance(part, _UNSTABLE) or (isinstance(part, e.Method) and part.name in MUTATING) for part in inside(expr))


def known_truth(found: bool | None) -> Value:
    """A truth as a value."""
    return UNKNOWN if found is None else Known("bool", found)


def _scalar(text: str) -> object:
    value: object = json.loads(text)
    return value if value is None or isinstance(value, bool | int | float | str) else ...


def _display(items: tuple[e.Expr, ...]) -> Value:
    if not items:
        return FALSY
    return PRESENT if all(isinstance(item, e.Starred) for item in items) else TRUTHY


def _negated(value: Value) -> Value:
    return known(-value.value) if isinstance(value, Known) and isinstance(value.value, int | float) else UNKNOWN


def _arithmetic(op: Callable[[Any, Any], Any], one: Value, other: Value) -> Value:
    if isinstance(one, Known) and isinstance(other, Known) and one.kind == other.kind == "int":
        return known(op(one.value, other.value))
    return UNKNOWN


def same(one: Value, other: Value) -> bool | None:
    """Whether two values are equal; None: they may be."""
    if isinstance(one, Known) and isinstance(other, Known):
        if (one.kind == "enum") is not (other.kind == "enum"):
            return False if NONE in (one, other) else None  # a member of a str or int enum equals its value
        if one.kind == "enum" and str(one.value).partition(".")[0] != str(other.value).partition(".")[0]:
            return None
        return one.value == other.value
    if NONE in (one, other):
        return _is_none(other if one == NONE else one)
    return None


def _is_none(value: Value) -> bool | None:
    if isinstance(value, Error | Record) or value in (PRESENT, TRUTHY):
        return False
    return None


def _matched(variable: str, names: tuple[str, ...], holds: bool, facts: Facts) -> Facts:
    error = facts.get(variable)
    if not isinstance(error, Error) or error.names is not None:
        return facts
    if not holds:
        return facts.with_(variable, Error(None, error.yes, error.no | set(names)))
    return facts.with_(variable, Error(None, error.yes | set(names), error.no)) if len(names) == 1 else facts
