"""Canonical texts of correlation keys: equal values have equal texts, values of different types never do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def key_text(value: Any) -> str:
    """Return the text under which a key value is indexed. Raises TypeError for what cannot be a key.

    Python's equality across types is kept where values of one field can meet: `1 == True == 1.0`, an `int` enum and its number,
    a datetime in two zones.
    """
    if isinstance(value, Enum) and not isinstance(value, int | str):
        return f"e:{type(value).__name__}.{value.name}"
    if isinstance(value, str):
        return f"s:{str.__str__(value)}"
    if isinstance(value, int | float | Decimal):
        return f"n:{_number(value)}"
    if isinstance(value, UUID):
        return f"u:{value}"
    if isinstance(value, datetime):
        return f"t:{_moment(value)}"
    if isinstance(value, date):
        return f"d:{value.isoformat()}"
    if isinstance(value, bytes):
        return f"b:{value.hex()}"
    if issubclass(type(value), tuple):
        return f"({','.join(_items(value))})"
    raise TypeError(
        f"a value of type '{type(value).__name__}' cannot be a key: use str, int, Enum, UUID, date or a tuple of them"
    )


def _moment(value: datetime) -> str:
    if value.utcoffset() is None:
        return value.isoformat()
    try:
        return value.astimezone(UTC).isoformat()
    except OverflowError:  # in UTC it is before the year 1 or after 9999
        return repr(value - _EPOCH)


def _number(value: float | Decimal) -> str:
    if isinstance(value, int):
        return str(int(value))
    if not math.isfinite(value):
        raise TypeError(f"{value} cannot be a key")
    if value == int(value):
        return str(int(value))
    numerator, denominator = value.as_integer_ratio()
    return f"{numerator}/{denominator}"


def _items(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        yield key_text(value).replace("\\", "\\\\").replace(",", "\\,")


def event_keys(event: BaseModel, paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return (path, text) for each path (`order.id`) that leads to a value which can be a key."""
    found: list[tuple[str, str]] = []
    for path in paths:
        value: Any = event
        for name in path.split("."):
            value = getattr(value, name, None)
        try:
            found.append((path, key_text(value)))
        except TypeError:
            continue
    return tuple(found)
