"""What code can ask about the run or step that it is part of; the runtime and the direct run set the context variables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from logging import Logger
from typing import Any, TypeAlias, TypeVar

from flowgraph.errors import NotInRun, NotInStep

T = TypeVar("T")


def _no_heartbeat(details: object) -> None:
    """Nobody listens outside the runtime."""


@dataclass(frozen=True)
class StepContext:
    """One attempt of one step: `attempt` counts from 1, `idempotency_key` is the same for all attempts of one visit."""

    attempt: int
    idempotency_key: str
    run_id: str
    step: str
    logger: Logger = field(default_factory=lambda: logging.getLogger("flowgraph.step"))
    on_heartbeat: Callable[[object], None] = _no_heartbeat

    def heartbeat(self, details: object = None) -> None:
        """Tell the engine that the step is alive; `details` are shown with the attempt."""
        self.on_heartbeat(details)


@dataclass(frozen=True)
class RunInfo:
    """The run that the workflow body belongs to; `machine` is the fingerprint, empty in a direct run."""

    id: str
    workflow: str
    machine: str
    started_at: datetime
    event_id: str | None
    attempt_of_run: int = 1


Description: TypeAlias = tuple[Callable[..., StepContext], *tuple[Any, ...]]
"""A function that makes a step's context, and its arguments."""
_STEP: ContextVar[StepContext | Description | None] = ContextVar("flowgraph_step", default=None)
"""A description stands for the context that is made of it when a step first asks for one: most steps never do."""
_RESOURCES: ContextVar[Mapping[type[Any], Any] | None] = ContextVar("flowgraph_resources", default=None)
_RUN: ContextVar[RunInfo | None] = ContextVar("flowgraph_run_info", default=None)


def step_context() -> StepContext:
    """Return the running step's context. Raises `NotInStep` outside a step."""
    context = current_step()
    if context is None:
        raise NotInStep("step_context() is called outside a step: call it in the body of a @step function")
    return context


def current_step() -> StepContext | None:
    """Return the running step's context, or None outside a step."""
    context = _STEP.get()
    if context is None or isinstance(context, StepContext):
        return context
    describe, *arguments = context
    made = describe(*arguments)
    _STEP.set(made)
    return made


def resource(kind: type[T], /) -> T:
    """Return the resource of type `kind` that the application (or a test) provides.

    Raises `NotInStep` when nothing provides it.
    """
    provided = current_resources()
    if kind in provided:
        return provided[kind]  # type: ignore[no-any-return]
    known = ", ".join(sorted(k.__name__ for k in provided)) or "nothing"
    raise NotInStep(f"no resource {kind.__name__}: the application's lifespan provides {known}")


def current_resources() -> Mapping[type[Any], Any]:
    """Return what is provided here, by type."""
    return _RESOURCES.get() or {}


def run_info() -> RunInfo:
    """Return what is known about the current run. Raises `NotInRun` outside one."""
    info = _RUN.get()
    if info is None:
        raise NotInRun("run_info() is called outside a workflow run")
    return info


@contextmanager
def step_scope(context: StepContext | None) -> Generator[None, None, None]:
    """Make `context` the running step's for the block."""
    token = _STEP.set(context)
    try:
        yield
    finally:
        _STEP.reset(token)


@contextmanager
def resources_scope(resources: Mapping[type[Any], Any]) -> Generator[None, None, None]:
    """Provide `resources`, by type, for the block; they replace the ones of an outer block."""
    token = _RESOURCES.set(resources)
    try:
        yield
    finally:
        _RESOURCES.reset(token)


@contextmanager
def run_scope(info: RunInfo | None) -> Generator[None, None, None]:
    """Make `info` the current run's for the block; None hides it, as inside a step."""
    token = _RUN.set(info)
    try:
        yield
    finally:
        _RUN.reset(token)


def enter_surroundings(resources: Mapping[type[Any], Any]) -> None:
    """Provide `resources`, and hide the current run, in this `contextvars` context for good: for a runner that copies it."""
    _RESOURCES.set(resources)
    _RUN.set(None)


enter_step: Callable[[Description], object] = _STEP.set
"""Make what a description describes the running step's in this `contextvars` context for good: for a runner that gives each
attempt its own."""
