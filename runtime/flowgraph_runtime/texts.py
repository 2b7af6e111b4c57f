"""Values as compact JSON texts, many at once: a call of orjson for each of many small ones costs ten times what it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import orjson

_STRICT = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_BREAK = orjson.Fragment(b"\n")
"""Stands between the texts: within one, every line break is escaped."""
values_of: Callable[[dict[str, Any]], Iterable[Any]] = dict.values  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
"""The values of an object; itself no function of Python, so that `map` of many stays out of the interpreter."""


def compact(value: object) -> str:
    """Return one JSON value as text, whatever the size of its numbers."""
    try:
        return orjson.dumps(value, option=_STRICT).decode()
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, a key that is no text
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def compact_all(values: Sequence[object]) -> list[str]:
    """Return each JSON value as text, as `compact` does."""
    found = usual_texts(values)
    return [compact(value) for value in values] if found is None else found


def usual_texts(values: Sequence[object]) -> list[str] | None:
    """Return each value as text, None when orjson cannot write one of them."""
    if not values:
        return []
    try:
        text = orjson.dumps(list(chain.from_iterable(zip(values, repeat(_BREAK), strict=False))), option=_STRICT).decode()
    except orjson.JSONEncodeError:
        return None
    return text[1 : -len(",\n]")].split(",\n,")


def bytes_of(text: str) -> int:
    """Return how many bytes a text has in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
