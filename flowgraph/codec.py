"""Values to text and back, by value and with their types; the forms are described in `encoding` and `decoding`.

The engine stores state with it, the worker its journal, and the direct run passes arguments and results through it.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from flowgraph.decoding import Decoder
from flowgraph.encoding import MAX_DEPTH, Encoder, is_frozen_class, undeclared_attributes
from flowgraph.errors import CodecError, RegistryError, error_names
from flowgraph.plain import plain
from flowgraph.registry import TypeRegistry
from flowgraph.zones import is_storable_zone

T = TypeVar("T")

_ATOMS = {type(None), bool, float, bytes, Decimal, UUID, date, timedelta}
_SMALL_BITS = 1_000
"""A larger integer goes the long way, which knows how large a stored one may be."""
_SHARED_DEPTH = 20
"""Deeper values go the long way, which knows the real limit."""

to_text = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), allow_nan=False).encode
"""Return a tree that `encode` made (which is never circular) as compact JSON text."""


def encode(value: object, *, by: str = "value") -> Any:
    """Return `value` as a tree of None, bool, int, float, str, list and dict.

    Raises `CodecError` naming the place, starting at `by`.
    """
    encoder = Encoder()
    return encoder.finish(encoder.encode(value, by=by))


def decode(tree: object, types: TypeRegistry) -> Any:
    """Return the value that `encode` made `tree` of; classes are found in `types`. Raises `CodecError`."""
    return Decoder(types).decode(tree)


def dumps(value: object, *, by: str = "value") -> str:
    """Return `value` as compact JSON text. Raises `CodecError` naming the place, starting at `by`."""
    return to_text(encode(value, by=by))


def loads(text: str, types: TypeRegistry) -> Any:
    """Return the value that `dumps` wrote. Raises `CodecError`."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not a stored value: {error}") from None
    return decode(tree, types)


def copy_value(value: T, *, by: str = "value") -> T:
    """Return `value` as a receiver of it gets it: a copy with the same types and aliases. What cannot change is shared.

    Raises `CodecError`.
    """
    if _unchangeable(value, 0):
        return value
    encoder = Encoder()
    tree = encoder.finish(encoder.encode(value, by=by))
    result: T = Decoder(TypeRegistry(*encoder.classes.values())).decode(tree)
    return result


def _unchangeable(value: Any, depth: int) -> bool:
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _ATOMS or isinstance(value, Enum):
        return True
    if kind is str:
        return bool(value.isascii())
    if kind is int:
        return bool(value.bit_length() <= _SMALL_BITS)
    if kind is datetime or kind is time:
        return is_storable_zone(value.tzinfo)
    if depth > _SHARED_DEPTH:
        return False
    if kind is tuple or kind is frozenset:
        return all(_unchangeable(item, depth + 1) for item in value)
    return _frozen_instance(value, depth)


def _frozen_instance(value: Any, depth: int) -> bool:
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
    if not is_frozen_class(kind):
        return False
    if isinstance(value, BaseModel):
        parts = [*value.__dict__.values(), *(value.__pydantic_extra__ or {}).values()]
        return not kind.__private_attributes__ and all(_unchangeable(part, depth + 1) for part in parts)
    names = [field.name for field in dataclasses.fields(kind)]
    return not undeclared_attributes(value, names) and all(_unchangeable(getattr(value, name, None), depth + 1) for name in names)


__all__ = [
    "MAX_DEPTH",
    "CodecError",
    "Decoder",
    "Encoder",
    "RegistryError",
    "TypeRegistry",
    "copy_value",
    "decode",
    "dumps",
    "encode",
    "error_names",
    "loads",
    "plain",
    "to_text",
]
