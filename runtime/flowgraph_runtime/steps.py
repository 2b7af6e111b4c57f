"""One attempt of one step: arguments in, an outcome out. Nothing a step raises gets past here, except our own interruption."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType, coroutine
from typing import Any, TypeAlias

from flowgraph.calls import left_coroutine
from flowgraph.codec import dumps
from flowgraph.context import Description, StepContext, enter_step, enter_surroundings
from flowgraph.durations import parse_duration
from flowgraph.errors import (
    NEVER_RETRIED,
    CodecError,
    LimitExceeded,
    NonRetriable,
    RetryAfter,
    StepTimeout,
    capture_traceback,
    error_names,
)
from flowgraph_compiler.declarations import StepDecl
from flowgraph_runtime.clock import Clock
from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.engine.inputs import NOT_KEPT, StepDone, StepFailed
from flowgraph_runtime.engine.values import plain_text
from flowgraph_runtime.executors.assignments import StepExecutor
from flowgraph_runtime.executors.attempts import attempted

Outcome: TypeAlias = StepDone | StepFailed
RESULT_LIMIT = 1_000_000
"""Bytes of a step result's codec text (the promises page, item 9)."""
_SURELY_WITHIN = RESULT_LIMIT // 4
"""Characters that cannot be more bytes than that."""

_LOG = logging.getLogger("flowgraph.step")


class _ArgumentError(NonRetriable):
    """The step does not accept the arguments that the machine passes: another attempt cannot mend it."""


@coroutine
def _in_context(
    running: Coroutine[Any, Any, Any], waits_for: Any, context: Context, watched: StepRunner, run_id: str, step: str
) -> Generator[Any, Any, Any]:
    """Await the rest of a step's coroutine, which `waits_for` something, inside its own `contextvars` context, so that what the
    step sets does not leak into the next one that the same pool worker runs. A task per step would do the same at five times
    the cost.

    `watched.busy` says so while a slice of it runs, each time as a tuple of its own: what the watchdog looks at."""
    resume: Callable[[Any], Any]
    value: Any
    while True:
        try:
            value = yield waits_for
            resume = running.send
        except GeneratorExit:
            running.close()
            raise
        except BaseException as error:
            value, resume = error, running.throw
        watched.busy = (run_id, step)
        try:
            waits_for = context.run(resume, value)
        except StopIteration as stop:
            return stop.value
        finally:
            watched.busy = None


class Hold:
    """Slots of limits that an attempt holds: `release` is called when the last of those that use them has ended, the attempt
    itself and its thread, which an interruption does not stop."""

    __slots__ = ("_release", "_users")

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._users = 1

    def enter(self) -> None:
        """One more uses them."""
        self._users += 1

    def leave(self) -> None:
        """One less does."""
        self._users -= 1
        if not self._users:
            self._release()


class StepRunner:
    """Runs attempts. `resources` are what the application's lifespan provides, by type; `elsewhere`: step name -> executor of the
    steps that do not run here.

    `busy` is (run id, step) while a step's own code holds the loop, for the watchdog."""

    def __init__(
        self,
        steps: Mapping[str, StepDecl],
        clock: Clock,
        executor: Executor | None,
        resources: Mapping[type[Any], Any] | None = None,
        on_heartbeat: Callable[[str, int, object], None] | None = None,
        elsewhere: Mapping[str, StepExecutor] | None = None,
    ) -> None:
        self._steps = steps
        self._clock = clock
        self._executor = executor or ThreadPoolExecutor(thread_name_prefix="flowgraph-step")
        self._on_heartbeat = on_heartbeat
        self._context = copy_context()
        self._context.run(enter_surroundings, resources or {})
        self._loggers: dict[str, logging.Logger] = {}
        self.elsewhere = elsewhere or {}
        self._in_loop = {
            name: declared.step.fn for name, declared in steps.items() if declared.is_async and name not in self.elsewhere
        }
        self.busy: tuple[str, str] | None = None

    def begin(self, run_id: str, command: RunStep, hold: Hold | None = None) -> Outcome | Coroutine[Any, Any, Outcome]:
        """Start one attempt: an asynchronous step runs up to its first wait at once.

        Returns the outcome when the step has ended by then, which spares a quick one the cost of coroutines; else what brings the
        outcome when it is awaited, in this task and next. Both raise only `asyncio.CancelledError`, when the attempt is
        interrupted. A thread that it runs in uses `hold` until its end."""
        fn = self._in_loop.get(command.step)
        if fn is None and (executor := self.elsewhere.get(command.step)) is not None:
            return self._elsewhere(executor, run_id, command)
        try:
            deadline = None if command.timeout is None else asyncio.get_running_loop().time() + command.timeout
            context = self._context.copy()
            described = (self._describe, run_id, command)
            if fn is None:
                return self._rest(self._in_thread(context, described, command, hold), deadline, command)
            self.busy = (run_id, command.step)
            try:
                running, reached = context.run(_call_and_start, described, fn, command)
            finally:
                self.busy = None
            if running is None:
                return _done(command, reached)
            return self._rest(_in_context(running, reached, context, self, run_id, command.step), deadline, command)
        except BaseException as error:
            return self._failed(command, error)

    async def _rest(self, running: Awaitable[Any], deadline: float | None, command: RunStep) -> Outcome:
        try:
            result = await (running if deadline is None else _limited(running, deadline, command))
            return _done(command, result)
        except BaseException as error:
            return self._failed(command, error)

    async def _elsewhere(self, executor: StepExecutor, run_id: str, command: RunStep) -> Outcome:
        try:
            return await attempted(executor, run_id, command, self._clock.now())
        except BaseException as error:
            error.__traceback__ = None  # nothing in it is the author's
            return self._failed(command, error)

    def _in_thread(self, context: Context, described: Description, command: RunStep, hold: Hold | None) -> Awaitable[Any]:
        declared = self._steps.get(command.step)
        if declared is None:
            raise _ArgumentError(f"no step is named '{command.step}' in the deployed code")
        context.run(enter_step, described)
        thread = self._executor.submit(partial(_call, context, declared.step.fn, command.arguments, command.keywords))
        if hold is not None:
            hold.enter()
            thread.add_done_callback(partial(_leave, hold, asyncio.get_running_loop()))
        return asyncio.wrap_future(thread)

    def _describe(self, run_id: str, command: RunStep) -> StepContext:
        beat = self._on_heartbeat
        return StepContext(
            attempt=command.attempt,
            idempotency_key=f"{run_id}:{command.site}:{command.visit}",
            run_id=run_id,
            step=command.step,
            logger=self._logger(command.step),
            on_heartbeat=_no_heartbeat if beat is None else lambda details: beat(run_id, command.serial, details),
        )

    def _logger(self, step: str) -> logging.Logger:
        logger = self._loggers.get(step)
        if logger is None:
            logger = self._loggers[step] = _LOG.getChild(step)
        return logger

    def _failed(self, command: RunStep, error: BaseException) -> StepFailed:
        if isinstance(error, asyncio.CancelledError) and _being_cancelled():
            raise error
        if isinstance(error, _Raised):
            error = error.error
        retry_at = None
        final = not isinstance(error, Exception) or isinstance(error, NEVER_RETRIED)
        if isinstance(error, RetryAfter):
            try:
                retry_at = retry_moment(error.delay, self._clock.now())
            except ValueError as wrong:
                error, final = NonRetriable(f"RetryAfter: {wrong}"), True
        return StepFailed(command.serial, command.attempt, encoded_error(error), retry_at, final)


class _Raised(Exception):
    """Carries an exception out of a thread: a future refuses StopIteration, and asyncio treats SystemExit as its own."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _call_and_start(
    described: Description, fn: Callable[..., Any], command: RunStep
) -> tuple[Coroutine[Any, Any, Any] | None, Any]:
    """Call an asynchronous step and run it up to its first wait, in its context: the coroutine and what it waits for, or None
    and its result."""
    enter_step(described)
    try:
        running = fn(*command.arguments, **command.keywords)
    except TypeError as error:
        raise _ArgumentError(str(error)) from error
    try:
        return running, running.send(None)
    except StopIteration as stop:
        return None, stop.value


def _call(context: Context, fn: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """A synchronous step, in its thread."""
    try:
        return context.run(fn, *arguments, **keywords)
    except TypeError as error:
        traceback = error.__traceback__
        if traceback is not None and traceback.tb_next is None:  # raised by the call itself, not by the body
            raise _Raised(_ArgumentError(str(error))) from error
        raise _Raised(error) from error
    except BaseException as error:
        raise _Raised(left_coroutine(error)) from error


def _leave(hold: Hold, loop: asyncio.AbstractEventLoop, _: object) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody keeps these slots any more
        loop.call_soon_threadsafe(hold.leave)


async def _limited(running: Awaitable[Any], deadline: float, command: RunStep) -> Any:
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            return await running
    except TimeoutError:
        if limit.expired():
            raise StepTimeout.of(command.step, timedelta(seconds=command.timeout or 0)) from None
        raise


def _no_heartbeat(details: object) -> None:
    del details


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def retry_moment(delay: str | timedelta | datetime, now: int) -> int:
    """Return when `RetryAfter(delay)` wants the next attempt, in microseconds. Raises ValueError for a naive datetime."""
    if isinstance(delay, datetime):
        if delay.tzinfo is None:
            raise ValueError("the moment needs a time zone: datetime.now(UTC) + ...")
        return max(now, round(delay.timestamp() * 1_000_000))
    return now + parse_duration(delay) // timedelta(microseconds=1)


def _done(command: RunStep, result: object) -> StepDone:
    """The outcome of an attempt that returned. Raises `CodecError` (not storable) or `LimitExceeded` (over 1 MB)."""
    text, kept = plain_text(result), result
    if text is None:
        text, kept = dumps(result, by=f"result of {command.step}"), NOT_KEPT
    elif type(result) is dict:  # the step may still hold its own; a copy is cheaper than decoding
        kept = result.copy()  # pyright: ignore[reportUnknownVariableType]
    if len(text) > _SURELY_WITHIN:
        size = len(text.encode())
        if size > RESULT_LIMIT:
            raise LimitExceeded("the bytes of a step's result", RESULT_LIMIT, size)
    return StepDone(command.serial, command.attempt, text, kept)  # pyright: ignore[reportUnknownArgumentType]


def encoded_error(error: BaseException) -> str:
    """Return the codec text of an exception; one that carries what cannot be stored is replaced by its name and text."""
    error.__traceback__ = _own_frames(error.__traceback__)
    capture_traceback(error)
    try:
        text = dumps(error)
    except CodecError as refused:
        return dumps(_replacement(error, f"(its attributes cannot be stored: {refused})"))
    if len(text) > _SURELY_WITHIN and len(text.encode()) > RESULT_LIMIT:
        return dumps(_replacement(error, "(cut: the error is larger than 1 MB)"))
    return text


def _own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out how the runtime got to the step: the first frame that is not of this file is the step's own."""
    while traceback is not None and traceback.tb_next is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback


def _replacement(error: BaseException, why: str) -> Exception:
    text = str(error)[:10_000].encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    replacement = RuntimeError(f"{error_names(error)[0]}: {text}")
    replacement.add_note(why)
    return replacement
