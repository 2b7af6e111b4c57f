"""Built-in collections as typed factories: `list[T]` as one costs several times as much as `list`, and a run makes dozens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def list_of(kind: type[T]) -> Callable[[], list[T]]:
    """Return `list`."""
    del kind
    return list


def set_of(kind: type[T]) -> Callable[[], set[T]]:
    """Return `set`."""
    del kind
    return set


def dict_of(key: type[K], value: type[T]) -> Callable[[], dict[K, T]]:
    """Return `dict`."""
    del key, value
    return dict
