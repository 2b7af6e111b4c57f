"""One attempt of a step that runs elsewhere, as the worker sees it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from flowgraph.errors import StepTimeout
from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.engine.inputs import StepDone, StepFailed
from flowgraph_runtime.executors.assignments import StepExecutor, assignment_text, read_outcome


async def attempted(executor: StepExecutor, run_id: str, command: RunStep, now: int) -> StepDone | StepFailed:
    """Return the outcome of an attempt that `executor` makes. The step's timeout counts from where the step begins, not from
    where it waits for its turn.

    Raises what the attempt fails with here: `StepTimeout`, `StepInterrupted`, `CodecError`."""
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)

    def started() -> None:
        if command.timeout is not None:
            limit.reschedule(loop.time() + command.timeout)

    try:
        async with limit:
            reply = await executor.run(command.step, assignment_text(run_id, command, now), started)
    except TimeoutError:
        if limit.expired():
            raise StepTimeout.of(command.step, timedelta(seconds=command.timeout or 0)) from None
        raise
    return read_outcome(reply, command)
