"""Printed types back to types: what `types.show` wrote into a manifest, read without evaluating it."""

from __future__ import annotations

import ast
import typing
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flowgraph_compiler.types import NONE, generic, union

_KNOWN: dict[str, Any] = {
    **{
        cls.__name__: cls
        for cls in (
            bool, bytes, complex, date, datetime, Decimal, dict, float, frozenset, int, list, object, set, str, time, timedelta,
            timezone, tuple, UUID, ZoneInfo,
        )
    },
    "Any": Any,
    "None": NONE,
}  # fmt: skip


class UnknownType(Exception):
    """A printed type that names what is not known, or that no type is printed as."""


def type_of_text(text: str, classes: Mapping[str, type]) -> Any:
    """The type of a printed type; names are those of the standard library and of `classes`. Raises `UnknownType`."""
    try:
        return _type(ast.parse(text, mode="eval").body, classes)
    except (SyntaxError, ValueError, TypeError, RecursionError) as error:
        raise UnknownType(text) from error


def _type(node: ast.expr, classes: Mapping[str, type]) -> Any:
    match node:
        case ast.Constant(None):
            return NONE
        case ast.Constant(value) if value is Ellipsis:
            return Ellipsis
        case ast.Name(name) if name in classes or name in _KNOWN:
            return classes.get(name, _KNOWN.get(name))
        case ast.BinOp(left, ast.BitOr(), right):
            return union([_type(left, classes), _type(right, classes)])
        case ast.Subscript(ast.Name("Literal"), index):
            return typing.Literal[tuple(_literal(one, classes) for one in _items(index))]
        case ast.Subscript(origin, ast.Tuple([])):
            return generic(_type(origin, classes), ())
        case ast.Subscript(origin, index):
            return generic(_type(origin, classes), *(_type(one, classes) for one in _items(index)))
        case _:
            raise UnknownType(ast.unparse(node))


def _items(index: ast.expr) -> list[ast.expr]:
    return index.elts if isinstance(index, ast.Tuple) else [index]


def _literal(node: ast.expr, classes: Mapping[str, type]) -> Any:
    match node:
        case ast.Attribute(ast.Name(name), member) if name in classes and hasattr(classes[name], member):
            return getattr(classes[name], member)
        case _:
            return ast.literal_eval(node)
