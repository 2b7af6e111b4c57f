"""The primitives of the workflow body, with their types. The compiler reads the calls; these bodies are the direct run's."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, ParamSpec, TypeVar, overload
from uuid import UUID, uuid4

from flowgraph.branches import current_branch, pause
from flowgraph.decorators import Workflow
from flowgraph.direct import current_run, start_workflow
from flowgraph.durations import Duration, parse_duration
from flowgraph.events import Event
from flowgraph.fan_outs import check_fan_out
from flowgraph.groups import Group, Rule, close, collect
from flowgraph.outcomes import Err, Ok
from flowgraph.scopes import SagaScope, TimeoutScope
from flowgraph.waiting import freeze, pause_until, publish, wait

P = ParamSpec("P")
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")
E = TypeVar("E", bound=Event)


@overload
def parallel(a: Awaitable[T1], b: Awaitable[T2], /) -> Coroutine[Any, Any, tuple[T1, T2]]: ...
@overload
def parallel(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> Coroutine[Any, Any, tuple[T1, T2, T3]]: ...
@overload
def parallel(
    a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /
) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4]]: ...
@overload
def parallel(
    a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], e: Awaitable[T5], /
) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4, T5]]: ...
@overload
def parallel(
    a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], e: Awaitable[T5], f: Awaitable[T6], /
) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4, T5, T6]]: ...
@overload
def parallel(
    a: Awaitable[T1],
    b: Awaitable[T2],
    c: Awaitable[T3],
    d: Awaitable[T4],
    e: Awaitable[T5],
    f: Awaitable[T6],
    g: Awaitable[T7],
    /,
) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4, T5, T6, T7]]: ...
@overload
def parallel(
    a: Awaitable[T1],
    b: Awaitable[T2],
    c: Awaitable[T3],
    d: Awaitable[T4],
    e: Awaitable[T5],
    f: Awaitable[T6],
    g: Awaitable[T7],
    h: Awaitable[T8],
    /,
) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4, T5, T6, T7, T8]]: ...
def parallel(*calls: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    """Run the calls at the same time; the results in argument order.

    The first failure cancels the rest and is raised, the others as notes.
    """
    return _parallel(calls)


async def _parallel(calls: tuple[Awaitable[Any], ...]) -> tuple[Any, ...]:
    return tuple((await _grouped(list(calls), "all", None, "parallel()")).results())


def fan_out(calls: Iterable[Awaitable[T]], /, *, limit: int | None = None) -> Coroutine[Any, Any, list[T]]:
    """Run one call per element, at most `limit` at a time; the results in order. Fails as `parallel` does.

    Raises `LimitExceeded` for more than 100,000 elements.
    """
    return _fan_out(_accepted(collect(calls), limit), limit)


def _accepted(calls: list[Awaitable[T]], limit: int | None) -> list[Awaitable[T]]:
    try:
        check_fan_out(len(calls), limit)
    except ValueError:
        for call in calls:
            close(call)
        raise
    return calls


async def _fan_out(calls: list[Awaitable[T]], limit: int | None) -> list[T]:
    return (await _grouped(calls, "all", limit, "fan_out()")).results()


@overload
def settle(calls: Iterable[Awaitable[T]], /, *, limit: int | None = ...) -> Coroutine[Any, Any, list[Ok[T] | Err]]: ...
@overload
def settle(a: Awaitable[T1], b: Awaitable[T2], /) -> Coroutine[Any, Any, tuple[Ok[T1] | Err, Ok[T2] | Err]]: ...
@overload
def settle(
    a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /
) -> Coroutine[Any, Any, tuple[Ok[T1] | Err, Ok[T2] | Err, Ok[T3] | Err]]: ...
def settle(*calls: Any, limit: int | None = None) -> Coroutine[Any, Any, Any]:
    """Run the calls (one iterable of them, or two or three) to their ends, whatever these are: `Ok(value)` or `Err(error)` for
    each, in order.
    """
    if len(calls) == 1 and not inspect.isawaitable(calls[0]):
        return _settle(_accepted(collect(calls[0]), limit), limit, list)
    return _settle(list(calls), limit, tuple)


async def _settle(calls: list[Awaitable[Any]], limit: int | None, kind: Callable[[list[Ok[Any] | Err]], Any]) -> Any:
    return kind((await _grouped(calls, "each", limit, "settle()")).settled())


@overload
def race(a: Awaitable[T1], b: Awaitable[T2], /) -> Coroutine[Any, Any, T1 | T2]: ...
@overload
def race(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> Coroutine[Any, Any, T1 | T2 | T3]: ...
@overload
def race(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /) -> Coroutine[Any, Any, T1 | T2 | T3 | T4]: ...
def race(*calls: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    """Run the calls at the same time; the first that ends decides with its value or exception, the others are cancelled."""
    return _race(calls)


async def _race(calls: tuple[Awaitable[Any], ...]) -> Any:
    return (await _grouped(list(calls), "first", None, "race()")).winner()


async def _grouped(calls: list[Awaitable[Any]], rule: Rule, limit: int | None, what: str) -> Group:
    branch = current_branch(what)
    group = Group(calls, rule, limit)
    await group.run(branch)
    return group


@overload
def wait_for(
    event: type[E], /, *, where: Callable[[E], bool] = ..., timeout: Duration, since: Literal["start", "now"] = ...
) -> Coroutine[Any, Any, E | None]: ...
@overload
def wait_for(
    event: type[E], /, *, where: Callable[[E], bool] = ..., timeout: None, since: Literal["start", "now"] = ...
) -> Coroutine[Any, Any, E]: ...
def wait_for(
    event: type[Any],
    /,
    *,
    where: Callable[[Any], bool] | None = None,
    timeout: Duration | None,
    since: Literal["start", "now"] = "start",
) -> Coroutine[Any, Any, Any]:
    """Wait for an event of that type for which `where` holds; None once `timeout` has passed (`timeout=None`: for ever).

    Events since the run's start count too, each taken once by a run; with `since="now"` only those that come from now on.
    """
    return wait(event, freeze(where), timeout, since)


async def sleep(duration: Duration, /) -> None:
    """Wait for a time, without a process. Raises `DurationError` for a bad duration."""
    await pause(current_branch("sleep()"), parse_duration(duration).total_seconds())


async def sleep_until(when: datetime, /) -> None:
    """Wait until a moment, which must have a time zone; at once when it has passed."""
    await pause_until(when)


async def send(event: Event, /) -> None:
    """Send an event, by value; together with the transition that it is part of."""
    await publish(event)


async def start(workflow: Workflow[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> str:
    """Start a run of `workflow` without waiting for it; returns its id."""
    return start_workflow(current_run("start()"), workflow, args, kwargs)


def timeout(duration: Duration, /) -> AbstractAsyncContextManager[None, bool | None]:
    """Limit the time of a block: at its end the block is cancelled, children first, and `TimeoutError` is raised."""
    return TimeoutScope(duration)


def saga() -> AbstractAsyncContextManager[None, None]:
    """Undo on failure: when an exception leaves the block, the `compensate=` of its completed steps run, last first."""
    return SagaScope()


def now() -> datetime:
    """Return the time (aware, UTC) of the present transition, the same when it is evaluated again."""
    return current_run("now()").world.clock()


def uuid() -> UUID:
    """Return a new UUID, the same when the transition is evaluated again."""
    current_run("uuid()")
    return uuid4()
