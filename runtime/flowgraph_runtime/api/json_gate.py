"""The one strict way in for JSON: Python's parser accepts NaN, 1e999, NUL and lone surrogates, a database does not."""

from __future__ import annotations

import json
import math
import re
from itertools import chain
from typing import Any, NoReturn, cast

from pydantic_core import from_json

from flowgraph_runtime.texts import values_of

DEPTH_LIMIT = 64
_KEY = re.compile(rb'"[ \t\r\n]*:')
_UNSURE: Any = object()


class BadJson(ValueError):
    """A body that is not acceptable JSON; the text says why."""


def parse(body: bytes) -> Any:
    """Return the JSON value of a body. Raises `BadJson`: not UTF-8, not JSON, NaN or infinite, an integer beyond 4,300 digits,
    deeper than 64, a key twice in one object, NUL or half of a surrogate pair in a string."""
    value = _usual(body)
    return _strictly(body) if value is _UNSURE else value


def _usual(body: bytes) -> Any:
    """The value of a body in which it is easily seen that nothing is to be refused, `_UNSURE` otherwise: a sixth of the time."""
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        return _UNSURE
    keys = _count_keys(value)
    if keys is None or (b"\\" in body and b"\\u0000" in body):
        return _UNSURE
    return value if body.count(b":") == keys or _most_keys(body) == keys else _UNSURE


def _count_keys(value: Any) -> int | None:
    """How many members the objects in a parsed value have, one depth after the other; None when it is nested too deeply or holds
    a number that is not finite."""
    keys = 0
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT + 1):
        kinds = set(map(type, level))
        if float in kinds and not all(math.isfinite(item) for item in level if type(item) is float):
            return None
        if dict not in kinds and list not in kinds:
            return keys
        objects: list[dict[str, Any]] = [item for item in level if type(item) is dict]
        lists: list[list[Any]] = [item for item in level if type(item) is list] if list in kinds else []
        keys += sum(map(len, objects))
        level = [*chain.from_iterable(map(values_of, objects)), *chain.from_iterable(lists)]
    return None


def _most_keys(body: bytes) -> int:
    """How many keys its objects have as written, a key that stands twice counted twice; too many when a string begins with a
    colon. Without escaped quotes every quote begins or ends a string, and every key's last one has a colon behind it."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return len(_KEY.findall(body))


def _strictly(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise BadJson("it begins with a byte order mark")
    check_depth(text)
    try:
        value = json.loads(text, parse_constant=_constant, parse_float=_float, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise BadJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except BadJson:
        raise
    except ValueError as error:
        raise BadJson(str(error)) from None
    if "\\u" in text:  # the only way in for what is looked for: raw, neither is JSON in UTF-8
        check_strings(value)
    return value


def check_depth(text: str) -> None:
    """Raise `BadJson` when brackets nest deeper than 64, before the parser's recursion sees them."""
    depth, inside, escaped = 0, False, False
    for character in text if _may_be_deep(text) else "":
        if inside:
            escaped, inside = character == "\\" and not escaped, character != '"' or escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > DEPTH_LIMIT:
                raise BadJson(f"it nests deeper than {DEPTH_LIMIT}")
        elif character in "]}":
            depth -= 1


def _may_be_deep(text: str) -> bool:
    return text.count("[") + text.count("{") > DEPTH_LIMIT


def _constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadJson(f"{text[:20]} is beyond the range of a double")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadJson(f"the key {twice!r} stands twice in one object")
    return value


def check_strings(value: Any) -> None:
    """Raise `BadJson` for a NUL or half of a surrogate pair anywhere in a parsed value."""
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            _check_string(item)
        elif isinstance(item, dict):
            members = cast("dict[str, Any]", item)
            pending.extend(members)
            pending.extend(members.values())
        elif isinstance(item, list):
            pending.extend(iter(item))  # pyright: ignore[reportUnknownArgumentType]  # of JSON


def _check_string(text: str) -> None:
    if "\0" in text:
        raise BadJson("a string holds NUL (\\u0000), which cannot be stored")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadJson("a string holds half of a surrogate pair") from None
