"""What the integration tests share: modules of workflows from text, a real service on a database file, and a log of steps."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from flowgraph import step_context
from flowgraph_compiler import Compilation
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.report import text as report_text
from flowgraph_compiler.source import from_text
from flowgraph_runtime.clock import Clock, SystemClock
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.records import JournalRow, RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import ENDED
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.timers import SkippingClock
from flowgraph_runtime.views import error_view, run_status

PRELUDE = """
import asyncio, sys, threading, time
from datetime import UTC, datetime, timedelta
from typing import Any
from flowgraph import (Backoff, Cancelled, Concurrency, Cron, Err, Event, NonRetriable, Ok, RetryAfter, fan_out, now, parallel,
    race, run_info, saga, send, settle, sleep, sleep_until, start, step, step_context, subflow, timeout, wait_for, workflow)
from tests.integration.harness import LOG
"""

_NUMBERS = count(1)


@dataclass
class Log:
    """What steps did, in order, and what a test tells them: `failing` is how many attempts of a step fail."""

    calls: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    keys: list[str] = field(default_factory=list[str])
    notes: list[Any] = field(default_factory=list[Any])
    failing: int = 0

    def enter(self, name: str) -> int:
        """Note a call and return the number of its attempt."""
        context = step_context()
        self.calls.append((name, context.attempt))
        self.keys.append(context.idempotency_key)
        return context.attempt

    def note(self, what: Any) -> None:
        """Remember anything."""
        self.notes.append(what)

    def count(self, name: str) -> int:
        """How many attempts of a step began."""
        return sum(call[0] == name for call in self.calls)

    def clear(self) -> None:
        """Forget everything."""
        self.calls.clear()
        self.keys.clear()
        self.notes.clear()
        self.failing = 0


LOG = Log()


@cache
def compiled(text: str) -> Compilation:
    """Compile a module of workflows; what it imports is in `PRELUDE`."""
    source = from_text(PRELUDE + textwrap.dedent(text), f"integration_flows_{next(_NUMBERS)}")
    compilation = compile_application([source])
    assert compilation.ok, report_text(compilation.diagnostics)
    return compilation


class Engine:
    """A running service, as a test talks to it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.store = service.store

    async def start(self, workflow: str, **given: Any) -> str:
        """Start a run by its parameters."""
        run_id, _ = await self.service.intake.start(workflow, given)
        return run_id

    async def send(self, name: str, /, **data: Any) -> list[str]:
        """Send an event and return the runs that it started."""
        (result,) = await self.service.intake.send([Posted(name, data)])
        return list(result.run_ids)

    async def row(self, run_id: str) -> RunRow:
        """Return the run as it is stored."""
        row = await self.store.run(run_id)
        assert row is not None
        return row

    async def journal(self, run_id: str) -> list[JournalRow]:
        """Return what has happened to a run."""
        return list(await self.store.journal(run_id))

    async def reaches(self, run_id: str, *statuses: str, patience: float = 10.0) -> RunRow:
        """Wait until a run has one of these statuses."""
        return await self.until(lambda row: run_status(row) in statuses, run_id, patience)

    async def until(self, holds: Callable[[RunRow], bool], run_id: str, patience: float = 10.0) -> RunRow:
        """Wait until something holds for a run."""
        row = await self.row(run_id)
        try:
            async with asyncio.timeout(patience):
                while not holds(row):
                    await asyncio.sleep(0.005)
                    row = await self.row(run_id)
        except TimeoutError:
            raise AssertionError(f"{run_id} stays {run_status(row)}: {row.reason} {row.error}; {LOG.calls}") from None
        return row

    async def has_timer(self) -> int:
        """Wait until a timer is set and return when it is due."""
        due = await self.store.next_timer()
        while due is None:
            await asyncio.sleep(0.005)
            due = await self.store.next_timer()
        return due

    async def ended(self, run_id: str, patience: float = 10.0) -> RunRow:
        """Wait for the end of a run."""
        return await self.reaches(run_id, *ENDED, patience=patience)

    async def outcome(self, run_id: str, patience: float = 10.0) -> tuple[str, Any]:
        """Wait for the end of a run and return its status and its result or its error's type."""
        row = await self.ended(run_id, patience)
        if row.result is not None:
            return row.status, json.loads(row.result)
        error = error_view(row.error, self.service.registry.types)
        return row.status, error and error.type


@asynccontextmanager
async def engine(text: str, url: str, *, skip_time: bool = True, **settings: Any) -> AsyncIterator[Engine]:
    """Serve a module of workflows on a database. At the end the database must keep all its invariants."""
    async with serving(compiled(text), url, skip_time=skip_time, **settings) as served:
        yield served


@asynccontextmanager
async def serving(
    compilation: Compilation, url: str, *, skip_time: bool = True, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Engine]:
    """Serve a compilation, as `engine`."""
    clock = clock or (SkippingClock(SystemClock()) if skip_time else SystemClock())
    chosen = Settings(db=url, **{"poll_interval": 0.05, "grace": 1.0, **settings})
    store = open_store(chosen, clock)
    try:
        async with Service(Registry.from_compilation(compilation), store, chosen).running() as service:
            yield Engine(service)
            assert service.failure is None, service.failure
        assert violations(store) == []
    finally:
        store.close()
