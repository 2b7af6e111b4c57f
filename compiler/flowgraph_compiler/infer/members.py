"""Types of attributes: fields, properties and annotations of the user's classes, then the table of builtin ones."""

from __future__ import annotations

import typing
from functools import cached_property
from inspect import isabstract
from typing import Any, get_args, get_origin

from flowgraph_compiler.results import ATTRIBUTES, lookup
from flowgraph_compiler.types import UNKNOWN, class_of, fields, hints, is_enum, kind, members, normal, type_of_value, union


def attribute(tp: Any, name: str) -> Any:
    """The type of `value.name`: the union over the members that are not None."""
    found = [_attribute(member, name) for member in members(tp) if member is not type(None)]
    return union(found) if found else UNKNOWN


def without_method(tp: Any, name: str, *, certain: bool) -> Any:
    """The part of a type whose values have no method of this name, else None; with `certain`, only when none of them has it."""
    parts = [part for part in members(tp) if part is not type(None)]
    lacking = [part for part in parts if (cls := class_of(part)) is not None and not isabstract(cls) and not hasattr(cls, name)]
    return union(lacking) if lacking and (len(lacking) == len(parts) or not certain) else None


def _attribute(tp: Any, name: str) -> Any:
    if get_origin(tp) is type:
        return _of_class(get_args(tp)[0], name)
    cls = class_of(tp)
    if cls is None:
        return UNKNOWN
    if is_enum(cls) and name in ("name", "value"):
        return _enum_attribute(tp, cls, name)
    own = (fields(tp) or {}).get(name)
    if own is not None:
        return normal(own)
    found = getattr(cls, name, None)
    if isinstance(found, property | cached_property):
        getter = found.fget if isinstance(found, property) else found.func
        known = hints(getter).get("return")
    else:
        known = hints(cls).get(name)
    return normal(known) if known is not None else lookup(ATTRIBUTES, cls, name)


def _enum_attribute(tp: Any, cls: Any, name: str) -> Any:
    """`.value` of an enum, or of the members that a `Literal` leaves."""
    if name == "name":
        return str
    chosen = get_args(tp) if get_origin(tp) is typing.Literal else tuple(cls)
    return union(type_of_value(member.value) for member in chosen)


def _of_class(cls: Any, name: str) -> Any:
    """`Color.RED`, `Settings.limit`."""
    value = getattr(cls, name, None)
    if is_enum(cls) and isinstance(value, cls):
        return cls
    known = hints(cls).get(name)
    if known is not None:
        return normal(known)
    plain = issubclass(kind(value), str | int | float | bytes | tuple)
    return type_of_value(value) if plain else UNKNOWN
