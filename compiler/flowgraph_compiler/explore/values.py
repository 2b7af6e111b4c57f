"""What exploration knows of a value, and of a frame's variables at one moment.

    approved = False                 ->  facts {approved: False}
    if order.vip: (taken)            ->  facts {approved: False, order.vip: TRUTHY}
    except CardDeclined as error:    ->  facts {error: an error of which 'CardDeclined' is known to match}

Whatever is not known is UNKNOWN: a condition on it goes both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Known:
    """A scalar or a member of an enum. `kind` is the type's name, so that `1` and `True` differ; `enum`: `Class.MEMBER`."""

    kind: str
    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Partly:
    """Something of which one property is known: `present` (not None), `true` or `false` (as a condition)."""

    what: str


@dataclass(frozen=True, slots=True)
class Error:
    """An exception. `names`: its class and the bases, None when that is open; then `yes` and `no` are names that handlers have
    matched and not matched."""

    names: tuple[str, ...] | None
    yes: frozenset[str] = frozenset()
    no: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """A tuple, as completion records are."""

    items: tuple[Value, ...]


Value: TypeAlias = Known | Partly | Error | Record | None
"""None is UNKNOWN."""

UNKNOWN = None
NONE = Known("NoneType", None)
PRESENT = Partly("present")
TRUTHY = Partly("true")
FALSY = Partly("false")
CANCELLED = Error(("Cancelled", "BaseException", "object"))
TIMED_OUT = Error(("StepTimeout", "TimeoutError", "OSError", "Exception", "BaseException", "object"))
LATE = Error(("TimeoutError", "OSError", "Exception", "BaseException", "object"))
"""What `async with timeout(...)` raises."""
FAILED = Error(None, frozenset({"Exception", "BaseException", "object"}))
"""What a step's function has raised: any exception that a step may fail with."""

LARGEST = 100
"""Whole numbers beyond it are forgotten, so that a counter does not make a state of each of its values."""


def known(value: object) -> Value:
    """The value of a literal; UNKNOWN for what is not tracked."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST:
        return UNKNOWN
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return Known(type(value).__name__, value)
    return UNKNOWN


def truth_of(value: Value) -> bool | None:
    """What a condition would make of it; None: either."""
    match value:
        case Known("enum"):
            return None
        case Known(_, scalar):
            return bool(scalar)
        case Partly(what):
            return None if what == "present" else what == "true"
        case Error():
            return True
        case Record(items):
            return bool(items)
        case None:
            return None


def matches(error: Value, names: Iterable[str]) -> bool | None:
    """Whether a handler of these names takes the exception; None: it may."""
    if not isinstance(error, Error):
        return None
    wanted = frozenset(names)
    if error.names is not None:
        return not wanted.isdisjoint(error.names)
    if not wanted.isdisjoint(error.yes):
        return True
    return False if wanted <= error.no else None


def record_of(value: Value) -> tuple[object, Value]:
    """The kind of a completion record and what it holds; None for a record that is not known."""
    if not isinstance(value, Record) or not value.items or not isinstance(value.items[0], Known):
        return None, UNKNOWN
    return value.items[0].value, value.items[1] if len(value.items) > 1 else UNKNOWN


class Facts:
    """What is known in one frame: values of variables (by name) and of expressions over them (by number). Never changed."""

    __slots__ = ("_hash", "known")

    def __init__(self, values: Mapping[str | int, Value]) -> None:
        self.known = values
        self._hash = hash(frozenset(values.items()))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and self._hash == other._hash and self.known == other.known

    def get(self, key: str | int) -> Value:
        """What is known of a variable or an expression."""
        return self.known.get(key)

    def with_(self, key: str | int, value: Value) -> Facts:
        """The same with one more fact, or without the one there was."""
        if value is None:
            return Facts({name: fact for name, fact in self.known.items() if name != key}) if key in self.known else self
        return Facts({**self.known, key: value})

    def only(self, keep: Callable[[str | int, Value], bool]) -> Facts:
        """The facts that pass."""
        kept = {key: value for key, value in self.known.items() if keep(key, value)}
        return self if len(kept) == len(self.known) else Facts(kept)

    def common(self, other: Facts) -> Facts:
        """What holds in both."""
        return self.only(lambda key, value: other.get(key) == value)


NO_FACTS = Facts({})
