"""Group commit: one thread writes; whatever is queued when it is free goes into one transaction, and so shares its wait for the disk.

A group that the database refuses is cut in halves until only the bad job fails; everything else of it is stored.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage.database import Database
from flowgraph_runtime.storage.errors import Fenced, OutcomeUnknown, SimulatedCrash, StorageError, StoreClosed, Superseded
from flowgraph_runtime.storage.settling import settle
from flowgraph_runtime.storage.transaction import Catalog, CommitNews, Effects, Tx
from flowgraph_runtime.storage.transitions import apply_transitions

_TRIES = 5  # of a transaction that the database aborted because of others


class Fate(Enum):
    """What becomes of a commit, as the simulator decides."""

    OK = "ok"
    REJECTED = "rejected"  # nothing is stored, the caller gets an error
    APPLIED_ERROR = "applied-error"  # stored, and the caller gets an error all the same
    CRASH_BEFORE = "crash-before"  # the process dies, nothing is stored
    CRASH_AFTER = "crash-after"  # the process dies, all is stored


class RejectedByFate(StorageError):
    """The simulator's fate `rejected`."""


@dataclass(slots=True, eq=False)
class Job:
    """One transition, or one other action, of a request. `alone`: in a transaction of its own on a shared database."""

    act: Callable[[Tx], Any] | None = None
    epoch: int = 0
    transition: Transition | None = None
    buckets: Callable[[], Iterable[int]] | None = None
    alone: bool = False
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class Request:
    """Jobs of one caller, who awaits `future` in `loop`."""

    jobs: list[Job]
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
        self._sequence = clock.now()

    def process(self, jobs: Sequence[Job]) -> list[CommitNews]:
        """Run jobs; each then has a result or an error. What was committed, in order."""
        if not self._database.has_other_writers:
            return self._group(jobs)
        together = [job for job in jobs if not job.alone]
        news = self._group(together) if together else []
        for job in jobs:
            if job.alone:
                news += self._group([job])
        return news

    def refused(self, run_ids: Collection[str]) -> set[str]:
        """Which of these runs have to be loaded again before they go on."""
        return self._refused.intersection(run_ids) if self._refused else set()

    def forgive(self, run_ids: Collection[str]) -> None:
        """These runs are loaded again: their transitions are welcome."""
        self._refused.difference_update(run_ids)

    def _group(self, jobs: Sequence[Job]) -> list[CommitNews]:
        jobs = [job for job in jobs if not self._is_superseded(job)]
        if not jobs:
            return []
        try:
            return [self._attempt(jobs)]
        except Fenced as error:
            return self._without_epoch(jobs, error)
        except Exception as error:
            if len(jobs) > 1 and self._concerns_one_job(error):
                middle = len(jobs) // 2
                return self._group(jobs[:middle]) + self._group(jobs[middle:])
            self._fail(jobs, error)
            return []

    def _is_superseded(self, job: Job) -> bool:
        if job.transition is None or job.transition.run_id not in self._refused:
            return False
        job.error = Superseded(job.transition.run_id)
        return True

    def _concerns_one_job(self, error: Exception) -> bool:
        ours = isinstance(error, StorageError) and not isinstance(error, OutcomeUnknown | RejectedByFate)
        return ours or self._database.writing().is_refusal(error)

    def _without_epoch(self, jobs: Sequence[Job], error: Fenced) -> list[CommitNews]:
        self._fail([job for job in jobs if job.epoch == error.epoch], error)
        rest = [job for job in jobs if job.epoch != error.epoch]
        return self._group(rest) if rest else []

    def _fail(self, jobs: Iterable[Job], error: BaseException) -> None:
        for job in jobs:
            job.error = error
            if job.transition is not None:
                self._refused.add(job.transition.run_id)

    def _attempt(self, jobs: Sequence[Job]) -> CommitNews:
        writing = self._database.writing()
        for attempt in range(_TRIES):
            writing.begin()
            try:
                tx = self._apply(jobs)
                self._commit()
            except BaseException as error:
                writing.rollback()
                if writing.is_transient(error) and attempt < _TRIES - 1:
                    continue
                raise
            return self._committed(tx)
        raise AssertionError("the last attempt raises or returns")

    def _apply(self, jobs: Sequence[Job]) -> Tx:
        writing = self._database.writing()
        writing.lock_buckets(bucket for job in jobs if job.buckets is not None for bucket in job.buckets())
        tx = Tx(self._database, self._catalog, writing.now() or self._clock.now())
        for epoch, group in groupby(jobs, key=lambda job: job.epoch if job.transition is not None else None):
            if epoch is None:
                for job in group:
                    _run_job(tx, job, alone=len(jobs) == 1)
            else:
                apply_transitions(tx, epoch, [job.transition for job in group if job.transition is not None])
        settle(tx)
        return tx

    def _commit(self) -> None:
        writing = self._database.writing()
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
        self._catalog.absorb(tx.effects.learned)
        self._sequence += 1
        news = tx.effects.news
        news.sequence, news.at = self._sequence, tx.now
        return news


def _run_job(tx: Tx, job: Job, *, alone: bool) -> None:
    """Run one action; unless it is alone, under a savepoint, so that its own error leaves the rest of the group in place."""
    assert job.act is not None
    if alone:
        job.result = job.act(tx)
        return
    outer, tx.effects = tx.effects, Effects()
    tx.sql.run("SAVEPOINT job")
    try:
        job.result = job.act(tx)
    except StorageError as error:
        job.error = error
        tx.sql.run("ROLLBACK TO SAVEPOINT job")
    else:
        outer.add(tx.effects)
    finally:
        tx.effects = outer
    tx.sql.run("RELEASE SAVEPOINT job")


class WriterThread:
    """The thread of a `Transactor`: takes all that is queued, and reports a whole batch at once."""

    def __init__(self, transactor: Transactor, deliver: Deliver) -> None:
        self._transactor = transactor
        self._deliver = deliver
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="flowgraph-writer", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request; raises StoreClosed after `close`."""
        with self._lock:
            if self._closed:
                raise StoreClosed("the store is closed: nothing more can be written")
            self._queue.put(request)

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
        jobs = [job for request in batch for job in request.jobs]
        try:
            news = self._transactor.process(jobs)
        except BaseException as error:
            news = []
            for job in jobs:
                job.error = job.error or error
        self._deliver(batch, news)
