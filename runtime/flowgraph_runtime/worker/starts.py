"""New runs that are a worker's own from the first moment on: the transaction that stores one names its owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from typing import TypeVar

from flowgraph_runtime.meter import Meter
from flowgraph_runtime.records import NewRun, RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import Conflict, Fenced
from flowgraph_runtime.worker.claims import Claimer
from flowgraph_runtime.worker.lanes import Lanes
from flowgraph_runtime.worker.pool import StepPool

T = TypeVar("T")
QUIET = 8
"""Runs being started and attempts with which a worker of several is busy enough to leave what is started to all of them."""


class Starts:
    """Makes a worker the owner of what its own process starts: no transaction claims such a run, and no query looks for it.

    Only runs without limits, while the worker has room and nothing older waits to be claimed. `room` says how many more it can
    hold; `unclear` hears that runs may belong to the worker without its being told."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        epoch: int,
        claimer: Claimer,
        pool: StepPool | Lanes,
        room: Callable[[], int],
        unclear: Callable[[], None],
        meter: Meter,
    ) -> None:
        self._store = store
        self._registry = registry
        self._epoch = epoch
        self._claimer = claimer
        self._pool = pool
        self._room = room
        self._unclear = unclear
        self._meter = meter
        self._under_way = 0

    async def create(self, runs: Sequence[NewRun], store: Callable[[], Awaitable[T]]) -> T:
        """Let `store` store these runs, with an owner where this worker takes them. Raises what `store` raises."""
        taken = [run for run in runs if self._takes(run)]
        if not taken:
            return await store()
        for run in taken:
            run.owner = self._epoch
        self._under_way += len(taken)
        try:
            return await store()
        except Fenced:  # the others of the fleet may have them
            for run in taken:
                run.owner = None
            return await store()
        except Conflict:
            raise
        except BaseException:
            self._unclear()
            raise
        finally:
            self._under_way -= len(taken)

    def _takes(self, run: NewRun) -> bool:
        if not self._claimer.has_all or self._room() <= self._under_way:
            return False
        if self._store.fleet.workers > 1 and self._under_way + self._pool.busy >= QUIET:
            return False
        machine = self._registry.machines.get(run.machine)
        return machine is not None and not machine.limits and not self._registry.missing(run.machine)

    def created(
        self,
        owned: Container[str],
        begin: Callable[[RunRow], None],
        unusable: Callable[[RunRow, Exception], None],
        rows: Iterable[RunRow],
    ) -> None:
        """Hear of a commit: new runs that have an owner. Those that are this worker's `begin`, unless they are `owned` in memory
        already; if it has stopped meanwhile they are freed with its epoch."""
        for row in rows:
            if row.epoch == self._epoch and row.id not in owned and not self._claimer.stopped:
                self._meter.moved(row.workflow, row.status)
                try:
                    begin(row)
                except Exception as error:
                    unusable(row, error)
