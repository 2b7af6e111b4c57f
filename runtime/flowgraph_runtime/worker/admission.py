"""Runs of workflows that limit how many of them live: asked for before anything of them is decided."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from flowgraph_runtime.errors import KeyRefused
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.storage.errors import Fenced
from flowgraph_runtime.storage.limits import RunRequest
from flowgraph_runtime.storage.slots import Slots

_LOG = logging.getLogger("flowgraph.worker")
RETRY_AFTER = 0.5
"""Seconds between tries while the database does not answer."""


@dataclass(frozen=True, slots=True)
class _Asked:
    row: RunRow
    request: RunRequest
    go: Callable[[], None]
    called: Callable[[], None]


class Admission:
    """Queue of claimed runs that need slots to live; all that wait are asked for together. A run that has to wait is given up by
    the same commit, and can be claimed again when it is its turn. `unusable` gets a run whose key cannot be had, or that cannot
    be gone on with."""

    def __init__(
        self,
        slots: Slots,
        registry: Registry,
        epoch: int,
        unusable: Callable[[RunRow, BaseException], None],
    ) -> None:
        self._slots = slots
        self._registry = registry
        self._epoch = epoch
        self._unusable = unusable
        self._asked: dict[str, _Asked] = {}
        self._some = asyncio.Event()
        self._asking = False

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._asked and not self._asking

    def ask(self, row: RunRow, go: Callable[[], None], called: Callable[[], None]) -> None:
        """Call `go` when the run may live: now, if its workflow has no limit of runs. `called` instead when the run has to wait
        and must not, because something is in its inbox: a cancel."""
        limits = self._registry.limits(row.machine)
        if limits is None or not limits.counts_runs:
            go()
            return
        try:
            needs = limits.of_run(row.input).run
        except KeyRefused as error:
            self._unusable(row, error)
            return
        self._asked[row.id] = _Asked(row, RunRequest(row.id, row.created_at, needs), go, called)
        self._some.set()

    async def run(self) -> None:
        """Ask for ever. Raises Fenced."""
        while True:
            await self._some.wait()
            self._some.clear()
            asked, self._asked = self._asked, {}
            self._asking = True
            try:
                await self._ask(asked)
            finally:
                self._asking = False

    async def _ask(self, asked: dict[str, _Asked]) -> None:
        try:
            answers = await self._slots.admit(self._epoch, [one.request for one in asked.values()])
        except Fenced:
            raise
        except Exception as error:
            _LOG.warning("cannot ask for slots of runs, trying again in %g s: %s", RETRY_AFTER, error)
            self._asked = {**asked, **self._asked}
            await asyncio.sleep(RETRY_AFTER)
            self._some.set()
            return
        for run_id, answer in answers.items():
            if answer != "queued":
                self._go(asked[run_id], admitted=answer == "admitted")

    def _go(self, asked: _Asked, *, admitted: bool) -> None:
        try:
            (asked.go if admitted else asked.called)()
        except Exception as error:
            self._unusable(asked.row, error)
