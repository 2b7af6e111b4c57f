"""Going through trees of any form: expressions, statements, actions, nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

_FIELDS: dict[type, tuple[str, ...]] = {}


def _fields(cls: type) -> tuple[str, ...]:
    if cls not in _FIELDS:
        _FIELDS[cls] = tuple(field.name for field in fields(cls) if field.name != "span")
    return _FIELDS[cls]


def parts(tree: Any) -> Iterator[Any]:
    """The values directly inside a node of any form, tuples flattened."""
    for name in _fields(tree.__class__):
        yield from _flat(getattr(tree, name))


def _flat(value: Any) -> Iterator[Any]:
    if is_tuple(value):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def is_tuple(value: Any) -> bool:
    """Whether the value is a tuple. Not a type guard: what `isinstance` leaves is `tuple` of unknown items for type checkers."""
    return isinstance(value, tuple)
