"""The direct run: decorated functions called under plain asyncio."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import Any

from flowgraph.context import StepContext, current_step, step_scope


def call_step(step: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Call a step outside any run: once, with a context of its own."""
    inspect.signature(step.fn).bind(*args, **kwargs)
    return _plain_step(step, args, kwargs)


async def _plain_step(step: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with step_scope(current_step() or StepContext(1, f"direct:{step.name}:1", "direct", step.name)):
        result = step.fn(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result


def call_subflow(subflow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Call a subflow."""
    coroutine: Coroutine[Any, Any, Any] = subflow.fn(*args, **kwargs)
    return coroutine


def call_workflow(workflow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Call a workflow."""
    coroutine: Coroutine[Any, Any, Any] = workflow.fn(*args, **kwargs)
    return coroutine
