"""`wait_for`, `sleep_until` and `send` in a direct run."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable
from datetime import datetime
from types import CellType, FunctionType
from typing import Any, Literal

from flowgraph.branches import current_branch, pause
from flowgraph.codec import copy_value
from flowgraph.direct import DirectRun, current_run
from flowgraph.durations import Duration, aware, parse_duration
from flowgraph.errors import CodecError
from flowgraph.events import Event
from flowgraph.world import Wait


async def wait(
    event: type[Event], where: Callable[[Any], bool] | None, deadline: Duration | None, since: Literal["start", "now"]
) -> Event | None:
    """Take the earliest event that fits, come or still to come; None at the deadline."""
    run, branch = current_run("wait_for()"), current_branch("wait_for()")
    loop = asyncio.get_running_loop()
    future: Future[Event | None] = loop.create_future()
    registered = Wait(event, where, run.world.first_seen(run.mailbox, since), future)
    timer = None if deadline is None else loop.call_later(parse_duration(deadline).total_seconds(), _give_up, future)
    _take_early(run, registered)
    run.mailbox.waits.append(registered)
    try:
        return await branch.suspend(future, "wait")
    finally:
        run.mailbox.waits.remove(registered)
        if timer is not None:
            timer.cancel()


def _take_early(run: DirectRun, registered: Wait) -> None:
    for position, event in enumerate(run.world.stream):
        if registered.future.done() or run.mailbox.take(registered, position, event):
            return


def _give_up(future: Future[Event | None]) -> None:
    if not future.done():
        future.set_result(None)


def freeze(where: Callable[[Any], bool] | None) -> Callable[[Any], bool] | None:
    """Return `where` with what it captures as it is now: a machine stores these values with the wait."""
    if not isinstance(where, FunctionType) or not where.__closure__:
        return where
    cells = tuple(CellType(_own(cell.cell_contents)) for cell in where.__closure__)
    return FunctionType(where.__code__, where.__globals__, where.__name__, where.__defaults__, cells)


def _own(value: Any) -> Any:
    try:
        return copy_value(value)
    except CodecError:
        return value  # a helper of the enclosing function: nothing a machine would store, and nothing that changes


async def pause_until(when: datetime) -> None:
    """Suspend until `when` (aware), at once when it has passed. Raises `ValueError` for a naive datetime."""
    run, branch = current_run("sleep_until()"), current_branch("sleep_until()")
    await pause(branch, (aware(when) - run.world.clock()).total_seconds())


async def publish(event: Event) -> None:
    """Put `event` into the stream, by value."""
    run = current_run("send()")
    run.world.publish(event, run.id)
    run.world.sent.append(run.world.stream[-1])
