"""Loads runs that have a history, one after the other, until the database answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from flowgraph_runtime.engine.state import references
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.records import LoadedRun, RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import Outage, UnknownRun

_LOG = logging.getLogger("flowgraph.worker")
RETRY_AFTER = 0.5
"""Seconds between tries while the database does not answer."""


class Loader:
    """Queue of runs to load. `resume` gets what was loaded, with the branch results that its snapshot refers to; `unusable` gets
    a run that cannot go on, with the reason."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        resume: Callable[[LoadedRun, dict[int, str]], None],
        unusable: Callable[[RunRow, Exception], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._resume = resume
        self._unusable = unusable
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._loading = False

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or being loaded."""
        return self._queue.empty() and not self._loading

    def load(self, run_id: str) -> None:
        """Queue a run, unless it is queued already."""
        if run_id not in self._queued:
            self._queued.add(run_id)
            self._queue.put_nowait(run_id)

    async def run(self) -> None:
        """Load for ever."""
        while True:
            run_id = await self._queue.get()
            self._loading = True
            try:
                await self._load(run_id)
            finally:
                self._queued.discard(run_id)
                self._loading = False

    async def _load(self, run_id: str) -> None:
        while True:
            try:
                loaded = await self._store.load(run_id)
                await self._go_on(loaded)
            except UnknownRun:
                _LOG.warning("run %s is gone", run_id)
            except Exception as error:
                _LOG.warning("cannot load run %s; trying again in %g s: %s", run_id, RETRY_AFTER, error)
                await asyncio.sleep(RETRY_AFTER)
                continue
            return

    async def _go_on(self, loaded: LoadedRun) -> None:
        """Resume the run. Raises Outage: that the database is away says nothing about a run."""
        try:
            if loaded.run.machine not in self._registry.machines:
                await self._fetch_machine(loaded.run.machine)
            self._resume(loaded, await self._branch_results(loaded))
        except Outage:
            raise
        except Exception as error:
            self._unusable(loaded.run, error)

    async def _branch_results(self, loaded: LoadedRun) -> dict[int, str]:
        """The journal payloads that the snapshot refers to instead of repeating them."""
        rows = references(loaded.snapshot) if loaded.snapshot is not None else []
        return await self._store.results(loaded.run.id, rows) if rows else {}

    async def _fetch_machine(self, fingerprint: str) -> None:
        stored = await self._store.machine(fingerprint)
        missing = [f"machine {fingerprint}"] if stored is None else self._registry.add_machine(fingerprint, stored.text)
        if missing:
            raise MissingCode(fingerprint, missing)
