"""Result types of the listed functions, methods and attributes of builtin and standard library values.

A small table, not typeshed: what is not here is unknown, and the inference stays silent about it.
"""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, get_args
from uuid import UUID

from typing_extensions import is_typeddict

from flowgraph_compiler.types import (
    UNKNOWN,
    class_of,
    element,
    fields,
    generic,
    is_namedtuple,
    joined_items,
    mapping_of,
    members,
    union,
)

Given = Sequence[Any]
"""The types of a call's positional arguments."""

_BOOL_STR = "isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper"
_STR_STR = """capitalize casefold center expandtabs format format_map join ljust lower lstrip removeprefix removesuffix
replace rjust rstrip strip swapcase title translate upper zfill"""

_METHODS: dict[type, list[tuple[str, Any]]] = {
    str: [
        (_BOOL_STR + " startswith endswith", bool),
        (_STR_STR, str),
        ("count find index rfind rindex", int),
        ("split rsplit splitlines", list[str]),
        ("partition rpartition", tuple[str, str, str]),
        ("encode", bytes),
    ],
    bytes: [
        ("decode hex", str),
        ("count find index rfind", int),
        ("startswith endswith", bool),
        ("join replace strip", bytes),
        ("split", list[bytes]),
    ],
    int: [("bit_count bit_length", int), ("to_bytes", bytes), ("is_integer", bool), ("as_integer_ratio", tuple[int, int])],
    float: [("as_integer_ratio", tuple[int, int]), ("hex", str), ("is_integer", bool)],
    Decimal: [("is_finite is_nan is_zero", bool), ("normalize quantize to_integral_value compare copy_abs", Decimal)],
    list: [("count index", int), ("append clear extend insert remove reverse sort", None)],
    tuple: [("count index", int)],
    range: [("count index", int)],
    dict: [("clear update", None)],
    set: [
        ("isdisjoint issubset issuperset", bool),
        ("add clear difference_update discard intersection_update remove symmetric_difference_update update", None),
    ],
    frozenset: [("isdisjoint issubset issuperset", bool)],
    datetime: [
        ("astimezone replace", datetime),
        ("date", date),
        ("time timetz", time),
        ("timestamp", float),
        ("ctime isoformat strftime", str),
        ("isoweekday toordinal weekday", int),
        ("dst utcoffset", timedelta | None),
        ("tzname", str | None),
    ],
    date: [("replace", date), ("ctime isoformat strftime", str), ("isoweekday toordinal weekday", int)],
    time: [("isoformat strftime", str), ("replace", time)],
    timedelta: [("total_seconds", float)],
    re.Match: [("start end", int), ("span", tuple[int, int]), ("expand", str)],
    BaseException: [("add_note", None)],
}
METHODS: dict[type, dict[str, Any]] = {
    cls: {name: result for names, result in rows for name in names.split()} for cls, rows in _METHODS.items()
}
"""Results that depend on the class of the receiver only."""


def _all(names: str, tp: Any) -> dict[str, Any]:
    return dict.fromkeys(names.split(), tp)


_CLOCK = "hour minute second microsecond fold"
ATTRIBUTES: dict[type, dict[str, Any]] = {
    datetime: _all("year month day " + _CLOCK, int) | {"tzinfo": tzinfo | None},
    date: _all("year month day", int),
    time: _all(_CLOCK, int) | {"tzinfo": tzinfo | None},
    timedelta: _all("days seconds microseconds", int),
    UUID: {"hex": str, "int": int, "bytes": bytes, "version": int | None, "urn": str},
    range: _all("start stop step", int),
    int: _all("real imag numerator denominator", int),
    float: _all("real imag", float),
    BaseException: {"args": tuple[Any, ...], "__cause__": BaseException | None},
}
"""Attributes of values that are not the user's own classes."""

CLASS_METHODS: dict[type, dict[str, Any]] = {
    datetime: _all("combine fromisoformat fromtimestamp strptime", datetime),
    date: _all("fromisoformat fromordinal", date),
    time: {"fromisoformat": time},
    int: {"from_bytes": int},
    bytes: {"fromhex": bytes},
    str: {"maketrans": dict[int, Any]},
    timezone: {"utc": timezone},
}
"""Results of listed class methods."""


def class_method_result(cls: type, name: str, given: Given) -> Any:
    """The result of a method called on a class."""
    if cls is dict and name == "fromkeys" and given:
        return generic(dict, element(given[0]), given[1] if len(given) > 1 else Any | None)
    return lookup(CLASS_METHODS, cls, name)


def method_result(receiver: Any, name: str, given: Given) -> Any:
    """The result of a method on a receiver of one (non-union) type."""
    cls = class_of(receiver)
    if cls is None:
        return UNKNOWN
    special = _CONTAINER_METHODS.get((cls, name))
    if special is not None:
        return special(receiver, given)
    if name in ("copy", "model_copy") or (cls in (set, frozenset) and name in _SET_RESULTS):
        return receiver
    if name in ("model_dump", "model_dump_json"):
        return dict[str, Any] if name == "model_dump" else str
    return lookup(METHODS, cls, name)


def lookup(table: dict[type, dict[str, Any]], cls: type, name: str) -> Any:
    """The entry of the nearest class in the MRO, or unknown."""
    for ancestor in cls.__mro__:
        if name in table.get(ancestor, {}):
            return table[ancestor][name]
    return UNKNOWN


_SET_RESULTS = frozenset(["difference", "intersection", "symmetric_difference", "union"])


def _item(receiver: Any, given: Given) -> Any:  # noqa: ARG001  (one shape for all special methods)
    return element(receiver)


def _get(receiver: Any, given: Given) -> Any:
    pair = mapping_of(receiver)
    if pair is None:
        return UNKNOWN
    return union([pair[1], given[1] if len(given) > 1 else None])


def _take(receiver: Any, given: Given) -> Any:
    pair = mapping_of(receiver)
    return UNKNOWN if pair is None else union([pair[1], *given[1:2]])


def _view(pick: Callable[[tuple[Any, Any]], Any]) -> Callable[[Any, Given], Any]:
    def result(receiver: Any, given: Given) -> Any:  # noqa: ARG001
        pair = mapping_of(receiver)
        return UNKNOWN if pair is None else generic(Iterable, pick(pair))

    return result


_CONTAINER_METHODS: dict[tuple[type, str], Callable[[Any, Given], Any]] = {
    (list, "pop"): _item,
    (set, "pop"): _item,
    (dict, "get"): _get,
    (dict, "pop"): _take,
    (dict, "setdefault"): _take,
    (dict, "items"): _view(lambda pair: generic(tuple, *pair)),
    (dict, "keys"): _view(lambda pair: pair[0]),
    (dict, "values"): _view(lambda pair: pair[1]),
    (dict, "popitem"): lambda receiver, _: generic(tuple, *(mapping_of(receiver) or (UNKNOWN, UNKNOWN))),
}


# --- functions


def function_result(name: str, given: Given, keywords: dict[str, Any]) -> Any:
    """The result of a listed function (`len`, `math.floor`) for arguments of these types."""
    if name in _FIXED:
        return _FIXED[name]
    if name.startswith("math.") and hasattr(math, name[5:]):
        return float
    computed = _COMPUTED.get(name)
    return UNKNOWN if computed is None or not given else computed(given, keywords)


_INT_RESULTS = "len ord math.ceil math.floor math.trunc math.comb math.perm math.factorial math.gcd math.lcm math.isqrt"
_FIXED: dict[str, Any] = (
    _all("all any isinstance issubclass math.isclose math.isfinite math.isinf math.isnan", bool)
    | _all("ascii bin chr format hex oct repr json.dumps re.escape re.sub", str)
    | _all(_INT_RESULTS, int)
    | _all("re.fullmatch re.match re.search", re.Match[str] | None)
    | _all("re.findall re.split", generic(list, UNKNOWN))
    | {"math.modf": tuple[float, float], "math.prod": UNKNOWN}
)


def _extreme(given: Given, keywords: dict[str, Any]) -> Any:
    items = [element(given[0])] if len(given) == 1 else list(given)
    return joined_items([*items, *([keywords["default"]] if "default" in keywords else [])])


def _sum(given: Given, keywords: dict[str, Any]) -> Any:
    start = given[1] if len(given) > 1 else keywords.get("start", typing.Literal[0])
    item = element(given[0])
    return int if item is bool and start == typing.Literal[0] else union([item, start])


def _round(given: Given, keywords: dict[str, Any]) -> Any:
    return given[0] if len(given) > 1 or "ndigits" in keywords else int


def _rows(given: Given, keywords: dict[str, Any]) -> Any:  # noqa: ARG001
    return generic(Iterable, generic(tuple, *(element(one) for one in given)))


def _filtered(given: Given, keywords: dict[str, Any]) -> Any:  # noqa: ARG001
    return generic(Iterable, element(given[1])) if len(given) > 1 else UNKNOWN


_COMPUTED: dict[str, Callable[[Given, dict[str, Any]], Any]] = {
    "abs": lambda given, _: int if given[0] is bool else given[0],
    "divmod": lambda given, _: generic(tuple, given[0], given[0]),
    "enumerate": lambda given, _: generic(Iterable, generic(tuple, int, element(given[0]))),
    "filter": _filtered,
    "max": _extreme,
    "min": _extreme,
    "reversed": lambda given, _: generic(Iterable, element(given[0])),
    "round": _round,
    "sorted": lambda given, _: generic(list, element(given[0])),
    "sum": _sum,
    "zip": _rows,
}


# --- constructors of builtin types


def constructed(cls: type, given: Given, named: Mapping[str | None, Any]) -> Any:
    """What calling a class gives: containers take the element type of their argument."""
    if cls in (list, set, frozenset):
        return generic(cls, element(given[0]) if given else UNKNOWN)
    if cls is tuple:
        return generic(tuple, element(given[0]), ...) if given else tuple[()]
    if cls is dict:
        return _dict(given) if given or not named or None in named else generic(dict, str, joined_items(named.values()))
    return cls


def _dict(given: Given) -> Any:
    if not given:
        return generic(dict, UNKNOWN, UNKNOWN)
    pair = mapping_of(given[0])
    if pair is None:
        parts = get_args(element(given[0]))
        pair = (parts[0], parts[1]) if len(parts) == 2 else (UNKNOWN, UNKNOWN)
    return generic(dict, *pair)


def subscripted(container: Any, index: Any, at: int | str | None, sliced: bool) -> Any:
    """`container[index]` for one (non-union) type; `at` is the index where it is a literal."""
    cls, args = class_of(container), get_args(container)
    if cls is None:
        return UNKNOWN
    if cls in (str, bytes, list, range) and sliced:
        return container
    if cls is dict:
        return args[1] if len(args) == 2 else UNKNOWN
    if is_typeddict(cls) and isinstance(at, str):
        return (fields(container) or {}).get(at, UNKNOWN)
    if is_namedtuple(cls) or cls is tuple:
        return _tuple_item(container, index, at, sliced)
    return element(container) if cls in (str, bytes, list, range) else UNKNOWN


def _tuple_item(container: Any, index: Any, at: int | str | None, sliced: bool) -> Any:  # noqa: ARG001
    cls = class_of(container)
    items = tuple((fields(container) or {}).values()) if is_namedtuple(cls) else get_args(container)
    if Ellipsis in items:
        return container if sliced else items[0]
    if sliced:
        return UNKNOWN
    if isinstance(at, int) and -len(items) <= at < len(items):
        return items[at]
    return union(items) if items else UNKNOWN


# --- operators


_NUMBERS: tuple[type, ...] = (bool, int, float, complex)


def binary(op: str, left: Any, right: Any) -> Any:
    """The type of `left op right`: the union over the members of both sides."""
    return union(_binary(op, one, other) for one in members(left) for other in members(right))


def _binary(op: str, left: Any, right: Any) -> Any:
    have, other = class_of(left), class_of(right)
    if have is None or other is None:
        return UNKNOWN
    have, other = _plain(have), _plain(other)
    if have in _NUMBERS and other in _NUMBERS:
        return _arithmetic(op, have, other)
    if Decimal in (have, other) and {have, other} <= {Decimal, int, bool}:
        return Decimal
    if have in (str, bytes) and (op == "%" or (op == "+" and other is have) or (op == "*" and other is int)):
        return have
    if op == "+" and have is other is tuple:
        return _longer(get_args(left), get_args(right))
    if op == "+" and have is other is list:
        return generic(list, union([element(left), element(right)]))
    if op == "*" and {have, other} <= {list, int, str, bytes}:
        return left if have is not int else right
    if op in "|&-^" and have in (set, frozenset) and other in (set, frozenset):
        return left if op in "&-" or element(right) is UNKNOWN else generic(have, union([element(left), element(right)]))
    if op == "|" and have is other is dict:
        return left
    return _moments(op, have, other)


def power(base: Any, exponent: Any, literal: int | str | None) -> Any:
    """The type of `base ** exponent`: of integers it depends on the sign of the exponent, which is known where it is written."""
    if isinstance(literal, int) and all(_plain(class_of(member) or object) in (int, bool) for member in members(base)):
        return int if literal >= 0 else float
    return binary("**", base, exponent)


def _plain(cls: type) -> type:
    """What a member of an `IntEnum` or `StrEnum` is in arithmetic."""
    bases: tuple[type, ...] = (int, str)
    return next((one for one in bases if Enum in cls.__mro__ and one in cls.__mro__), cls)


def _arithmetic(op: str, left: type, right: type) -> Any:
    wider = max((left, right, int), key=_NUMBERS.index)
    if op in "&|^" and left is right is bool:
        return bool
    if op == "/" and wider is int:
        return float
    return UNKNOWN if op == "**" and wider is not float else wider


def _longer(left: tuple[Any, ...], right: tuple[Any, ...]) -> Any:
    if Ellipsis not in (*left, *right):
        return generic(tuple, *left, *right)
    return generic(tuple, union(part for part in (*left, *right) if part is not Ellipsis), ...)


def _moments(op: str, left: type, right: type) -> Any:
    """Arithmetic of datetimes, dates and timedeltas."""
    if left in (datetime, date) and right is timedelta and op in "+-":
        return left
    if left is timedelta and right in (datetime, date) and op == "+":
        return right
    if left is right and left in (datetime, date) and op == "-":
        return timedelta
    if timedelta in (left, right):
        return _spans(op, left, right)
    return UNKNOWN


def _spans(op: str, left: type, right: type) -> Any:
    if left is right:
        return {"+": timedelta, "-": timedelta, "/": float, "//": int, "%": timedelta}.get(op, UNKNOWN)
    return timedelta if op in "*//" and {left, right} & {int, float} else UNKNOWN
