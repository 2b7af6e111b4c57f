"""The CPython side of the comparison: a generated program run directly under asyncio, on a clock that jumps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from flowgraph.codec import dumps
from flowgraph.direct import direct_run
from flowgraph.virtual import run_virtual
from tests.differential.generator import Program


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


def pings(program: Program, namespace: dict[str, Any]) -> list[Any]:
    """The events of a program."""
    return [namespace["Ping"](n=n, text=text) for n, text in program.events]


def run_native(program: Program, namespace: dict[str, Any]) -> Observed:
    """Run `flow` as ordinary Python."""
    calls: list[tuple[object, ...]] = namespace["CALLS"]
    calls.clear()

    async def main() -> Any:
        async with direct_run(events=pings(program, namespace)):
            return await namespace["flow"](program.argument)

    try:
        status, value = "completed", dumps(run_virtual(main()))
    except Exception as error:
        status, value = "failed", describe_error(error)
    return Observed(status, value, Counter(map(repr, calls)))
