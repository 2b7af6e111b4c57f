"""Retry policies: which level says what (`.with_()` > `@step` > calling workflow > default), in plain numbers."""

from __future__ import annotations

from typing import Any

from flowgraph.durations import Duration, parse_duration
from flowgraph.options import DEFAULT_BACKOFF, DEFAULT_RETRIES, UNSET, StepOptions, WorkflowOptions
from flowgraph.policies import Backoff
from flowgraph_compiler.graph import CallOverrides
from flowgraph_compiler.machine import Policy


def policy(call: CallOverrides, step: StepOptions, workflow: WorkflowOptions) -> Policy:
    """The policy of one step call. A subflow's steps take the run's workflow, like its own; a backoff counts as a whole."""
    retries = _first(call.retries, step.retries, workflow.retries, DEFAULT_RETRIES)
    kind, delay, factor, longest, jitter = numbers(_first(call.backoff, step.backoff, workflow.backoff, DEFAULT_BACKOFF))
    timeout = seconds(_first(call.timeout, step.timeout, None))
    return Policy(retries, kind, float(delay), float(factor), float(longest), float(jitter), timeout)


def numbers(backoff: Backoff) -> tuple[str, float, float, float, float]:
    """Kind, delay, factor, longest delay and jitter of a backoff; delays in seconds. Raises `DurationError`."""
    delay, longest = parse_duration(backoff.delay).total_seconds(), parse_duration(backoff.max).total_seconds()
    return backoff.kind, delay, float(backoff.factor), longest, float(backoff.jitter)


def seconds(duration: Duration | None) -> float | None:
    """A duration in seconds. Raises `DurationError`."""
    return None if duration is None else parse_duration(duration).total_seconds()


def _first(*levels: Any) -> Any:
    return next((value for value in levels[:-1] if value is not None and value is not UNSET), levels[-1])
