"""The arguments of a generic model (`Box[int]`) as data, so that a value of it is made of the same class again.

A listed type is its name, a class of the author's `{"class": name}`, a form with arguments a list: `["list", "int"]`,
`["|", "int", "None"]`, `["Literal", "a", 1]`, `[{"class": "Box"}, "int"]`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import reduce
from types import EllipsisType, NoneType, UnionType
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel

_LISTED: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        str, int, float, bool, bytes, object, Decimal, UUID, datetime, date, time, timedelta, timezone, ZoneInfo, range,
        list, tuple, set, frozenset, dict,
    )
} | {"None": NoneType, "Any": Any, "...": ...}  # fmt: skip
_NAMES = {tp: name for name, tp in _LISTED.items()}
_UNIONS: dict[Any, str] = {UnionType: "|", typing.Union: "Union"}
"""Two ways to write one type, of which pydantic makes two classes."""


def origin_of(cls: type) -> tuple[type, tuple[Any, ...]]:
    """Return the generic model that `cls` was made of and its arguments; `cls` itself and none for other classes."""
    made = _generic_parts(cls)
    return (made["origin"], tuple(made["args"])) if made.get("origin") is not None else (cls, ())


def is_generic(cls: type) -> bool:
    """Say whether a model takes type arguments."""
    return bool(_generic_parts(cls).get("parameters"))


def _generic_parts(cls: type) -> dict[str, Any]:
    return vars(cls).get("__pydantic_generic_metadata__") or {}


def arguments_tree(arguments: tuple[Any, ...], name_of: Callable[[type], str]) -> list[Any] | None:
    """Return type arguments as data; None when one of them has no stored form. `name_of` names the author's classes."""
    try:
        return [_tree(argument, name_of) for argument in arguments]
    except _NoFormError:
        return None


def arguments_of(tree: list[Any], class_of: Callable[[str], type]) -> tuple[Any, ...]:
    """Return the type arguments of such data. Raises what `class_of` does, KeyError and TypeError for a damaged tree."""
    return tuple(_type(part, class_of) for part in tree)


class _NoFormError(Exception):
    """A type that is not written, such as `Annotated[int, Gt(0)]`."""


def _tree(tp: Any, name_of: Callable[[type], str]) -> Any:
    origin, arguments = typing.get_origin(tp), typing.get_args(tp)
    if origin is None and isinstance(tp, type):
        origin, arguments = origin_of(tp)
    if origin is typing.Literal:
        return _literal(arguments)
    if not arguments:
        return _class_tree(tp, name_of)
    head = _UNIONS.get(origin) or _class_tree(origin, name_of)
    return [head, *(_tree(argument, name_of) for argument in arguments)]


def _literal(values: tuple[Any, ...]) -> list[Any]:
    if not all(type(value) in (str, int, bool, NoneType) for value in values):
        raise _NoFormError
    return ["Literal", *values]


def _class_tree(cls: Any, name_of: Callable[[type], str]) -> Any:
    if isinstance(cls, type | EllipsisType) or cls is Any:
        if cls in _NAMES:
            return _NAMES[cls]
        if _is_stored_by_name(cls):
            return {"class": name_of(cast("type", cls))}
    raise _NoFormError


def _is_stored_by_name(cls: Any) -> bool:
    if not isinstance(cls, type):
        return False
    named: Any = cls
    is_class = issubclass(cls, BaseModel | Enum | BaseException)
    return is_class or dataclasses.is_dataclass(named) or (tuple in cls.__mro__ and hasattr(named, "_fields"))


def _type(tree: Any, class_of: Callable[[str], type]) -> Any:
    if isinstance(tree, str):
        return _LISTED[tree]
    if isinstance(tree, dict):
        return class_of(cast("dict[str, str]", tree)["class"])
    head, _, *_ = tree
    rest = tree[1:]
    if head == "Literal":
        return typing.Literal[tuple(rest)]
    arguments = [_type(part, class_of) for part in rest]
    if head == "|":
        return reduce(lambda left, right: left | right, arguments)
    if head == "Union":
        return typing.Union[tuple(arguments)]  # noqa: UP007  # this is the other way
    origin: Any = _type(head, class_of)
    return origin[tuple(arguments)]
