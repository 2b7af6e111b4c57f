"""Runs with a large state that wait: they stay in memory for a while, because one of many branches wakes soon, most often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.records import Transition
from flowgraph_runtime.worker.committer import Entry
from flowgraph_runtime.worker.live import LiveRun

LONGEST = 60_000_000
"""Microseconds without an input after which such a run leaves memory."""


class Resting:
    """Says who may rest in memory, and lets go of those who did long enough. `owned`: the runs in memory, at most `live_runs`."""

    def __init__(
        self,
        owned: Mapping[str, LiveRun],
        live_runs: int,
        clock: Clock,
        look: Callable[[], Awaitable[None]],
        hand_over: Callable[[Entry], None],
    ) -> None:
        self._owned = owned
        self._most = live_runs // 2
        self._clock = clock
        self._look = look
        self._hand_over = hand_over

    def has_room(self) -> bool:
        """Whether one more run may rest: half of the room in memory is for runs that have something to do."""
        return len(self._owned) < self._most

    async def look(self) -> None:
        """Look around as the worker does, then let go."""
        await self._look()
        since = self._clock.now() - LONGEST
        for live in [live for live in self._owned.values() if live.at < since and live.is_resting]:
            live.closed = True
            self._hand_over(Entry(live, Transition(live.id, release=True), []))
