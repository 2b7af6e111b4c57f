"""Fetches what others have put into the inboxes of this worker's runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from flowgraph_runtime.records import InboxRow

_LOG = logging.getLogger("flowgraph.worker")


class InboxPump:
    """Asked to `look` at runs, it loads the inboxes of all of them with one query and delivers the rows in order."""

    def __init__(
        self,
        load: Callable[[list[str]], Awaitable[list[InboxRow]]],
        deliver: Callable[[InboxRow], None],
    ) -> None:
        self._load = load
        self._deliver = deliver
        self._asked: set[str] = set()
        self._some = asyncio.Event()
        self._loading = False

    @property
    def idle(self) -> bool:
        """Whether nothing is asked for or being loaded."""
        return not self._asked and not self._loading

    def look(self, run_ids: Iterable[str]) -> None:
        """Look at these runs' inboxes soon."""
        self._asked.update(run_ids)
        if self._asked:
            self._some.set()

    async def run(self) -> None:
        """Load and deliver for ever."""
        while True:
            await self._some.wait()
            self._some.clear()
            asked, self._asked = sorted(self._asked), set()
            self._loading = True
            try:
                for row in await self._load(asked):
                    self._deliver(row)
            except Exception as error:
                _LOG.warning("cannot load inboxes, they are found again at the next poll: %s", error)
            finally:
                self._loading = False
