"""Values in and out of the engine: the codec, with a short way for the plain values that most steps take and return."""

from __future__ import annotations

import re
from typing import Any

import orjson

from flowgraph.codec import copy_value, dumps, loads
from flowgraph.registry import TypeRegistry

_SCALARS = frozenset({int, float, bool, type(None)})

_PLAIN = frozenset({str, int, bool, type(None)})
"""What `orjson` writes as the codec does. Not floats: it writes 1e16 where the codec writes 1e+16."""
_json, _STRICT = orjson.dumps, orjson.OPT_STRICT_INTEGER
_LONG = 19
_DIGITS = re.compile(rf"[0-9]{{{_LONG}}}")


def encoded(value: object, *, by: str = "value") -> str:
    """Return the codec text of a value: what `dumps` returns, for scalars and flat dicts in a tenth of its time.

    Raises `CodecError` naming the place, starting at `by`."""
    text = plain_text(value)
    return dumps(value, by=by) if text is None else text


def plain_text(value: object) -> str | None:
    """Return the codec text of a scalar that is no float, or of a flat dict of such, in a tenth of the time that `dumps` takes;
    None where only the codec knows it."""
    kind = type(value)
    if kind in _PLAIN or (kind is dict and _PLAIN.issuperset(map(type, value.values()))):  # type: ignore[attr-defined]
        try:
            text = _json(value, None, _STRICT).decode()
        except orjson.JSONEncodeError:  # a key that is no text, a large integer, a lone surrogate: the codec knows what to do
            return None
        return None if '"$' in text else text
    return None


def plain_list_text(values: list[object]) -> str | None:
    """Return the codec text of a list of scalars of which none is a float; None where only the codec knows it."""
    if not _PLAIN.issuperset(map(type, values)):
        return None
    try:
        text = _json(values, None, _STRICT).decode()
    except orjson.JSONEncodeError:
        return None
    return None if '"$' in text else text


def decoded(text: str, types: TypeRegistry) -> Any:
    """Return the value of a codec text: what `loads` returns, for plain values in a tenth of its time. Raises `CodecError`.

    A text without a key that begins with `$` has no tags, so that its JSON is the value itself. `orjson` reads integers of more
    than 64 bits as floats, so that a text with many digits in a row is not for it."""
    if '"$' in text or (len(text) >= _LONG and _DIGITS.search(text)):
        return loads(text, types)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return loads(text, types)


def copied_call(arguments: tuple[Any, ...], keywords: dict[str, Any] | None, by: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return copies of a call's arguments, made together, so that sharing between them survives. Raises `CodecError`."""
    if not keywords:
        values: tuple[object, ...] = arguments
        for value in values:
            kind = type(value)
            if kind not in _SCALARS and not (kind is str and value.isascii()):  # type: ignore[attr-defined]
                break
        else:
            return arguments, {}
    copies, copied_keywords = copy_value((arguments, keywords or {}), by=by)
    return copies, copied_keywords
