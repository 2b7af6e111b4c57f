"""`async with timeout(...)` and `async with saga()` in a direct run."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from flowgraph.branches import Branch, Request, current_branch
from flowgraph.durations import Duration, format_duration, parse_duration
from flowgraph.errors import COMPENSATION_FAILED, Cancelled, add_other_failure

Compensation = tuple[Callable[..., Awaitable[Any]], tuple[Any, ...], dict[str, Any]]

_COMPLETED = itertools.count()

_SAGA: ContextVar[SagaScope | None] = ContextVar("flowgraph_saga", default=None)


class TimeoutScope:
    """Cancels the block, children first, at the deadline; then raises `TimeoutError`. A block that ended before wins.

    When something around the block has been cancelled, too, `Cancelled` goes on to it.
    """

    def __init__(self, duration: Duration) -> None:
        self._duration = duration
        self._request = Request(interrupt=True, final=False)
        self._branch: Branch
        self._timer: asyncio.TimerHandle

    async def __aenter__(self) -> None:
        self._branch = current_branch("timeout()")
        seconds = parse_duration(self._duration).total_seconds()
        self._request.shields = self._branch.cleaning_up()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._branch.ask, self._request)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self._timer.cancel()
        if self._request in self._branch.requests:
            self._branch.requests.remove(self._request)
        around = any(request.delivered for request in self._branch.requests)
        if self._request.delivered and not around and isinstance(error, Cancelled):
            raise TimeoutError(f"timed out after {format_duration(parse_duration(self._duration))}") from None
        return False


class SagaScope:
    """Runs the compensations of the steps that completed inside, last first, when an exception leaves the block."""

    def __init__(self) -> None:
        self._done: list[tuple[int, Compensation]] = []  # with the order of completion
        self._branch: Branch
        self._outer: SagaScope | None = None
        self._token: Token[SagaScope | None]

    def completed(self, compensation: Compensation) -> None:
        """Note that a step with a compensation has completed."""
        self._done.append((next(_COMPLETED), compensation))

    async def __aenter__(self) -> None:
        self._branch = current_branch("saga()")
        self._outer = _SAGA.get()
        self._token = _SAGA.set(self)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _SAGA.reset(self._token)
        if isinstance(error, (Exception, Cancelled)):
            with self._branch.shielded():
                await self._compensate(error)
        elif error is None and self._outer is not None:
            self._outer._done = sorted(self._outer._done + self._done, key=lambda completed: completed[0])

    async def _compensate(self, error: BaseException) -> None:
        token = _SAGA.set(None)
        try:
            for _, (undo, args, kwargs) in reversed(self._done):
                await _attempt(undo, args, kwargs, error)
        finally:
            _SAGA.reset(token)


async def _attempt(
    undo: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException
) -> None:
    try:
        await undo(*args, **kwargs)
    except Exception as failure:  # the other compensations still have to run
        add_other_failure(error, failure, COMPENSATION_FAILED)


def current_saga() -> SagaScope | None:
    """Return the innermost saga around the running branch, or None."""
    return _SAGA.get()


def leave_sagas() -> Token[SagaScope | None]:
    """Hide the sagas around a child run or handler, which are not theirs."""
    return _SAGA.set(None)


def return_to_sagas(token: Token[SagaScope | None]) -> None:
    """Undo `leave_sagas`."""
    _SAGA.reset(token)
