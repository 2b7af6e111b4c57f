"""The direct run: decorated functions under plain asyncio, with the same results, step calls and exceptions as the machine.

Arguments and results go by value, retries come without delay, and nothing is stored. `direct_run` sets events, clock and
resources for tests.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from flowgraph.branches import Branch, Request, boundary, branch_scope, current_branch
from flowgraph.calls import Call, bind, call_sync
from flowgraph.codec import copy_value
from flowgraph.context import RunInfo, StepContext, current_step, resources_scope, run_scope, step_scope
from flowgraph.durations import format_duration, parse_duration
from flowgraph.errors import (
    NEVER_RETRIED,
    Cancelled,
    CodecError,
    FailureInfo,
    ForeignError,
    NotInRun,
    RunTimeout,
    StepTimeout,
    add_other_failure,
)
from flowgraph.events import Event, meta_of
from flowgraph.groups import Group
from flowgraph.options import DEFAULT_RETRIES, UNSET, StepOptions, WorkflowOptions, given_or
from flowgraph.policies import Cron
from flowgraph.scopes import current_saga, leave_sagas, return_to_sagas
from flowgraph.world import Watch, World


class StepLike(Protocol):
    """What the direct run needs of a step."""

    fn: Callable[..., Any]
    name: str
    declared: str
    options: StepOptions


class SubflowLike(Protocol):
    """What the direct run needs of a subflow."""

    fn: Callable[..., Coroutine[Any, Any, Any]]
    name: str


class WorkflowLike(SubflowLike, Protocol):
    """What the direct run needs of a workflow."""

    options: WorkflowOptions


_RUN: ContextVar[DirectRun | None] = ContextVar("flowgraph_direct_run", default=None)
_WORLD: ContextVar[World | None] = ContextVar("flowgraph_direct_world", default=None)


class DirectRun:
    """One run of a workflow (or of a subflow on its own): its body, and its handlers."""

    def __init__(
        self,
        world: World,
        name: str,
        options: WorkflowOptions,
        call: Call,
        *,
        sees_all: bool = False,
        starter: str | None = None,
    ) -> None:
        self.world = world
        self.id = world.run_id()
        self.name = name
        self.options = options
        self.visits: Counter[str] = Counter()
        self.mailbox = world.open_mailbox(0 if sees_all else None)
        self.started_at = world.clock()
        self.branch = Branch()
        self._call = call
        self._deadline: Request | None = None
        world.runs.append(self)
        for value in call.args:
            if isinstance(value, Event):
                world.received(value, starter)

    @property
    def info(self) -> RunInfo:
        """Return what the body can ask about its run."""
        metas = [meta_of(value) for value in self._call.args if isinstance(value, Event)]
        return RunInfo(self.id, self.name, "", self.started_at, next((m.id for m in metas if m is not None), None))

    def cancel(self) -> None:
        """Ask the run to end, as an operator's cancel does."""
        self.branch.ask(Request(interrupt=True))

    async def execute(self) -> Any:
        """Run the body, then the handler that its end calls for; returns the result by value or raises what left the body."""
        asking = (self.options.on_failure, self.options.on_cancel, self.options.cancel_on)
        trigger = copy_value(self._trigger()) if any(option is not UNSET for option in asking) else None
        self._watch(trigger)
        with self._scopes():
            try:
                return await self._result()
            except BaseException as error:
                if isinstance(error, Cancelled) or (isinstance(error, Exception) and self._is_cancelled()):
                    await self._handle(self.options.on_cancel, error, trigger)
                elif isinstance(error, Exception):
                    _attach_failure(error, None, 0, self.id)
                    await self._handle(self.options.on_failure, error, trigger, copy_value(error))
                raise
            finally:
                self.world.mailboxes.remove(self.mailbox)

    async def as_branch(self) -> Any:
        """Run as the branch of a group: the child of another run."""
        self.branch = current_branch(self.name)
        return await self.execute()

    async def as_root(self) -> Any:
        """Run in the caller's task."""
        self.branch.coroutine = body = self.execute()
        return await body

    async def _result(self) -> Any:
        """Return the body's result by value; a run that was asked to end has none, whatever its body makes of it."""
        if self._is_cancelled():
            raise Cancelled
        result = copy_value(await self._body(), by=f"result of {self.name}")
        if self._is_cancelled():
            raise Cancelled
        return result

    def _is_cancelled(self) -> bool:
        return any(request.final and request is not self._deadline for request in self.branch.requests)

    async def _body(self) -> Any:
        if self.options.timeout is UNSET:
            return await self._call.fn(*self._call.args, **self._call.kwargs)
        return await self._within(parse_duration(self.options.timeout))

    async def _within(self, limit: timedelta) -> Any:
        self._deadline = request = Request(interrupt=True)
        timer = asyncio.get_running_loop().call_later(limit.total_seconds(), self.branch.ask, request)
        try:
            return await self._call.fn(*self._call.args, **self._call.kwargs)
        except Cancelled:
            if not request.delivered:
                raise
            raise RunTimeout(f"run of workflow '{self.name}' timed out after {format_duration(limit)}") from None
        finally:
            timer.cancel()

    async def _handle(self, handler: Callable[..., Awaitable[Any]] | Any, error: BaseException, *arguments: Any) -> None:
        if handler is UNSET:
            return
        try:
            with self.branch.shielded():
                await handler(*arguments)
        except Exception as failure:  # the run's own error is the one to report, with this one
            add_other_failure(error, failure, "handler failed")

    def _watch(self, trigger: Any) -> None:
        """Look out for the events of `cancel_on=`, those that have come already included."""
        entries = given_or(self.options.cancel_on, ())
        self.mailbox.watches += [Watch(entry.event, partial(entry.where, trigger), self.cancel) for entry in entries]
        for position, event in enumerate(self.world.stream):
            self.mailbox.cancelled_by(position, event)

    def _trigger(self) -> Any:
        """Return what a handler gets first: the event, batch or time that the workflow received, else its input by parameter
        name.
        """
        triggers = self.options.triggers()
        if not triggers:
            return self._call.by_name()
        if self._call.args:
            return self._call.args[0]
        return self.started_at if any(isinstance(trigger, Cron) for trigger in triggers) else {}

    @contextmanager
    def _scopes(self) -> Generator[None, None, None]:
        run, sagas = _RUN.set(self), leave_sagas()
        try:
            with ExitStack() as stack:
                stack.enter_context(branch_scope(self.branch))
                stack.enter_context(run_scope(self.info))
                stack.enter_context(step_scope(None))
                if self.world.resources is not None:
                    stack.enter_context(resources_scope(self.world.resources))
                yield
        finally:
            return_to_sagas(sagas)
            _RUN.reset(run)


boundary(DirectRun.execute.__code__)


def current_run(what: str) -> DirectRun:
    """Return the running direct run. Raises `NotInRun`, naming `what` was called, outside one."""
    run = _RUN.get()
    if run is None:
        place = "inside a step" if current_step() is not None else "outside a workflow run"
        raise NotInRun(f"{what} is called {place}: call it in the body of a @workflow or @subflow")
    return run


def call_step(step: StepLike, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Call a step: durable inside a run; elsewhere a plain call with a context of its own."""
    run = _RUN.get()
    if run is None:
        return _plain_step(step, args, kwargs)
    return _step_in_run(run, step, bind(step.fn, step.name, args, kwargs))


async def _plain_step(step: StepLike, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    context = current_step() or StepContext(1, f"direct:{step.name}:1", "direct", step.name)
    with step_scope(context):
        result = step.fn(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result


async def _step_in_run(run: DirectRun, step: StepLike, call: Call) -> Any:
    branch = current_branch(step.name)
    run.visits[step.name] += 1
    key = f"{run.id}:{step.name}:{run.visits[step.name]}"
    retries = _retries(run, step)
    attempt = 1
    while True:
        context = StepContext(attempt, key, run.id, step.declared)
        task = asyncio.get_running_loop().create_task(_attempt(step, call, context), context=contextvars.copy_context())
        try:
            return await branch.suspend(task, "step")
        except Exception as error:
            if attempt > retries or isinstance(error, NEVER_RETRIED):
                _attach_failure(error, step.declared, attempt, run.id)
                raise
        attempt += 1


def _retries(run: DirectRun, step: StepLike) -> int:
    inherited = given_or(run.options.retries, DEFAULT_RETRIES)
    return given_or(step.options.retries, 0 if given_or(step.options.at_most_once, False) else inherited)


async def _attempt(step: StepLike, call: Call, context: StepContext) -> Any:
    """Make one attempt; its result, or the error, is a copy.

    A completed step is noted for the saga even when nobody wants its result any more.
    """
    saga = current_saga()
    try:
        result = copy_value(await _timed(step, call.copy(step.name), context), by=f"result of {step.name}")
    except Exception as error:
        own = _error_by_value(error)
        raise own from own.__cause__
    if saga is not None and step.options.compensate is not UNSET:
        saga.completed((step.options.compensate, call.args, call.kwargs))
    return result


async def _timed(step: StepLike, call: Call, context: StepContext) -> Any:
    if step.options.timeout is UNSET:
        return await _invoke(call, context)
    limit = parse_duration(step.options.timeout)
    scope = asyncio.timeout(limit.total_seconds())
    try:
        async with scope:
            return await _invoke(call, context)
    except TimeoutError:
        if not scope.expired():
            raise
        raise StepTimeout.of(step.name, limit) from None


async def _invoke(call: Call, context: StepContext) -> Any:
    """Call the author's function: coroutines here, the others in a thread. No primitive of the body works inside."""
    run = _RUN.set(None)
    try:
        with step_scope(context), run_scope(None), branch_scope(None):
            if inspect.iscoroutinefunction(call.fn):
                return await call.fn(*call.args, **call.kwargs)
            return await asyncio.to_thread(call_sync, call.fn, call.args, call.kwargs)
    finally:
        _RUN.reset(run)


def _error_by_value(error: Exception) -> Exception:
    """Return the error as the machine would raise it, or itself when its class cannot be built from data."""
    try:
        copied = copy_value(error)
    except CodecError:
        return error
    if isinstance(copied, ForeignError) and not isinstance(error, ForeignError):
        return error
    return copied.with_traceback(error.__traceback__)


def _attach_failure(error: Exception, step: str | None, attempts: int, run_id: str) -> None:
    """Say in `error.flowgraph` which step failed; what a step has said stands."""
    known = getattr(error, "flowgraph", None)
    if not isinstance(known, FailureInfo) or (step is not None and known.run_id != run_id):
        error.flowgraph = FailureInfo(step, attempts, run_id)  # type: ignore[attr-defined]


def call_subflow(subflow: SubflowLike, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Call a subflow as part of the current run; elsewhere as a run of its own."""
    call = bind(subflow.fn, subflow.name, args, kwargs)
    if _RUN.get() is not None:
        return _subflow_in_run(subflow, call)
    _refuse_in_step("subflow", subflow.name)
    return _root(subflow.name, WorkflowOptions(), call)


async def _subflow_in_run(subflow: SubflowLike, call: Call) -> Any:
    return copy_value(await call.fn(*call.args, **call.kwargs), by=f"result of {subflow.name}")


def call_workflow(workflow: WorkflowLike, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Run a workflow: as a child of the current run, else as a direct run."""
    call = bind(workflow.fn, workflow.name, args, kwargs)
    parent = _RUN.get()
    if parent is not None:
        return _child(parent, workflow, call)
    _refuse_in_step("workflow", workflow.name)
    return _root(workflow.name, workflow.options, call)


def _refuse_in_step(kind: str, name: str) -> None:
    if current_step() is not None:
        raise NotInRun(f"{kind} '{name}' is called inside a step: call it in a workflow, or start it with the client")


async def _child(parent: DirectRun, workflow: WorkflowLike, call: Call) -> Any:
    run = DirectRun(parent.world, workflow.name, workflow.options, call, starter=parent.id)
    group = Group([run.as_branch()], "all")
    await group.run(current_branch(workflow.name))
    try:
        return group.results()[0]
    except Exception as error:
        own = _error_by_value(error)
        raise own from own.__cause__


async def _root(name: str, options: WorkflowOptions, call: Call) -> Any:
    outer = _WORLD.get()
    world = outer or World()
    try:
        return await DirectRun(world, name, options, call, sees_all=True).as_root()
    finally:
        if outer is None:
            await world.finish_started()


def start_workflow(run: DirectRun, workflow: WorkflowLike, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Start a run that nobody waits for; returns its id."""
    call = bind(workflow.fn, workflow.name, args, kwargs)
    started = DirectRun(run.world, workflow.name, workflow.options, call, starter=run.id)
    run.world.started.append(asyncio.get_running_loop().create_task(started.as_root()))
    return started.id


@asynccontextmanager
async def direct_run(
    *,
    events: Sequence[Event] = (),
    clock: Callable[[], datetime] | None = None,
    resources: Mapping[type[Any], Any] | None = None,
) -> AsyncGenerator[World, None]:
    """Set what the workflows called inside find: `events` already in the stream, the `clock` of `now()`, `resources` for steps.

    Yields the world: `publish(event)` adds an event later, `sent` lists what the workflows sent, `runs[0].cancel()` cancels
    the first run.
    """
    world = World(clock, resources)
    for event in events:
        world.publish(event)
    token = _WORLD.set(world)
    try:
        yield world
        await world.finish_started()
    finally:
        _WORLD.reset(token)
