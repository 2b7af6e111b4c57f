"""Finds work in the database: runs to claim, and what no commit of this process told of."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container

from flowgraph_runtime.records import RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import Fenced
from flowgraph_runtime.worker.loader import Loader
from flowgraph_runtime.worker.pump import InboxPump

_LOG = logging.getLogger("flowgraph.worker")


class Lookout:
    """The claims and looks of one epoch. Errors of the database are logged, the next look tries again; `fenced` hears that the
    epoch is dead. `owned`: the runs in memory; `slots`: looks for slots of limits that others freed."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        epoch: int,
        owned: Container[str],
        pump: InboxPump,
        loader: Loader,
        slots: Callable[[], Awaitable[None]],
        fenced: Callable[[Fenced], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._epoch = epoch
        self._owned = owned
        self._pump = pump
        self._loader = loader
        self._slots = slots
        self._fenced = fenced
        self._unclear = False

    async def claim(self, limit: int) -> list[RunRow]:
        """Claim runs whose machines the deployed code can run."""
        try:
            return await self._store.claim(self._epoch, limit, self._registry.satisfied())
        except Fenced as fenced:
            self._fenced(fenced)
        except Exception as error:
            _LOG.warning("cannot claim runs, trying again later: %s", error)
            self._unclear = True  # they may be ours all the same
        return []

    def unclear(self) -> None:
        """Runs may be ours that we were not told of: the next look finds them."""
        self._unclear = True

    async def look(self) -> None:
        """Find inbox rows that others wrote, and runs of a claim whose answer was lost."""
        try:
            self._pump.look(await self._store.with_inbox(self._epoch))
            await self._slots()
            if self._unclear:
                self._unclear = False
                await self._find_own()
        except Exception as error:
            _LOG.warning("cannot look for work, trying again later: %s", error)

    async def _find_own(self) -> None:
        try:
            for run_id in await self._store.owned(self._epoch):
                if run_id not in self._owned:
                    self._loader.load(run_id)
        except Exception:
            self._unclear = True
            raise
