"""Values in and out of the engine: the codec, with a short way for the scalars that most steps take and return."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from flowgraph.codec import copy_value, loads
from flowgraph.registry import TypeRegistry

_SCALARS = frozenset({int, float, bool, type(None)})
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def decoded(text: str, types: TypeRegistry) -> Any:
    """Return the value of a codec text. Raises `CodecError`."""
    if text[:1] in "[{":  # the empty text too
        return loads(text, types)
    try:
        value, end = _scan(text, 0)
    except (StopIteration, ValueError):
        return loads(text, types)
    return value if end == len(text) else loads(text, types)


def copied_call(arguments: tuple[Any, ...], keywords: dict[str, Any] | None, by: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return copies of a call's arguments, made together, so that sharing between them survives. Raises `CodecError`."""
    if not keywords:
        for value in arguments:
            kind = type(cast("object", value))
            if kind not in _SCALARS and not (kind is str and value.isascii()):
                break
        else:
            return arguments, {}
    copies, copied_keywords = copy_value((arguments, keywords or {}), by=by)
    return copies, copied_keywords
