"""Calls by value: arguments bound to a function's parameters and copied once, when the call is written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowgraph.codec import copy_value


@dataclass(frozen=True)
class Call:
    """The arguments of one call of `fn`, already the callee's own."""

    fn: Callable[..., Any]
    arguments: inspect.BoundArguments

    @property
    def args(self) -> tuple[Any, ...]:
        """Return the positional arguments."""
        return self.arguments.args

    @property
    def kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments."""
        return self.arguments.kwargs

    def by_name(self) -> dict[str, Any]:
        """Return every argument by its parameter's name, defaults filled in."""
        whole = inspect.BoundArguments(self.arguments.signature, dict(self.arguments.arguments))
        whole.apply_defaults()
        return dict(whole.arguments)

    def copy(self, name: str) -> Call:
        """Return the call with arguments of its own, as each attempt gets them."""
        return bind(self.fn, name, self.args, self.kwargs)


@functools.lru_cache(maxsize=1024)
def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(fn)


def left_coroutine(error: BaseException) -> BaseException:
    """Return what an exception is once it has left a function that is awaited: Python lets no `StopIteration` out of it."""
    if not isinstance(error, StopIteration):
        return error
    outside = RuntimeError("coroutine raised StopIteration")
    outside.__cause__ = error
    return outside


def call_sync(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a synchronous step in its thread; what it raises is what a coroutine would have raised."""
    try:
        return fn(*args, **kwargs)
    except StopIteration as stop:  # a future does not take it: who waits for the thread would wait for ever
        raise left_coroutine(stop) from stop


def bind(fn: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Bind and copy the arguments of a call of `name`, together, so that sharing between them survives.

    Raises `TypeError` as the call itself would, `CodecError` naming the parameter that cannot be stored.
    """
    bound = _signature(fn).bind(*args, **kwargs)
    copied = copy_value(dict(bound.arguments), by=name)
    return Call(fn, inspect.BoundArguments(bound.signature, copied))
