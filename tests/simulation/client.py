"""The outside of a simulation: a careful client. It repeats a request until that is acknowledged, and keeps what it was told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.intake import Intake, Posted
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import SimulatedCrash, StorageError


@dataclass
class Told:
    """What was acknowledged: (workflow, n) by run, n by event, and for each run that was to end when that was answered (None: it
    was over by then, or no answer came)."""

    runs: dict[str, tuple[str, int]] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    cancelled: dict[str, int | None] = field(default_factory=dict)


@dataclass
class Client:
    """`number` in its requests makes the id that a repetition repeats."""

    store: Store
    intake: Intake
    clock: Clock
    told: Told
    counts: Counter[str]

    async def start(self, number: int, workflow: str, n: int) -> None:
        """Start a run."""
        run_id, _ = await self._insist(lambda: self.intake.start(workflow, {"n": n}, idempotency_key=f"start {number}"))
        self.told.runs[run_id] = (workflow, n)
        self.counts["runs"] += 1

    async def send(self, number: int, name: str, n: int) -> list[str]:
        """Send an event; answers the runs that it started."""
        (result,) = await self._insist(lambda: self.intake.send([Posted(name, {"n": n}, id=f"{name} {number}")]))
        self.told.events[result.event_id] = n
        for run_id in result.run_ids:
            self.told.runs[run_id] = ((await self.store.run(run_id)).workflow, n)
        return list(result.run_ids)

    async def cancel(self, run_id: str) -> None:
        """Ask for the end of a run."""
        self.told.cancelled.setdefault(run_id, None)  # also when the answer is lost: the request may have been stored
        answer = await self._insist(lambda: self.store.ask_cancel(run_id, "simulated"))
        if answer == "cancelling" and self.told.cancelled[run_id] is None:
            self.told.cancelled[run_id] = self.clock.now()
        self.counts["cancels"] += 1

    async def _insist(self, call: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await call()
            except (StorageError, SimulatedCrash):
                self.counts["repeated"] += 1
                await asyncio.sleep(0.2)
