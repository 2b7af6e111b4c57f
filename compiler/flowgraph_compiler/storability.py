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

from flowgraph_compiler.types import NONE, UNKNOWN, base, class_of, fields, members, normal, show

_STORED: tuple[type, ...] = (
    str, int, float, bool, bytes, Decimal, UUID, datetime, date, time, timedelta, range, BaseException, Enum,
    timezone, ZoneInfo, tzinfo, type(...), type(None),
)  # fmt: skip
_CONTAINERS: tuple[type, ...] = (list, tuple, set, frozenset, dict)
_ABSTRACT: tuple[type, ...] = (Sequence, Mapping, AbstractSet)


def obstacle(tp: Any) -> str | None:
    """The part of a type whose values cannot be stored, as a text (`Lock`, `fields 'lock' of Order: Lock`); None: storable.

    Unknown parts and `Any` are no obstacle here."""
    return _obstacle(tp, frozenset())


def _obstacle(tp: Any, above: frozenset[Any]) -> str | None:
    found = (_member(member, above) for member in members(base(tp)))
    return next((one for one in found if one is not None), None)


def _member(tp: Any, above: frozenset[Any]) -> str | None:
    tp = base(tp)
    if tp in (Any, UNKNOWN, NONE, object) or tp in above or isinstance(tp, typing.TypeVar):
        return None
    cls = class_of(tp)
    if cls is None or getattr(cls, "_is_protocol", False) or get_origin(tp) is type:
        return show(tp) if get_origin(tp) in (type, Callable) else None
    own = fields(cls)
    if own is not None and not issubclass(cls, SecretStr | SecretBytes):
        return _first(((f"'{name}' of {cls.__name__}: ", field) for name, field in fields_of(tp)), above | {tp})
    if cls in _CONTAINERS or cls in _ABSTRACT:
        return _first((("", arg) for arg in get_args(tp) if arg is not Ellipsis), above)
    return None if issubclass(cls, _STORED) else show(tp)


def fields_of(tp: Any) -> list[tuple[str, Any]]:
    """Fields with their types, in order."""
    return list((fields(tp) or {}).items())


def _first(parts: Iterable[tuple[str, Any]], above: frozenset[Any]) -> str | None:
    for label, part in parts:
        found = _obstacle(part, above)
        if found is not None:
            return f"{label}{found}"
    return None


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


def private_attributes(tp: Any) -> str | None:
    """The first pydantic private attribute of a model in the type: it is not stored."""
    for member in members(base(tp)):
        cls = class_of(member)
        private: dict[str, Any] = getattr(cls, "__private_attributes__", None) or {}
        own = [name for name in private if name in getattr(cls, "__annotations__", {})]
        if own:
            return f"'{own[0]}' of {show(member)}"
    return None
