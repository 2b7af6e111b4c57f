"""Whether values of a type can be stored between two steps, and what makes a type say too little."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, get_args, get_origin
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import SecretBytes, SecretStr
from pydantic_core import TzInfo

from flowgraph_compiler.types import NONE, UNKNOWN, base, class_of, fields, members, normal, show

_EXACTLY: frozenset[type] = frozenset([
    str, int, float, bool, bytes, Decimal, UUID, datetime, date, time, timedelta, range, type(None),
    timezone, ZoneInfo, tzinfo, TzInfo,
])  # fmt: skip
"""Subclasses of these are not stored: they would come back as their base."""
_WITH_SUBCLASSES: tuple[type, ...] = (BaseException, Enum)
_CONTAINERS: tuple[type, ...] = (list, tuple, set, frozenset, dict)
_ABSTRACT: tuple[type, ...] = (Sequence, Mapping, AbstractSet)

Test = Callable[[Any, type | None], str | None]
"""What is wrong with a type (and the class of its values) itself, not with its parts; None: nothing."""


def obstacle(tp: Any) -> str | None:
    """The part of a type whose values cannot be stored, as a text (`Lock`, `'lock' of Order: Lock`); None: storable.

    Unknown parts and `Any` are no obstacle here, nor are private attributes (`private_attributes`)."""
    return _search(tp, _not_stored, frozenset())


def private_attributes(tp: Any) -> str | None:
    """The first pydantic private attribute of a model in the type (`'_seen' of Cart`): values that have one are not stored."""
    return _search(tp, _private, frozenset())


def _not_stored(tp: Any, cls: type | None) -> str | None:
    if cls is None or get_origin(tp) is type:
        return show(tp) if get_origin(tp) in (type, Callable) else None
    if getattr(cls, "_is_protocol", False) or cls in _EXACTLY or issubclass(cls, _WITH_SUBCLASSES):
        return None
    if issubclass(cls, SecretStr | SecretBytes):
        return show(tp)
    return None if fields(cls) is not None or cls in _CONTAINERS or cls in _ABSTRACT else show(tp)


def _private(tp: Any, cls: type | None) -> str | None:
    names = list(getattr(cls, "__private_attributes__", None) or ())
    return f"'{names[0]}' of {show(tp)}" if names else None


def _search(tp: Any, test: Test, above: frozenset[Any]) -> str | None:
    return _first((("", member) for member in members(base(tp))), test, above)


def _first(parts: Iterable[tuple[str, Any]], test: Test, above: frozenset[Any]) -> str | None:
    for label, part in parts:
        inner = members(base(part))
        found = _member(inner[0], test, above) if len(inner) == 1 else _search(part, test, above)
        if found is not None:
            return f"{label}{found}"
    return None


def _member(tp: Any, test: Test, above: frozenset[Any]) -> str | None:
    tp = base(tp)
    if tp in (Any, UNKNOWN, NONE, object) or tp in above or isinstance(tp, typing.TypeVar):
        return None
    cls = class_of(tp)
    found = test(tp, cls)
    return found if found is not None or cls is None else _first(_parts(tp, cls), test, above | {tp})


def _parts(tp: Any, cls: type) -> Iterable[tuple[str, Any]]:
    """What values of a type are made of: fields with a label, or the items of a container."""
    if issubclass(cls, _WITH_SUBCLASSES):
        return []
    if fields(cls) is not None:
        return [(f"'{name}' of {cls.__name__}: ", field) for name, field in fields_of(tp)]
    is_container = cls in _CONTAINERS or cls in _ABSTRACT
    return [("", argument) for argument in get_args(tp) if argument is not Ellipsis] if is_container else []


def fields_of(tp: Any) -> list[tuple[str, Any]]:
    """Fields with their types, in order."""
    return list((fields(tp) or {}).items())


def width(tp: Any) -> str | None:
    """The part of a type that says too little for a stored value (`Any`, `object`), as a text; None: precise enough."""
    return _width(tp, frozenset())


def _width(tp: Any, above: frozenset[Any]) -> str | None:
    for member in members(normal(tp)):
        if member in (Any, object):
            return show(member)
        if member in above:
            continue
        inner = [("", arg) for arg in get_args(member) if _is_type(member, arg)]
        inner += [
            (f"field '{name}' of {show(member)}: ", field) for name, field in fields_of(member) if class_of(member) is not None
        ]
        for label, part in inner:
            found = _width(part, above | {member})
            if found is not None:
                return f"{label}{found}"
    return None


def _is_type(owner: Any, argument: Any) -> bool:
    return get_origin(owner) is not typing.Literal and argument is not Ellipsis and not isinstance(argument, list)
