"""What an await-free expression may call: names that the machine's JSON can hold, and what each one means.

Everything here is deterministic, does no I/O and keeps no reference to its arguments beyond its result. The compiler resolves
a name in the user's module to one of these by identity (`from math import floor as f` is `"math.floor"`); the engine compiles
only these names.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

PURE_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        function.__name__: function
        for function in (
            abs, all, any, ascii, bin, chr, divmod, format, hex, isinstance, issubclass, len, max, min, oct, ord,
            repr, round, sorted, sum,
        )
    },
    **{
        f"math.{name}": getattr(math, name)
        for name in (
            "acos", "asin", "atan", "atan2", "ceil", "comb", "copysign", "cos", "degrees", "dist", "exp", "fabs",
            "factorial", "floor", "fmod", "fsum", "gcd", "hypot", "isclose", "isfinite", "isinf", "isnan", "isqrt", "lcm",
            "log", "log10", "log1p", "log2", "modf", "perm", "prod", "radians", "sin", "sqrt", "tan", "trunc",
        )
    },
    "json.dumps": json.dumps,
    **{f"re.{name}": getattr(re, name) for name in ("escape", "findall", "fullmatch", "match", "search", "split", "sub")},
    "pow": pow,
}  # fmt: skip
"""Functions whose result can be kept. `pow` is capped by the engine like `**`."""

LAZY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (enumerate, filter, map, reversed, zip)
}
"""Make iterators: only as the iterable of a `for` or as an argument of a call that consumes it, never kept (FG132)."""

PATTERN_FUNCTIONS = frozenset(name for name in PURE_FUNCTIONS if name.startswith("re.")) - {"re.escape"}
"""Functions whose first argument is a regular expression, written out."""

PURE_TYPES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        bool, bytes, date, datetime, Decimal, dict, float, frozenset, int, list, range, set, str, time, timedelta, timezone,
        tuple, UUID, ZoneInfo,
    )
}  # fmt: skip
"""Types of the standard library that an expression may construct, name in `isinstance`, and use as values of `ClassRef`."""

PURE_CONSTANTS: dict[str, object] = {
    "UTC": UTC,
    **{f"math.{name}": getattr(math, name) for name in ("e", "inf", "nan", "pi", "tau")},
    **{f"re.{name}": getattr(re, name) for name in ("ASCII", "DOTALL", "IGNORECASE", "MULTILINE", "VERBOSE")},
}
"""Named values that are not captured but looked up by name (`NamedConstant`)."""

PURE_CLASS_METHODS: dict[str, frozenset[str]] = {
    "bytes": frozenset({"fromhex"}),
    "date": frozenset({"fromisoformat", "fromordinal"}),
    "datetime": frozenset({"combine", "fromisoformat", "fromtimestamp", "strptime"}),  # fromtimestamp only with a zone
    "dict": frozenset({"fromkeys"}),
    "int": frozenset({"from_bytes"}),
    "str": frozenset({"maketrans"}),
    "time": frozenset({"fromisoformat"}),
}
"""`Method` on a `ClassRef`."""

_SHARED = frozenset({"copy", "count", "index"})
_STR = frozenset(
    """capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha isascii isdecimal
    isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition removeprefix
    removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title translate
    upper zfill""".split()
)
_SET = frozenset("difference intersection isdisjoint issubset issuperset symmetric_difference union copy".split())
_TIME = frozenset(
    """astimezone ctime date dst isocalendar isoformat isoweekday replace strftime time timestamp timetuple timetz toordinal
    total_seconds tzname utcoffset weekday""".split()
)

PURE_METHODS: dict[type[Any], frozenset[str]] = {
    str: _STR,
    bytes: frozenset("count decode endswith find hex index join replace rfind split startswith strip".split()),
    int: frozenset({"bit_count", "bit_length", "to_bytes", "is_integer", "as_integer_ratio"}),
    bool: frozenset({"bit_length"}),
    float: frozenset({"as_integer_ratio", "hex", "is_integer"}),
    Decimal: frozenset("is_finite is_nan is_zero normalize quantize to_integral_value compare copy_abs".split()),
    list: _SHARED,
    tuple: frozenset({"count", "index"}),
    range: frozenset({"count", "index"}),
    dict: frozenset({"copy", "get", "items", "keys", "values"}),  # the views only where they are consumed (FG132)
    set: _SET,
    frozenset: _SET,
    datetime: _TIME,
    date: _TIME - {"astimezone", "dst", "timestamp", "utcoffset"},
    time: frozenset({"isoformat", "replace", "strftime"}),
    timedelta: frozenset({"total_seconds"}),
    UUID: frozenset(),
    re.Match: frozenset({"end", "expand", "group", "groupdict", "groups", "span", "start"}),
}
"""Methods that change nothing, by the type of the receiver."""

MUTATING_METHODS: dict[type[Any], frozenset[str]] = {
    list: frozenset({"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"}),
    dict: frozenset({"clear", "pop", "popitem", "setdefault", "update"}),
    set: frozenset(
        "add clear difference_update discard intersection_update pop remove symmetric_difference_update update".split()
    ),
}
"""Methods that change a local container in place."""

MODEL_METHODS: frozenset[str] = frozenset({"model_copy", "model_dump", "model_dump_json"})
"""Of pydantic models whose class defines no user code for them; `add_note` is allowed on exceptions."""

METHOD_NAMES: frozenset[str] = (
    frozenset(name for table in (PURE_METHODS, MUTATING_METHODS) for names in table.values() for name in names)
    | MODEL_METHODS
    | {"add_note"}
)
"""Every method name that a machine may contain at all."""

MAX_POWER_BITS = 1_000_000
"""`**`, `<<` and repetitions whose result would be larger than this many bits, or items, raise `TransitionTooLong`."""
