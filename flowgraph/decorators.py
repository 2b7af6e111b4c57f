"""`@step`, `@subflow`, `@workflow`, `@pure`, `@invariant`: they only annotate, the decorated function stays callable.

The stacked overloads are the public signatures as mypy --strict and pyright strict both accept them: the coroutine overload
comes first, the batch overload before the plain event one, and `on_failure` is a callable (a `Step` would make pyright widen
the event type to its base).
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from flowgraph.direct import call_step, call_subflow, call_workflow
from flowgraph.durations import Duration
from flowgraph.events import Event, alias_names
from flowgraph.options import UNSET, StepOptions, WorkflowOptions, given_or
from flowgraph.policies import Backoff, Batch, Concurrency, Cron, Debounce, Idempotency, On, RateLimit, Singleton, Throttle

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)


class Step(Generic[P, R]):
    """A step: the author's function `fn`, its persisted `name` and `aliases`, and the `options` given. `declared` is the name
    that it was declared with, whatever `.with_(name=...)` calls one call of it."""

    def __init__(self, fn: Callable[P, Any], options: StepOptions, declared: str | None = None) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.options = options
        self.name: str = given_or(options.name, fn.__name__)
        self.declared: str = self.name if declared is None else declared
        self.aliases: tuple[str, ...] = alias_names(given_or(options.aliases, ()))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the step: durable in a machine; in a direct run with retries; a plain call elsewhere.

        Arguments are taken by value now.
        """
        return call_step(self, args, kwargs)

    def with_(
        self,
        *,
        name: str | None = None,
        retries: int | None = None,
        backoff: Backoff | None = None,
        timeout: Duration | None = None,
    ) -> Step[P, R]:
        """Return the same step with other options for one call; they win over all others."""
        wanted: dict[str, Any] = {"name": name, "retries": retries, "backoff": backoff, "timeout": timeout}
        given = {key: value for key, value in wanted.items() if value is not None}
        return Step(self.fn, replace(self.options, **given), self.declared)

    def __repr__(self) -> str:
        return f"<step {self.name}>"


class Subflow(Generic[P, R]):
    """A durable helper, part of its caller's machine: `fn` is the author's function."""

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, R]]) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name: str = fn.__name__
        self.aliases: tuple[str, ...] = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the helper as part of the current run; arguments and result are taken by value."""
        return call_subflow(self, args, kwargs)

    def __repr__(self) -> str:
        return f"<subflow {self.name}>"


class Workflow(Generic[P, R]):
    """A workflow: `fn` is the author's function, `name` and `aliases` its persisted names, `options` what was given."""

    def __init__(self, fn: Callable[P, Coroutine[Any, Any, R]], options: WorkflowOptions) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.options = options
        self.name: str = given_or(options.name, fn.__name__)
        self.aliases: tuple[str, ...] = alias_names(given_or(options.aliases, ()))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Run the workflow: inside a run as its child, else as a direct run under plain asyncio."""
        return call_workflow(self, args, kwargs)

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


class StepDecorator(Protocol):
    """What `@step(...)` returns."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Step[P, R]: ...


class OnEvent(Protocol[E]):
    """What `@workflow(on=SomeEvent)` returns."""

    def __call__(self, fn: Callable[[E], Coroutine[Any, Any, R]], /) -> Workflow[[E], R]: ...


class OnBatch(Protocol[E]):
    """What `@workflow(on=SomeEvent, batch=...)` returns."""

    def __call__(self, fn: Callable[[list[E]], Coroutine[Any, Any, R]], /) -> Workflow[[list[E]], R]: ...


class OnCron(Protocol):
    """What `@workflow(on=Cron(...))` returns: the function takes nothing or the scheduled time."""

    @overload
    def __call__(self, fn: Callable[[], Coroutine[Any, Any, R]], /) -> Workflow[[], R]: ...
    @overload
    def __call__(self, fn: Callable[[datetime], Coroutine[Any, Any, R]], /) -> Workflow[[datetime], R]: ...


class OnAny(Protocol):
    """What `@workflow(...)` returns without one trigger that fixes the parameters."""

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


@overload
def step(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Step[P, R]: ...
@overload
def step(fn: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str = ...,
    aliases: Sequence[str] = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    timeout: Duration = ...,
    schedule_to_start: Duration = ...,
    heartbeat: Duration = ...,
    compensate: Callable[..., Awaitable[Any]] = ...,
    idempotent: bool = ...,
    at_most_once: bool = ...,
    transactional: bool = ...,
    pure: bool = ...,
    raises: Sequence[type[Exception]] = ...,
    executor: str = ...,
    concurrency: Concurrency[Any] = ...,
    throttle: Throttle[Any] = ...,
) -> StepDecorator: ...
def step(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a module-level function (sync or async) a step: the only place for effects.

    Options are listed in the language page; checks are `flowgraph check`'s.
    """
    given = StepOptions(**options)

    def decorate(fn: Callable[..., Any]) -> Step[..., Any]:
        return Step(fn, given)

    return decorate if fn is None else decorate(fn)


def subflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Subflow[P, R]:
    """Make a module-level `async def` a durable helper in the workflow language."""
    return Subflow(fn)


def pure(fn: Callable[P, R], /) -> Callable[P, R]:
    """Mark a helper in the expression subset; it is copied into the machines that call it. The function itself is returned."""
    fn.__flowgraph_pure__ = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    return fn


def invariant(fn: Callable[..., bool], /) -> Callable[..., bool]:
    """Mark a predicate over a run's history for `flowgraph check --explore`. The function itself is returned."""
    fn.__flowgraph_invariant__ = True  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    return fn


@overload
def workflow(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    on: type[E],
    batch: Batch[E],
    name: str = ...,
    aliases: Sequence[str] = ...,
    where: Callable[[E], bool] = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    timeout: Duration = ...,
    concurrency: Concurrency[E] | Sequence[Concurrency[E]] = ...,
    priority: int = ...,
    on_failure: Callable[[list[E], Exception], Awaitable[Any]] = ...,
    on_cancel: Callable[[list[E]], Awaitable[Any]] = ...,
) -> OnBatch[E]: ...
@overload
def workflow(
    *,
    on: type[E],
    name: str = ...,
    aliases: Sequence[str] = ...,
    where: Callable[[E], bool] = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    timeout: Duration = ...,
    concurrency: Concurrency[E] | Sequence[Concurrency[E]] = ...,
    throttle: Throttle[E] = ...,
    rate_limit: RateLimit[E] = ...,
    debounce: Debounce[E] = ...,
    priority: int | Callable[[E], int] = ...,
    singleton: Singleton[E] = ...,
    idempotency: Idempotency[E] = ...,
    cancel_on: Sequence[On[Any]] = ...,
    on_failure: Callable[[E, Exception], Awaitable[Any]] = ...,
    on_cancel: Callable[[E], Awaitable[Any]] = ...,
) -> OnEvent[E]: ...
@overload
def workflow(
    *,
    on: Cron,
    name: str = ...,
    aliases: Sequence[str] = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    timeout: Duration = ...,
    concurrency: Concurrency[Any] = ...,
    priority: int = ...,
    singleton: Singleton[Any] = ...,
    on_failure: Callable[[datetime, Exception], Awaitable[Any]] = ...,
    on_cancel: Callable[[datetime], Awaitable[Any]] = ...,
) -> OnCron: ...
@overload
def workflow(
    *,
    on: Sequence[type[Event] | Cron] = ...,
    where: Callable[[Any], bool] = ...,
    name: str = ...,
    aliases: Sequence[str] = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    timeout: Duration = ...,
    concurrency: Concurrency[Any] | Sequence[Concurrency[Any]] = ...,
    priority: int = ...,
    singleton: Singleton[Any] = ...,
    idempotency: Idempotency[Any] = ...,
    cancel_on: Sequence[On[Any]] = ...,
    on_failure: Callable[[Any, Exception], Awaitable[Any]] = ...,
    on_cancel: Callable[[Any], Awaitable[Any]] = ...,
) -> OnAny: ...
def workflow(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a module-level `async def` a workflow, compiled to a machine.

    Options are listed in the language page; checks are `flowgraph check`'s.
    """
    given = WorkflowOptions(**options)

    def decorate(fn: Callable[..., Any]) -> Workflow[..., Any]:
        return Workflow(fn, given)

    return decorate if fn is None else decorate(fn)


__all__ = ["UNSET", "Step", "Subflow", "Workflow", "invariant", "pure", "step", "subflow", "workflow"]
