"""The CPython side of the comparison: a generated program run directly under asyncio, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from flowgraph.codec import dumps
from flowgraph.direct import direct_run
from flowgraph.errors import Cancelled, compensation_failed
from flowgraph.virtual import run_virtual
from tests.differential.programs import RUNS, Program


@dataclass
class Observed:
    """What both sides must agree on: the result or the exception, as codec text, and how often each step was called with what."""

    status: str
    value: str
    calls: Counter[str]


def describe_error(error: BaseException) -> str:
    """The type, arguments, attributes, cause and notes of an exception; tracebacks and bookkeeping differ by nature."""
    cause = describe_error(error.__cause__) if error.__cause__ is not None else "-"
    attributes = {name: value for name, value in vars(error).items() if name not in ("flowgraph", "__notes__") and name[0] != "_"}
    notes = list(getattr(error, "__notes__", []))
    return f"{type(error).__name__} {error.args!r} {attributes!r} notes={notes!r} cause=({cause})"


def ping(namespace: dict[str, Any], n: int, text: str) -> Any:
    """One event of a program."""
    return namespace["Ping"](n=n, text=text)


@dataclass
class Singled:
    """The step call during which the run is cancelled: by what it is and which of the equal ones, since the order of parallel
    calls is nobody's promise."""

    call: tuple[object, ...]
    occurrence: int

    def is_last(self, calls: list[tuple[object, ...]]) -> bool:
        """Whether the call that was noted last is the one."""
        return repr(calls[-1]) == repr(self.call) and sum(repr(each) == repr(self.call) for each in calls) == self.occurrence


def single_out(program: Program, namespace: dict[str, Any]) -> Singled | None:
    """Choose a call among those of the uncancelled run; None when there are none that can be held."""
    if program.cancel_during is None:
        return None
    run_native(replace(program, cancel_during=None, cancel_after=None), namespace)
    calls = [call for call in namespace["CALLS"] if call[0] not in namespace["SYNC"]]
    if program.features & RUNS:  # equal calls of runs side by side are not to be told apart by their order
        counts = Counter(map(repr, calls))
        calls = [call for call in calls if counts[repr(call)] == 1]
    if not calls:
        return None
    number = int(program.cancel_during * len(calls))
    chosen = repr(calls[number])
    return Singled(calls[number], sum(repr(call) == chosen for call in calls[: number + 1]))


def run_native(program: Program, namespace: dict[str, Any], singled: Singled | None = None) -> Observed:
    """Run `flow` as ordinary Python."""
    calls: list[tuple[object, ...]] = namespace["CALLS"]
    calls.clear()
    argument = program.argument if program.trigger is None else ping(namespace, *program.trigger)

    asked: list[bool] = []
    over: list[bool] = []

    async def main() -> Any:
        events = [ping(namespace, n, text) for n, text in program.events]
        async with direct_run(events=events) as world:
            loop = asyncio.get_running_loop()
            timers = [loop.call_later(delay, world.publish, ping(namespace, n, text)) for delay, n, text in program.late]

            def cancel() -> None:
                if not over:
                    asked.append(True)
                    world.runs[0].cancel()

            if program.cancel_after is not None:
                timers.append(loop.call_later(program.cancel_after, cancel))

            async def hold() -> None:
                if singled is not None and singled.is_last(calls):
                    namespace["HELD"].clear()
                    timers.append(loop.call_later(0.001, cancel))
                    await asyncio.sleep(0.002)

            namespace["HELD"][:] = [] if singled is None else [hold]
            try:
                return await namespace["flow"](argument)
            finally:
                over.append(True)
                await world.finish_started()
                namespace["HELD"].clear()
                for timer in timers:
                    timer.cancel()

    try:
        status, value = "completed", dumps(run_virtual(main()))
    except (Cancelled, Exception) as error:
        status = "cancelled" if asked and not compensation_failed(error) else "failed"
        value = describe_error(error)
    return Observed(status, value, Counter(map(repr, calls)))
