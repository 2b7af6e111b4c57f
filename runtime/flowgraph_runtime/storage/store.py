"""The store: what the rest of the runtime calls. Writes are queued to one thread; reads have connections of their own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from flowgraph_runtime.clock import Clock, SystemClock
from flowgraph_runtime.records import AlikeEvents, Decided, EventRow, InboxRow, JournalRow, LoadedRun, NewRun, RunRow, Transition
from flowgraph_runtime.storage import events, loading, machines, ownership, reads, runs, timers
from flowgraph_runtime.storage.apikeys import ApiKeys
from flowgraph_runtime.storage.database import Database
from flowgraph_runtime.storage.deployed import read_machines
from flowgraph_runtime.storage.errors import StorageError, StoreClosed, UnknownRun
from flowgraph_runtime.storage.events import IngestResult
from flowgraph_runtime.storage.fleet import LEASE, Fleet
from flowgraph_runtime.storage.journal import are_rows, values_of
from flowgraph_runtime.storage.keys import bucket
from flowgraph_runtime.storage.matching import alike_buckets, event_buckets
from flowgraph_runtime.storage.opening import open_database
from flowgraph_runtime.storage.reads import EventPage, MachineRow
from flowgraph_runtime.storage.retention import Expiry
from flowgraph_runtime.storage.room import Room
from flowgraph_runtime.storage.schedules import Schedules
from flowgraph_runtime.storage.slots import Slots, limits_lock
from flowgraph_runtime.storage.transaction import CommitNews, Tx
from flowgraph_runtime.storage.transitions import apply_move, apply_reopening, transition_buckets
from flowgraph_runtime.storage.writer import Action, Commit, Fate, Job, Request, Shared, Transactor, WriterThread

T = TypeVar("T")


class Store:
    """The database of one process. Times are microseconds since 1970 UTC.

    `on_commit` is called after each commit that changed anything, before its callers get their answers: in the event loop of
    the first caller, or with `inline` in the thread of the caller."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        inline: bool,
        fate: Callable[[], Fate] | None,
        lease: float = LEASE / 1e6,
        reserve: int = 0,
    ) -> None:
        self.clock = clock
        self.slots = Slots(partial(self._write, buckets=limits_lock, alone=True), self._read)
        self.on_commit: Callable[[CommitNews], None] = _ignore
        self._database = database
        self._transactor = Transactor(database, clock, fate)
        self._writer = None if inline else WriterThread(self._transactor, self._deliver)
        self._readers = None if inline else ThreadPoolExecutor(4, thread_name_prefix="flowgraph-reader")
        self._home: asyncio.AbstractEventLoop | None = None  # where news are told; heartbeats come from a loop of their own
        self._closed = False
        self.schedules = Schedules(self._write, self._read)
        self.fleet = fleet = Fleet(database, clock, self._write, lambda: self._writer.busy if self._writer else 0.0, lease)
        self.open_epoch, self.close_epoch, self.heartbeat = fleet.open_epoch, fleet.close_epoch, fleet.heartbeat
        self.take_over, self.hand_over, self.notices = fleet.take_over, fleet.hand_over, fleet.notices
        self._room = Room(database.free, reserve)
        self.expiry = Expiry(self._write, self._read)
        self.deployed_machines = partial(self._read, read_machines)
        self.inbox_backlog = partial(self._read, reads.inbox_backlog)
        self.next_timer = partial(self._read, reads.next_timer)
        keys = ApiKeys(self._write, self._read)
        self.create_key, self.revoke_key, self.list_keys, self.find_key = keys.create, keys.revoke, keys.all, keys.find
        self.workflows = partial(self._read, reads.workflows)
        self.key_paths = partial(self._read, reads.key_paths)
        self.live_machines: Callable[[Collection[str]], Coroutine[Any, Any, dict[str, int]]]
        self.live_machines = lambda without: self._read(partial(reads.live_machines, without=without))

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        inline: bool = False,
        durability: str = "full",
        fate: Callable[[], Fate] | None = None,
        lease: float = LEASE / 1e6,
        reserve: int = 0,
    ) -> Store:
        """Open `sqlite:///path.db`, `sqlite://` (in memory) or `postgresql://...`, and make the tables in an empty database.

        `inline`: writes and reads happen in the calling thread (tests, simulator), and `fate` decides what becomes of each
        commit. `durability`: `full`, or `normal` (SQLite: the last commits may be lost when the machine loses power). `lease`:
        seconds; statements on PostgreSQL end before it does. `reserve`: free bytes on the disk of a SQLite file below which
        `ingest` and `start_run` raise DatabaseFull.
        Raises ValueError for a bad URL, DatabaseInUse, WrongSchema."""
        if fate is not None and not inline:
            raise ValueError("a fate needs inline=True: a simulated crash is raised to the caller")
        clock = clock or SystemClock()
        database = open_database(url, durability, by_its_clock=isinstance(clock, SystemClock), lease=lease)
        return cls(database, clock, inline=inline, fate=fate, lease=lease, reserve=reserve)

    def close(self) -> None:
        """Write what is queued and close all connections."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        if self._readers is not None:
            self._readers.shutdown()
        self.fleet.close()
        self._database.close()

    # --- writing: runs

    @property
    def is_waited_for(self) -> bool:
        """Whether a busy worker waits for the database, so that any group of decisions is worth handing over before the last one
        is written: PostgreSQL (a tenth less time for 1,000 runs, measured). SQLite waits for the worker, and larger groups cost
        less."""
        return self._database.has_other_writers

    async def commit(self, epoch: int, transitions: Sequence[Decided], *, again: bool = False) -> list[StorageError | None]:
        """Commit decisions, one that writes nothing but its journal row as that row; an error for each that was refused:
        Fenced for all when the epoch is dead, Superseded after an earlier refusal of the same run. A refused run must be
        loaded again before it goes on, except after an Outage: then the same transition may be committed `again`, if nothing
        else of its run was handed over since."""
        if again:
            self._transactor.forgive([transition.run_id for transition in transitions])
        errors: list[StorageError | None] = [None] * len(transitions)
        if transitions:
            journal = values_of(transitions, self._transactor.known_runs) if are_rows(transitions) else None
            await self._submit(Commit(epoch, transitions, errors, journal=journal))
        return errors

    async def ingest(self, events_: Sequence[EventRow], runs_: Sequence[NewRun]) -> list[IngestResult]:
        """Store events and create the runs that they start (by `event_id`), all or nothing; raises Conflict, UnstorableText,
        DatabaseFull."""
        self._room.check()
        return await self._write(Shared(events.ingest_all, (events_, runs_)), buckets=lambda: event_buckets(events_))

    async def ingest_alike(self, alike: AlikeEvents) -> None:
        """Store new events that start nothing, all or nothing; raises Conflict, UnstorableText, DatabaseFull."""
        self._room.check()
        await self._write(Shared(events.ingest_alike, alike), buckets=lambda: alike_buckets(alike))

    def start_run(self, run: NewRun) -> Awaitable[tuple[str, bool]]:
        """Create a run by hand -> (id, whether it is new); raises Conflict, UnknownMachine, DatabaseFull."""
        self._room.check()
        key = run.idempotency_key
        if key is None:
            return self._write(Shared(runs.start_runs, run))
        keyed = partial(runs.start_run_once, run=run)
        return self._write(keyed, buckets=lambda: (bucket(run.workflow, "\1idempotency", key),))

    async def claim(self, epoch: int, limit: int, machines: Collection[str] | None = None) -> list[RunRow]:
        """Become the owner of up to `limit` claimable runs, oldest first; raises Fenced. `machines`: fingerprints or None."""
        return await self._write(lambda tx: ownership.claim(tx, epoch, limit, machines), alone=True)

    async def ask_cancel(self, run_id: str, reason: str) -> str:
        """Ask to cancel a run -> `cancelling` or `already <status>`; raises UnknownRun."""
        return await self._write(lambda tx: ownership.ask_cancel(tx, run_id, reason), alone=True)

    async def reopen(self, transition: Transition) -> None:
        """Commit how a failed run goes on; raises NotFailed when it is not failed any more, UnknownRun."""
        buckets = partial(transition_buckets, transition)
        await self._write(lambda tx: apply_reopening(tx, transition), buckets=buckets, alone=True)

    async def move(self, transition: Transition, old: str, new: str) -> None:
        """Commit that a run goes on with another machine; raises RunHeld when it is not as it was read, UnknownRun."""
        await self._write(lambda tx: apply_move(tx, transition, old, new), alone=True)

    async def fire_timers(self, limit: int = 1000) -> list[str]:
        """Move due timers into inboxes -> ids of the runs whose owners must look."""
        return await self._write(lambda tx: timers.fire_timers(tx, limit), alone=True)

    # --- writing: machines; epochs are `fleet`'s, keys `ApiKeys`'

    async def save_machine(
        self, fingerprint: str, workflow: str, text: str, manifest: str, key_paths: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Store a machine with its (event name, field path) pairs, before its first run."""
        paths = tuple(key_paths)
        await self._write(lambda tx: machines.save_machine(tx, fingerprint, workflow, text, manifest, paths))

    async def set_current(self, workflow: str, fingerprint: str) -> None:
        """New runs of the workflow take this machine; raises UnknownMachine."""
        await self._write(lambda tx: machines.set_current(tx, workflow, fingerprint))

    # --- reading

    async def load(self, run_id: str) -> LoadedRun:
        """A run with all that is needed to go on with it; raises UnknownRun."""
        found = await self.load_many((run_id,))
        if not found:
            raise UnknownRun(run_id)
        return found[0]

    async def load_many(self, run_ids: Collection[str]) -> list[LoadedRun]:
        """Several runs at once; unknown ids are left out. Their transitions are accepted again after a refusal."""
        refused = self._transactor.refused(run_ids)
        if refused:
            await self._submit(Action(lambda _: self._transactor.forgive(refused)))
        return await self._read(lambda connection: loading.load(connection, run_ids))

    async def inbox(self, run_ids: Collection[str]) -> list[InboxRow]:
        """Inbox rows of these runs, in commit order."""
        return await self._read(lambda connection: loading.inbox(connection, run_ids))

    async def with_inbox(self, epoch: int) -> list[str]:
        """Ids of this owner's runs that have something in their inbox. `on_commit` tells only what this process commits; with
        others on the database (PostgreSQL) an owner asks this now and then."""
        return await self._read(lambda connection: ownership.with_inbox(connection, epoch))

    async def owned(self, epoch: int) -> list[str]:
        """Ids of the runs that this epoch owns: what a worker asks after a claim or start whose outcome it did not hear. Answered
        after all that was handed to the writer before."""
        return await self._write(lambda tx: ownership.owned(tx, epoch), alone=True)

    async def results(self, run_id: str, seqs: Sequence[int]) -> dict[int, str]:
        """Payloads of journal rows of a run, by position."""
        return await self._read(lambda connection: loading.results(connection, run_id, seqs))

    async def run(self, id: str) -> RunRow | None:
        """One run."""
        return await self._read(lambda connection: reads.run(connection, id))

    async def runs(
        self,
        *,
        workflow: str | Collection[str] | None = None,
        status: str | None = None,
        event_id: str | None = None,
        since: int | None = None,
        cursor: int | None = None,
        limit: int = 50,
        parked: Collection[str] = (),
    ) -> tuple[list[RunRow], int | None]:
        """A page of runs, newest first, and the cursor of the next page (None at the end). See `reads.runs`."""
        wanted = partial(reads.runs, workflow=workflow, status=status, event_id=event_id, since=since)
        return await self._read(partial(wanted, cursor=cursor, limit=limit, parked=parked))

    async def journal(self, id: str, after: int = -1, limit: int | None = None) -> list[JournalRow]:
        """Journal rows of a run after a position."""
        return await self._read(lambda connection: reads.journal(connection, id, after, limit))

    async def events(
        self,
        *,
        name: str | None = None,
        status: str | None = None,
        since: int | None = None,
        cursor: int | None = None,
        limit: int = 50,
    ) -> tuple[list[EventRow], int | None]:
        """A page of events, newest first, and the cursor of the next page (None at the end)."""
        return await self._read(partial(reads.events, name=name, status=status, since=since, cursor=cursor, limit=limit))

    async def event(self, id: str) -> EventPage | None:
        """One event with the runs it started and woke."""
        return await self._read(lambda connection: reads.event(connection, id))

    async def outcomes(self, since: int) -> dict[str, dict[str, int]]:
        """Runs created since then, counted by workflow and status."""
        return await self._read(lambda connection: reads.outcomes(connection, since))

    async def machine(self, fingerprint: str) -> MachineRow | None:
        """A stored machine."""
        return await self._read(lambda connection: reads.machine(connection, fingerprint))

    async def ask(self, query: Callable[[Connection], T]) -> T:
        """Run one of this package's queries for pages (`run_pages`, `event_pages`, `overview`)."""
        return await self._read(query)

    # --- the two ways to the database

    async def _write(
        self, act: Callable[[Tx], T], *, buckets: Callable[[], Iterable[int]] | None = None, alone: bool = False
    ) -> T:
        job = Action(act, buckets, alone)
        await self._submit(job)
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def _submit(self, job: Job) -> Awaitable[None]:
        """No coroutine, as `start_run` is none: each of them on the way of a start costs it 0.3 microseconds."""
        if self._closed:
            raise StoreClosed("the store is closed: nothing more can be written")
        if self._writer is None:
            self._tell(self._transactor.process([job]))
            return _DONE
        loop = asyncio.get_running_loop()
        if self._home is None or self._home.is_closed():
            self._home = loop
        request = Request(job, loop, loop.create_future())
        self._writer.submit(request)
        return request.future

    async def _read(self, query: Callable[[Connection], T]) -> T:
        if self._readers is None or self._closed:
            return self.read(query)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read, query)

    def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query on a reading connection, in the calling thread."""
        if self._closed:
            raise StoreClosed("the store is closed: nothing more can be read")
        with self._database.reading() as connection:
            return query(connection)

    def _deliver(self, batch: list[Request], news: list[CommitNews]) -> None:
        """In the writer's thread: wake the callers, those of one loop by one call."""
        loops: dict[asyncio.AbstractEventLoop, list[Request]] = defaultdict(list)
        for request in batch:
            loops[request.loop].append(request)
        told = [commit for commit in news if commit]
        if told and self._home is not None:
            loops[self._home] += []
        for loop, answered in loops.items():
            with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(self._answer, answered, told if loop is self._home else [])

    def _answer(self, answered: list[Request], news: list[CommitNews]) -> None:
        self._tell(news)
        for request in answered:
            if not request.future.done():
                request.future.set_result(None)

    def _tell(self, news: list[CommitNews]) -> None:
        for commit in news:
            if commit:
                self.on_commit(commit)


class _Done:
    """Need not be waited for."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE = _Done()


def _ignore(news: CommitNews) -> None:
    """Nobody listens."""
    del news
