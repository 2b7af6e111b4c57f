"""flowgraph: durable workflows as typed async Python functions. What authors import."""

from flowgraph.context import RunInfo, StepContext, resource, run_info, step_context
from flowgraph.decorators import Step, Subflow, Workflow, invariant, pure, step, subflow, workflow
from flowgraph.durations import Duration
from flowgraph.errors import Cancelled, NonRetriable, RetryAfter, RunTimeout, StepFailed, StepInterrupted, StepTimeout
from flowgraph.events import Event, EventMeta
from flowgraph.policies import (
    Backoff,
    Batch,
    Concurrency,
    Cron,
    Debounce,
    Idempotency,
    Key,
    On,
    RateLimit,
    Singleton,
    Throttle,
    on,
)

__all__ = [
    "Backoff",
    "Batch",
    "Cancelled",
    "Concurrency",
    "Cron",
    "Debounce",
    "Duration",
    "Event",
    "EventMeta",
    "Idempotency",
    "Key",
    "NonRetriable",
    "On",
    "RateLimit",
    "RetryAfter",
    "RunInfo",
    "RunTimeout",
    "Singleton",
    "Step",
    "StepContext",
    "StepFailed",
    "StepInterrupted",
    "StepTimeout",
    "Subflow",
    "Throttle",
    "Workflow",
    "invariant",
    "on",
    "pure",
    "resource",
    "run_info",
    "step",
    "step_context",
    "subflow",
    "workflow",
]
