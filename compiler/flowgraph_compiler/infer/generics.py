"""The type arguments of a generic class of the author's, from what its constructor is given: `Span(1, 2)` is a `Span[int]`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from flowgraph_compiler.types import UNKNOWN, fields, generic, is_model, is_union, joined_items, members


def parametrised(cls: type, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """The class with its arguments where every one follows from the values of the fields; the bare class otherwise."""
    variables: tuple[Any, ...] = getattr(cls, "__parameters__", ()) or _of_model(cls)
    own = fields(cls)
    if not variables or own is None:
        return cls
    found: dict[Any, list[Any]] = {variable: [] for variable in variables}
    names = [*_positions(cls), *own]
    for name, given in [*zip(names, positional, strict=False), *named.items()]:
        _match(own.get(name), given, found)
    arguments = [joined_items(parts) if parts else UNKNOWN for parts in found.values()]
    if UNKNOWN in arguments:
        return cls
    try:
        return generic(cls, *arguments)
    except Exception:  # pydantic makes a class, which an argument may not fit
        return cls


def _of_model(cls: Any) -> tuple[Any, ...]:
    made: Any = getattr(cls, "__pydantic_generic_metadata__", None) if is_model(cls) else None
    return () if made is None else tuple(made["parameters"])


def _positions(cls: type) -> list[str]:
    try:
        return list(inspect.signature(cls).parameters)
    except (TypeError, ValueError):
        return []


def _match(declared: Any, given: Any, found: dict[Any, list[Any]]) -> None:
    """Note what the type variables of an annotation stand for, given the type of a value."""
    if isinstance(declared, TypeVar):
        found.setdefault(declared, []).append(given)
    elif is_union(declared):
        variables = [part for part in get_args(declared) if isinstance(part, TypeVar)]
        rest = [part for part in members(given) if part not in get_args(declared)]
        for variable in variables:
            found.setdefault(variable, []).extend(rest)
    elif get_origin(declared) is not None and get_origin(declared) is get_origin(given):
        for part, value in zip(get_args(declared), get_args(given), strict=False):
            _match(part, value, found)
