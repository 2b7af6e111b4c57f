"""The runs that a worker holds in memory, and the attempts that belong to them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from msgspec import Struct

from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.factories import dict_of, set_of
from flowgraph_runtime.limits import RunLimits
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.steps import Hold

SNAPSHOT_FLOOR = 65_536
"""Bytes of journal below which no snapshot is worth its write."""

PARKED_FLOOR = 4_096
"""Bytes of a state that is written whenever its run parks, and that leaves memory then. A larger one (a fan-out whose branches
sleep, most often) would cost its whole size at each wake-up of each branch: it is written when the journal has grown by as much,
and rests in memory for a while."""


class Attempt(Struct, eq=False):
    """One attempt, queued or running. `abandoned`: its outcome is not wanted; `task`: the pool's task while it runs.
    `ticket` and `hold`: of the slots that it needs, where limits count it."""

    live: LiveRun
    command: RunStep
    queued_at: int = 0
    started_at: int | None = None
    task: asyncio.Task[None] | None = None
    abandoned: bool = False
    ticket: int | None = None
    hold: Hold | None = None


@dataclass(slots=True, eq=False)
class LiveRun:
    """A run owned by this worker. `at`: of its last input; `status`: as last handed to the database; `tail`: bytes of journal
    since the last snapshot (of `snapshot_size` bytes), and `tail_limit` how many it may have: folding more would cost more than a
    snapshot does (the total stays within twice the inputs); `positions`: inbox rows decided but not yet deleted, `spent`: those
    deleted since, which a look that had begun before may still bring; `closed`:
    parked, ended or discarded, nothing more is decided with this state; `discarded`: a commit failed, what was decided since is
    void; `claimed_again`: parked, woken and claimed before the answer to its parking came; `limits`: those of its machine with
    the run's keys, if it has any."""

    id: str
    row: RunRow
    program: Program
    state: RunState
    at: int
    status: str
    tail: int = 0
    snapshot_size: int = 0
    tail_limit: int = SNAPSHOT_FLOOR
    closed: bool = False
    discarded: bool = False
    claimed_again: bool = False
    limits: RunLimits | None = None
    positions: set[int] = field(default_factory=set_of(int))
    spent: set[int] = field(default_factory=set_of(int))
    attempts: dict[int, Attempt] = field(default_factory=dict_of(int, Attempt))

    def spend(self, positions: list[int]) -> None:
        """Note that these inbox rows are gone (or that all of the run is void)."""
        self.positions.difference_update(positions)
        self.spent.update(positions)

    @property
    def is_resting(self) -> bool:
        """Whether the run waits in memory, with nothing on its way."""
        return not (self.closed or self.positions or self.state.executing)

    @property
    def is_large(self) -> bool:
        """Whether the state is too large to be written and read again for every input."""
        return self.snapshot_size > PARKED_FLOOR

    def wants_snapshot_parked(self, limit: int) -> bool:
        """Whether the state is to be written now that the run waits. By as much as the journal the state may have grown, and
        writing it is what finds one of more than `limit` bytes."""
        return not self.is_large or self.tail > min(self.snapshot_size, limit - self.snapshot_size)

    def has_snapshot(self, size: int, tail: int = 0) -> None:
        """Note that the newest snapshot has `size` bytes and that `tail` bytes of journal have been written since."""
        self.tail, self.snapshot_size, self.tail_limit = tail, size, max(SNAPSHOT_FLOOR, size)
