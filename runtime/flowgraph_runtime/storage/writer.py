"""Group commit: one thread writes; what is queued when it is free goes into one transaction, and shares one wait for the disk.

A group that the database refuses is cut in halves until only the bad job fails; everything else of it is stored.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.records import Decided
from flowgraph_runtime.storage.announcing import announce
from flowgraph_runtime.storage.database import Database
from flowgraph_runtime.storage.errors import (
    DatabaseFull,
    DatabaseUnavailable,
    Fenced,
    OutcomeUnknown,
    SimulatedCrash,
    StorageError,
    StoreClosed,
    Superseded,
    Transient,
    WriterFailed,
)
from flowgraph_runtime.storage.journal import JournalValues
from flowgraph_runtime.storage.limits import LIMITS_LOCK
from flowgraph_runtime.storage.settling import settle
from flowgraph_runtime.storage.transaction import Catalog, CommitNews, Effects, Tx
from flowgraph_runtime.storage.transitions import ENDED, apply_rows, apply_transitions, others, transition_buckets

T = TypeVar("T")
_PAUSES = (0.01, 0.05, 0.2, 0.5)  # seconds before a transaction is run again that was aborted because of others


class Fate(Enum):
    """What becomes of a commit, as the simulator decides."""

    OK = "ok"
    REJECTED = "rejected"  # nothing is stored, the caller gets an error
    APPLIED_ERROR = "applied-error"  # stored, and the caller gets an error all the same
    CRASH_BEFORE = "crash-before"  # the process dies, nothing is stored
    CRASH_AFTER = "crash-after"  # the process dies, all is stored


class RejectedByFate(StorageError):
    """The simulator's fate `rejected`."""


_ALL_ALIKE = (DatabaseUnavailable, DatabaseFull, OutcomeUnknown, Transient, RejectedByFate)
"""Errors that say nothing about a single job."""


class Shared(Struct, frozen=True):
    """An act of which many are done by one call: `call(tx, parts)` returns a result for each part, or raises and does none."""

    call: Callable[[Tx, Sequence[Any]], Sequence[Any]]
    part: Any

    def __call__(self, tx: Tx) -> Any:
        """Do this one part."""
        return self.call(tx, [self.part])[0]


class Action(Struct, eq=False):
    """Anything but a commit. `alone`: in a transaction of its own on a shared database."""

    act: Callable[[Tx], Any]
    buckets: Callable[[], Iterable[int]] | None = None
    alone: bool = False
    result: Any = None
    error: StorageError | None = None

    def fail(self, error: StorageError) -> None:
        """Answer with an error."""
        self.error = error


class Commit(Struct, eq=False):
    """Transitions of one epoch. Transition i, counted from `first`, answers in `errors[i]`, which halves share. `journal`:
    all that they write, where it is laid out for that."""

    epoch: int
    transitions: Sequence[Decided]
    errors: list[StorageError | None]
    first: int = 0
    journal: JournalValues | None = None

    def fail(self, error: StorageError) -> None:
        """Answer all of them with an error."""
        for offset in range(len(self.transitions)):
            self.errors[self.first + offset] = error

    def slice(self, start: int, stop: int) -> Commit:
        """Some of the transitions, as a commit of their own."""
        return Commit(self.epoch, self.transitions[start:stop], self.errors, self.first + start)


Job: TypeAlias = Action | Commit


class Request(Struct, eq=False):
    """A job of a caller who awaits `future` in `loop`."""

    job: Job
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


Deliver: TypeAlias = Callable[[list[Request], list[CommitNews]], None]


class Transactor:
    """Runs jobs in transactions; knows nothing of threads."""

    def __init__(self, database: Database, clock: Clock, fate: Callable[[], Fate] | None = None) -> None:
        self._database = database
        self._clock = clock
        self._fate = fate
        self._catalog = Catalog()
        self._refused: set[str] = set()  # runs of which a transition was refused
        self._alive: set[int] = set()  # epochs that nothing can have ended since they were looked at
        self._sequence = clock.now()

    def process(self, jobs: Sequence[Job]) -> list[CommitNews]:
        """Run jobs; each then has a result or an error. What was committed, in order."""
        if not self._database.has_other_writers:
            return self._group(jobs)
        news = self._group([job for job in jobs if isinstance(job, Commit) or not job.alone])
        for job in jobs:
            if isinstance(job, Action) and job.alone:
                news += self._group([job])
        return news

    @property
    def known_runs(self) -> Mapping[str, int]:
        """Numbers of runs, as far as they are at hand. The writer changes it at any moment: look single ones up."""
        return self._catalog.runs

    def tidy(self) -> None:
        """Do what nobody waits for."""
        self._database.writing().tidy()

    def refused(self, run_ids: Collection[str]) -> set[str]:
        """Which of these runs have to be loaded again before they go on."""
        return self._refused.intersection(run_ids) if self._refused else set()

    def forgive(self, run_ids: Collection[str]) -> None:
        """These runs are loaded again: their transitions are welcome."""
        self._refused.difference_update(run_ids)

    def _group(self, jobs: Sequence[Job]) -> list[CommitNews]:
        if self._refused:
            jobs = [part for job in jobs for part in self._welcome(job)]
        if not jobs:
            return []
        try:
            return [self._attempt(jobs)]
        except Fenced as error:
            return self._without_epoch(jobs, error)
        except StorageError as error:
            if not isinstance(error, _ALL_ALIKE):
                return self._in_halves(jobs, error)
            self._fail(jobs, error)
            return []

    def _in_halves(self, jobs: Sequence[Job], error: StorageError) -> list[CommitNews]:
        halves = _halves(jobs)
        if not halves:
            self._fail(jobs, error)
        return [news for half in halves for news in self._group(half)]

    def _welcome(self, job: Job) -> Iterator[Job]:
        """The job without transitions of runs that have to be loaded again."""
        if isinstance(job, Action) or not any(transition.run_id in self._refused for transition in job.transitions):
            yield job
            return
        for position, transition in enumerate(job.transitions):
            single = job.slice(position, position + 1)
            if transition.run_id in self._refused:
                single.fail(Superseded(transition.run_id))
            else:
                yield single

    def _without_epoch(self, jobs: Sequence[Job], error: Fenced) -> list[CommitNews]:
        fenced = [job for job in jobs if isinstance(job, Commit) and job.epoch == error.epoch]
        if not fenced:  # an action of that epoch, in a group of actions
            return self._in_halves(jobs, error)
        for job in fenced:
            job.fail(error)
        return self._group([job for job in jobs if job not in fenced])

    def _fail(self, jobs: Iterable[Job], error: StorageError) -> None:
        for job in jobs:
            job.fail(error)
            if isinstance(job, Commit):
                self._refused.update(transition.run_id for transition in job.transitions)

    def _attempt(self, jobs: Sequence[Job]) -> CommitNews:
        for pause in _PAUSES:
            try:
                return self._once(jobs)
            except Transient:
                time.sleep(pause)
        return self._once(jobs)

    def _once(self, jobs: Sequence[Job]) -> CommitNews:
        writing = self._database.writing()
        try:
            writing.begin()
            tx = self._apply(jobs)
            self._commit()
        except Exception as error:
            understood = writing.understand(error)
            self._undo()
            raise understood from error
        except BaseException:
            self._undo()
            raise
        return self._committed(tx)

    def _undo(self) -> None:
        self._alive = set()
        self._database.writing().rollback()

    def _apply(self, jobs: Sequence[Job]) -> Tx:
        writing = self._database.writing()
        writing.lock_buckets(bucket for job in jobs for bucket in _buckets(job))
        tx = Tx(self._database, self._catalog, self._clock, self._trusted(jobs))
        for (epoch, _), group in groupby(jobs, key=_kind):
            if epoch is not None:
                _apply_commits(tx, epoch, [job for job in group if isinstance(job, Commit)])
            else:
                actions = [job for job in group if isinstance(job, Action)]
                _act(tx, actions, alone=len(actions) == len(jobs))
        settle(tx)
        announce(tx)
        return tx

    def _trusted(self, jobs: Sequence[Job]) -> set[int]:
        """Where nobody else writes, only an action can end an epoch, and none that is shared does."""
        if self._database.has_other_writers or any(isinstance(job, Action) and not isinstance(job.act, Shared) for job in jobs):
            self._alive = set()
            return set()
        return self._alive

    def _commit(self) -> None:
        writing = self._database.writing()
        writing.flush()
        fate = self._fate() if self._fate is not None else Fate.OK
        if fate is Fate.REJECTED:
            raise RejectedByFate("the database refused the commit (simulated)")
        if fate is Fate.CRASH_BEFORE:
            raise SimulatedCrash("before the commit")
        writing.commit()
        if fate is Fate.APPLIED_ERROR:
            raise OutcomeUnknown("the connection was lost while committing (simulated)")
        if fate is Fate.CRASH_AFTER:
            raise SimulatedCrash("after the commit")

    def _committed(self, tx: Tx) -> CommitNews:
        news = tx.effects.news
        self._catalog.absorb(tx.effects.learned)
        self._catalog.bare.difference_update(tx.clothed)
        self._catalog.forget(end.run_id for end in news.ends)
        self._catalog.forget(transition.run_id for transition in news.transitions if transition.status in ENDED)
        self._sequence += 1
        news.sequence, news.at = self._sequence, tx.now
        return news


def _buckets(job: Job) -> Iterator[int]:
    if isinstance(job, Action):
        yield from job.buckets() if job.buckets is not None else ()
        return
    if job.journal is not None:  # rows alone: to look at each would be to fetch it
        return
    for transition in others(job.transitions):
        if transition.waits or transition.events:
            yield from transition_buckets(transition)
        if transition.frees_slots:
            yield LIMITS_LOCK


def _halves(jobs: Sequence[Job]) -> tuple[Sequence[Job], ...]:
    """Two smaller groups in the same order; none when there is a single action or transition."""
    if len(jobs) > 1:
        return jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]
    job = jobs[0]
    if isinstance(job, Action) or len(job.transitions) == 1:
        return ()
    middle = len(job.transitions) // 2
    return [job.slice(0, middle)], [job.slice(middle, len(job.transitions))]


def _apply_commits(tx: Tx, epoch: int, jobs: Sequence[Commit]) -> None:
    """Each by itself where they are laid out; else together, so that there is one statement for all rows."""
    journals = [job.journal for job in jobs if job.journal is not None]
    if len(journals) < len(jobs):
        apply_transitions(tx, epoch, [transition for job in jobs for transition in job.transitions])
        return
    for journal in journals:
        apply_rows(tx, epoch, journal)


def _act(tx: Tx, jobs: Sequence[Action], *, alone: bool) -> None:
    """Run actions of the same kind, those that share a call by one; unless there is nothing else in the transaction, under a
    savepoint, so that an error of theirs leaves the rest of the group in place. (Without one the group is cut in halves.)"""
    if alone and len(jobs) == 1:
        jobs[0].result = jobs[0].act(tx)
        return
    shared = jobs[0].act if len(jobs) > 1 else None
    if isinstance(shared, Shared):
        parts = [job.act.part for job in jobs if isinstance(job.act, Shared)]
        try:
            results = shared.call(tx, parts) if alone else _under_savepoint(tx, lambda: shared.call(tx, parts))
        except StorageError:
            if alone:
                raise
            # of one of them: each for itself
        else:
            for job, result in zip(jobs, results, strict=True):
                job.result = result
            return
    for job in jobs:
        try:
            job.result = _under_savepoint(tx, partial(job.act, tx))
        except StorageError as error:
            job.error = error


def _under_savepoint(tx: Tx, act: Callable[[], T]) -> T:
    outer, tx.effects = tx.effects, Effects()
    checked = set(tx.epochs)
    tx.sql.run("SAVEPOINT action")
    try:
        result = act()
        tx.sql.flush()
    except StorageError:
        tx.epochs = checked  # what locks were taken since are given back, too
        tx.sql.run("ROLLBACK TO SAVEPOINT action")
        tx.sql.run("RELEASE SAVEPOINT action")
        raise
    else:
        outer.add(tx.effects)
    finally:
        tx.effects = outer
    tx.sql.run("RELEASE SAVEPOINT action")
    return result


def _kind(job: Job) -> tuple[int | None, object]:
    """What jobs in a row have in common that are done together: an epoch's transitions, or a shared call."""
    if isinstance(job, Commit):
        return job.epoch, None
    return None, job.act.call if isinstance(job.act, Shared) else None


class WriterThread:
    """The thread of a `Transactor`: takes all that is queued, and reports a whole batch at once."""

    def __init__(self, transactor: Transactor, deliver: Deliver) -> None:
        self._transactor = transactor
        self._deliver = deliver
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._closed = False
        self._busy_since: float | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="flowgraph-writer", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request; raises StoreClosed after `close`."""
        with self._lock:
            if self._closed:
                raise StoreClosed("the store is closed: nothing more can be written")
            self._queue.put(request)

    @property
    def busy(self) -> float:
        """For how many seconds it has been at the same batch."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._take()
            if batch:
                self._process(batch)
            if open_ and self._queue.empty():
                self._transactor.tidy()

    def _take(self) -> tuple[list[Request], bool]:
        batch: list[Request] = []
        request = self._queue.get()
        try:
            while request is not None:
                batch.append(request)
                request = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _process(self, batch: list[Request]) -> None:
        jobs = [request.job for request in batch]
        self._busy_since = time.monotonic()
        try:
            news = self._transactor.process(jobs)
        except BaseException as error:
            news = []
            for job in jobs:
                job.fail(WriterFailed(repr(error)))
        self._busy_since = None
        self._deliver(batch, news)
