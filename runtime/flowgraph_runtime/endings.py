"""The ends of runs, for those who wait for them: told by the commit itself, so that nobody has to ask the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from msgspec.structs import replace

from flowgraph_runtime.records import RunRow, Transition
from flowgraph_runtime.storage import ENDED, CommitNews
from flowgraph_runtime.storage.settling import UPDATED

Ends = asyncio.Queue[RunRow | None]
"""The run as it ended; None where it may have, and has to be looked at."""


class Endings:
    """Who waits for which run. `row_of` answers a run that this process owns as it took it. All calls come from the event loop's
    thread."""

    def __init__(self, row_of: Callable[[str], RunRow | None]) -> None:
        self._row_of = row_of
        self._waiting: dict[str, list[Ends]] = {}
        self._closed = False

    @contextmanager
    def of(self, run_id: str) -> Generator[Ends]:
        """Receive, inside the block, the ends of a run that this process commits from now on."""
        ends: Ends = asyncio.Queue()
        self._waiting.setdefault(run_id, []).append(ends)
        if self._closed:
            ends.put_nowait(None)
        try:
            yield ends
        finally:
            self._waiting[run_id].remove(ends)
            if not self._waiting[run_id]:
                del self._waiting[run_id]

    def committed(self, news: CommitNews) -> None:
        """Tell of a commit, before its worker forgets the runs that have ended."""
        for transition in news.decisions(self._waiting) if self._waiting else ():
            if transition.status in ENDED:
                self._tell(transition.run_id, self._ended(transition))

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        for run_id in self._waiting:
            self._tell(run_id, None)

    def _tell(self, run_id: str, row: RunRow | None) -> None:
        for ends in self._waiting[run_id]:
            ends.put_nowait(row)

    def _ended(self, transition: Transition) -> RunRow | None:
        row = self._row_of(transition.run_id)
        return None if row is None or transition.ended_at is None else ended_row(row, transition)


def ended_row(row: RunRow, transition: Transition) -> RunRow:
    """The row of a run, taken as `row` by its owner, after the transition that ends it."""
    written = {name: value for name in UPDATED if (value := getattr(transition, name)) is not None}
    return replace(row, epoch=None, **written)
