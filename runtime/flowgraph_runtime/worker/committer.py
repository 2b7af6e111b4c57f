"""Hands decisions to the database, all of a loop tick together, in order per run, one group at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from flowgraph_runtime.engine.commands import Command
from flowgraph_runtime.records import Decided, JournalRow, Transition, transition_of
from flowgraph_runtime.storage.errors import Outage
from flowgraph_runtime.worker.live import LiveRun

_LOG = logging.getLogger("flowgraph.worker")
PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between tries while the database is away: each pause is twice the one before."""
Commit = Callable[[list[Decided]], Awaitable[Sequence[BaseException | None]]]


class Entry(Struct, eq=False):
    """A decision on its way: what is written, and what is acted on once it has been. No `live` for a run that is given up."""

    live: LiveRun | None
    written: Decided
    commands: list[Command]

    @property
    def transition(self) -> Transition:
        """What is written, as something that can be added to."""
        if not isinstance(self.written, Transition):
            self.written = transition_of(self.written)
        return self.written

    @property
    def void(self) -> bool:
        """Whether an earlier decision of the run was refused, so that this one never happened."""
        return self.live is not None and self.live.discarded


class Committer:
    """Groups transitions. While one group is being written the next one collects; nothing is delayed to make groups larger.
    Where `run` is run by two, the next is handed over meanwhile, unless `grows` says that more is just being decided.

    Two decisions about one run go into one transition, so that they stand or fall together; where that is not possible
    (two events taken) the later one goes into a later group.

    While the database is away the group waits and is offered `again` and again: nobody's outcome is lost, and what follows
    collects behind it."""

    def __init__(
        self,
        commit: Commit,
        committed: Callable[[Entry, BaseException | None], None],
        again: Commit | None = None,
        grows: Callable[[], bool] = lambda: False,
    ) -> None:
        self._commit = commit
        self._again = again or commit
        self._committed = committed
        self._grows = grows
        self._groups: deque[dict[str, Entry]] = deque()
        self._some = asyncio.Event()
        self._quiet = asyncio.Event()
        self._flying: list[dict[str, Entry]] = []  # groups that are being written

    @property
    def idle(self) -> bool:
        """Whether nothing is waiting or being written."""
        return not self._groups and not self._flying

    async def settled(self) -> None:
        """Wait until all that was added has been written or refused."""
        while not self.idle:
            self._quiet.clear()
            await self._quiet.wait()

    def add(self, entry: Entry) -> None:
        """Queue a decision for the next group."""
        if not self._groups:
            self._groups.append({})
            self._some.set()
        last, run_id = self._groups[-1], entry.written.run_id
        earlier = last.setdefault(run_id, entry)
        if earlier is entry:
            return
        if earlier.void:
            last[run_id] = entry
        elif merge(earlier.transition, entry.written):
            earlier.commands.extend(entry.commands)
        else:
            self._groups.append({run_id: entry})

    def look(self) -> None:
        """A group may have stopped growing."""
        self._some.set()

    async def run(self) -> None:
        """Write groups for ever. Several may do so: then the database has the next group at hand when it is done with one."""
        while True:
            group = self._next()
            if group is not None:
                await self._write(group)
                continue
            self._some.clear()
            if self.idle:
                self._quiet.set()
            await self._some.wait()

    def _next(self) -> dict[str, Entry] | None:
        """The next group; while another is being written, none that grows, and none with a run of that: what was decided about it
        may come to nothing."""
        if not self._groups or (self._flying and (self._grows() or not self._is_apart(self._groups[0]))):
            return None
        return self._groups.popleft()

    def _is_apart(self, group: dict[str, Entry]) -> bool:
        return all(flying.keys().isdisjoint(group) for flying in self._flying)

    async def _write(self, group: dict[str, Entry]) -> None:
        entries = [entry for entry in group.values() if entry.live is None or not entry.live.discarded]
        if not entries:
            return
        self._flying.append(group)
        failures = await self._written([entry.written for entry in entries])
        # Not reached when this is broken off: what follows on a lost decision must not be written.
        self._flying = [flying for flying in self._flying if flying is not group]
        self._some.set()
        for entry, error in zip(entries, failures, strict=True):
            self._committed(entry, error)

    async def _written(self, group: list[Decided]) -> list[BaseException | None]:
        failures = await _answers(self._commit, group)
        pause = PAUSE
        while away := [number for number, failure in enumerate(failures) if isinstance(failure, Outage)]:
            _LOG.warning("%d runs wait for the database, trying again in %g s: %s", len(away), pause, failures[away[0]])
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            for number, failure in zip(away, await _answers(self._again, [group[number] for number in away]), strict=True):
                failures[number] = failure
        return failures


async def _answers(commit: Commit, group: list[Decided]) -> list[BaseException | None]:
    try:
        return list(await commit(group))
    except Exception as failure:
        return [failure] * len(group)


def merge(first: Transition, second: Decided) -> bool:
    """Add `second`, decided right after `first` for the same run, to `first`; False, and nothing done, where that cannot be.

    A transition that only deletes inbox rows stays alone: they may be gone already (read while an earlier deletion of them was
    being committed), and the database refuses a journal row whose inbox row is gone."""
    if isinstance(second, JournalRow):
        return _append(first, second)
    second = transition_of(second)
    if first.release or (first.taken is not None and second.taken is not None):
        return False
    if any(one.inbox and not one.rows for one in (first, second)):
        return False
    _come_behind(first, second)
    first.taken = first.taken or second.taken
    first.rows.extend(second.rows)
    first.inbox.extend(second.inbox)
    _net_timers(first, second)
    _net_waits(first, second)
    first.events.extend(second.events)
    first.event_runs.extend(second.event_runs)
    first.runs.extend(second.runs)
    first.cancel_runs.extend(second.cancel_runs)
    first.snapshot = second.snapshot or first.snapshot
    first.release = second.release
    first.frees_slots = second.frees_slots
    for name in ("status", "started_at", "ended_at", "result", "error", "failed_step", "failed_attempt", "reason"):
        value = getattr(second, name)
        if value is not None:
            setattr(first, name, value)
    return True


def _come_behind(first: Transition, second: Transition) -> None:
    """What the second sends, opens and starts comes behind all that the first has sent and started."""
    if first.events or first.runs:
        later = max([event.later + 1 for event in first.events] + [run.later for run in first.runs])
        for event in second.events:
            event.later += later
        for run in (*second.event_runs, *second.runs):
            run.later += later
    for wait in second.waits:
        wait.sent += len(first.events)


def _append(first: Transition, row: JournalRow) -> bool:
    """`merge` for a row with nothing beside it: of the branches of a large fan-out thousands come in one go."""
    if first.release or (first.inbox and not first.rows):
        return False
    first.rows.append(row)
    return True


def _net_timers(first: Transition, second: Transition) -> None:
    """A timer set and cleared in one transaction is never written: its row would be inserted after the deletion."""
    if not second.cleared_timers:
        first.timers.extend(second.timers)
        return
    cleared = set(second.cleared_timers)
    set_before = {timer.serial for timer in first.timers}
    first.timers = [timer for timer in first.timers if timer.serial not in cleared] + second.timers
    first.cleared_timers.extend(serial for serial in second.cleared_timers if serial not in set_before)


def _net_waits(first: Transition, second: Transition) -> None:
    if not second.closed_waits:
        first.waits.extend(second.waits)
        return
    closed = set(second.closed_waits)
    opened_before = {wait.serial for wait in first.waits}
    first.waits = [wait for wait in first.waits if wait.serial not in closed] + second.waits
    first.closed_waits.extend(serial for serial in second.closed_waits if serial not in opened_before)
