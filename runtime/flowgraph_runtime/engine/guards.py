"""What generated code calls where Python's own operation has no bound, or could reach more than the vocabulary allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from string import Formatter
from typing import Any, cast

from msgspec import Struct
from pydantic import BaseModel

from flowgraph import Event
from flowgraph.errors import error_names
from flowgraph_compiler.vocabulary import MAX_POWER_BITS, MODEL_METHODS, MUTATING_METHODS, PURE_METHODS
from flowgraph_runtime.engine.errors import Exhausted

_LAZY = frozenset({enumerate, filter, map, reversed, zip})
_PLAIN_NUMBERS = frozenset({float, complex})
_MAX_FACTORIAL = 20_000
_FORMATTER = Formatter()


class Budget(Struct, eq=False):
    """Counts the operations of one transition down."""

    left: int

    def tick(self) -> bool:
        """Count one operation; always true. Raises `Exhausted` when none is left."""
        self.left -= 1
        if self.left < 0:
            raise Exhausted("the code between two suspensions ran longer than its operation budget: put the loop into a step")
        return True

    def charge(self, count: int) -> None:
        """Count many operations at once."""
        self.left -= count
        if self.left < 0:
            self.tick()


# --- sizes


def _too_large(what: str) -> Exhausted:
    return Exhausted(f"{what} would have more than {MAX_POWER_BITS:,} bits or items: compute it in a step")


def check_product(left: Any, right: Any) -> Any:
    """Return `right` when `left * right` has a bounded size."""
    if type(left) in _PLAIN_NUMBERS or type(right) in _PLAIN_NUMBERS:
        return right
    if isinstance(left, int):
        if isinstance(right, int):
            size = left.bit_length() + right.bit_length()
        else:
            size = left * len(right) if hasattr(right, "__len__") else 0
    else:
        size = right * len(left) if isinstance(right, int) and hasattr(left, "__len__") else 0
    if size > MAX_POWER_BITS:
        raise _too_large("a product or repetition")
    return right


def check_power(left: Any, right: Any) -> Any:
    """Return `right` when `left ** right` has a bounded size."""
    if isinstance(left, int) and isinstance(right, int) and right > 0 and left.bit_length() * right > MAX_POWER_BITS:
        raise _too_large("a power")
    return right


def check_shift(left: Any, right: Any) -> Any:
    """Return `right` when `left << right` has a bounded size."""
    if isinstance(left, int) and isinstance(right, int) and left and right > MAX_POWER_BITS:
        raise _too_large("a shift")
    return right


def multiply(left: Any, right: Any) -> Any:
    """`left * right`, capped."""
    return left * check_product(left, right)


def power(left: Any, right: Any) -> Any:
    """`left ** right`, capped."""
    return left ** check_power(left, right)


def shift_left(left: Any, right: Any) -> Any:
    """`left << right`, capped."""
    return left << check_shift(left, right)


def capped_pow(base: Any, exp: Any, mod: Any = None) -> Any:
    """`pow`, capped."""
    if mod is None:
        return power(base, exp)
    return cast("Any", pow(base, exp, mod))


def width(value: Any) -> Any:
    """Return a width argument (`ljust`, `zfill`, ...) when it is bounded."""
    if isinstance(value, int) and value > MAX_POWER_BITS:
        raise _too_large("a text")
    return value


def byte_source(value: Any) -> Any:
    """Return the argument of `bytes(...)` when the result is bounded."""
    return width(value)


def each(guard: Callable[[Any], Any], values: Any) -> list[Any]:
    """Return spread arguments, each passed by the guard of the first: a limit that is too tight there hurts nobody."""
    return [guard(value) for value in values]


def capped_factorial(n: Any, /) -> Any:
    """`math.factorial`, capped."""
    if isinstance(n, int) and n > _MAX_FACTORIAL:
        raise _too_large("a factorial")
    return math.factorial(n)


def capped_comb(n: Any, k: Any, /) -> Any:
    """`math.comb`, capped."""
    if isinstance(k, int) and k > _MAX_FACTORIAL:
        raise _too_large("a number of combinations")
    return math.comb(n, k)


def capped_perm(n: Any, k: Any = None, /) -> Any:
    """`math.perm`, capped."""
    if isinstance(k if k is not None else n, int) and (k if k is not None else n) > _MAX_FACTORIAL:
        raise _too_large("a number of permutations")
    return math.perm(n, k)


def consume(budget: Budget, value: Any) -> Any:
    """Return the iterable for a call that runs through all of it, with its operations counted."""
    kind = type(cast("object", value))
    if kind is range:
        budget.charge(max(0, (value.stop - value.start) // value.step))
    elif kind in _LAZY:
        return _counted(budget, value)
    return value


def _counted(budget: Budget, items: Any) -> Iterator[Any]:
    for item in items:
        budget.tick()
        yield item


# --- reach


def own_attributes(value: Any) -> Any:
    """Return an object whose attribute is about to be assigned. Raises TypeError for a class: code does not change classes."""
    if isinstance(value, type):
        raise TypeError(f"cannot set attributes of class '{value.__name__}'")
    return value


_LISTED: set[tuple[type, str]] = set()
_TABLES = (PURE_METHODS, MUTATING_METHODS)


def method(receiver: Any, name: str) -> Any:
    """Return the receiver's listed method. Raises AttributeError, as Python does, when its type has none of that name."""
    kind = type(cast("object", receiver))
    if (kind, name) not in _LISTED:
        if not _is_listed(kind, name):
            raise AttributeError(f"'{kind.__name__}' object has no attribute '{name}'")
        _LISTED.add((kind, name))
    if name in ("format", "format_map") and kind is str:
        _check_fields(receiver)
    return getattr(receiver, name)


def _is_listed(kind: type, name: str) -> bool:
    owner = next((cls for cls in kind.__mro__ if name in vars(cls)), object)
    if owner is BaseModel or owner is Event:
        return name in MODEL_METHODS
    if owner is BaseException:
        return name == "add_note"
    return any(name in table.get(owner, ()) for table in _TABLES)


def _check_fields(template: str) -> None:
    for _, field, spec, _ in _FORMATTER.parse(template):
        if field and "._" in field:
            raise AttributeError(f"format field '{field}' names a private attribute")
        if spec:
            _check_fields(spec)


# --- exceptions


_NAMES: dict[type, frozenset[str]] = {}


def matches(error: BaseException, names: frozenset[str]) -> bool:
    """Whether a handler of these names takes the error: by the names in its MRO."""
    kind = type(error)
    if kind.__name__ == "ForeignError":
        return not names.isdisjoint(error_names(error))
    known = _NAMES.get(kind)
    if known is None:
        known = _NAMES[kind] = frozenset(error_names(error))
    return not names.isdisjoint(known)


GUARDED_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "math.comb": capped_comb,
    "math.factorial": capped_factorial,
    "math.perm": capped_perm,
    "pow": capped_pow,
}
"""Listed functions that are replaced by a capped form."""
