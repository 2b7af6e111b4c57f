"""One transaction of the writer: the statements of a group of jobs, and what has to be done once for all of them at its end."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.factories import dict_of, list_of, set_of
from flowgraph_runtime.records import Completed, Decided, JournalRow, RunRow, Transition, transition_of
from flowgraph_runtime.storage.database import Database, Rows
from flowgraph_runtime.storage.errors import Fenced, UnknownMachine, UnknownRun


@dataclass(slots=True)
class CommitNews:
    """What one commit changed. `sequence` grows with every commit of this process and over restarts."""

    sequence: int = 0
    at: int = 0
    inbox_runs: list[str] = field(default_factory=list_of(str))  # ids of runs that got inbox rows
    created: list[str] = field(default_factory=list_of(str))  # ids of new runs
    ready: list[str] = field(default_factory=list_of(str))  # ids of unowned runs that can be claimed now
    owned: list[RunRow] = field(default_factory=list_of(RunRow))  # new runs that have an owner
    events: list[str] = field(default_factory=list_of(str))  # ids of stored events
    rows: Sequence[JournalRow] = ()  # of decisions that wrote nothing else
    ends: list[Completed] = field(default_factory=list_of(Completed))  # of decisions that wrote a good end beside it
    transitions: list[Transition] = field(default_factory=list_of(Transition))  # the other decisions
    slots: list[tuple[int, int]] = field(default_factory=list_of(tuple[int, int]))  # (epoch, ticket) of requests that got slots

    def __bool__(self) -> bool:
        """Whether anything changed that somebody may wait for."""
        decided = self.rows or self.ends or self.transitions
        return bool(decided or self.inbox_runs or self.created or self.ready or self.events or self.slots)

    def decisions(self, runs: Container[str] | None = None) -> Iterator[Transition]:
        """What was decided, in the long form; `runs`: only of these."""
        every: tuple[Sequence[Decided], ...] = (self.rows, self.ends, self.transitions)
        for decided in chain.from_iterable(every):
            if runs is None or decided.run_id in runs:
                yield transition_of(decided)

    def tell_rows(self, rows: Sequence[JournalRow]) -> None:
        """Append rows. The first ones are kept as they are, not copied: who made that list may not change it any more."""
        if rows:
            self.rows = [*self.rows, *rows] if self.rows else rows

    def add(self, other: CommitNews) -> None:
        """Append what another job of the same transaction changed."""
        self.created += other.created
        self.ready += other.ready
        self.owned += other.owned
        self.events += other.events
        self.tell_rows(other.rows)
        self.ends += other.ends
        self.transitions += other.transitions
        self.slots += other.slots


@dataclass(slots=True)
class Offer:
    """An inbox row to be. `id` makes it idempotent per run."""

    run: int
    id: str
    kind: str
    serial: int
    payload: str | None = None
    event: int | None = None
    serials: str | None = None
    more: int | None = None


KNOWN_RUNS = 100_000
"""Runs whose numbers are remembered: those that another process works on end unheard."""


@dataclass(slots=True)
class Catalog:
    """Numbers of names that never change once committed: of live runs, machines and workflows."""

    runs: dict[str, int] = field(default_factory=dict_of(str, int))
    machines: dict[str, int] = field(default_factory=dict_of(str, int))
    workflows: dict[str, int] = field(default_factory=dict_of(str, int))
    alone: set[int] = field(default_factory=set_of(int))  # of runs that no other run waits for
    bare: set[int] = field(default_factory=set_of(int))  # of this process's runs without a timer, wait or inbox row ever

    def absorb(self, other: Catalog) -> None:
        """Take over what a committed transaction learned."""
        if len(self.runs) > KNOWN_RUNS:
            self.runs.clear()
            self.alone.clear()
            self.bare.clear()
        self.runs.update(other.runs)
        self.alone |= other.alone
        self.bare |= other.bare
        self.machines.update(other.machines)
        self.workflows.update(other.workflows)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop runs that are over: a process that lives for months sees millions of them."""
        numbers = [self.runs.pop(id, 0) for id in run_ids]  # no run has the number 0
        self.alone.difference_update(numbers)
        self.bare.difference_update(numbers)


@dataclass(slots=True)
class Effects:
    """What a job leaves to be done at the end of the group, when all rows of runs are locked in one order (no deadlocks):
    `updates` of the runs' rows and which runs were `completed` (see `settling`), `offers` to their inboxes, `freed` runs that may
    be claimable, `admitted` ones that got the slots which they waited for. Dropped when the job fails."""

    offers: list[Offer] = field(default_factory=list_of(Offer))
    updates: dict[int, tuple[Any, ...]] = field(default_factory=dict_of(int, tuple[Any, ...]))
    completed: dict[int, tuple[int, int, int, str]] = field(default_factory=dict_of(int, tuple[int, int, int, str]))
    freed: set[int] = field(default_factory=set_of(int))
    ended: set[int] = field(default_factory=set_of(int))
    admitted: set[int] = field(default_factory=set_of(int))
    news: CommitNews = field(default_factory=CommitNews)
    learned: Catalog = field(default_factory=Catalog)

    def add(self, other: Effects) -> None:
        """Append the effects of a job that succeeded."""
        self.offers += other.offers
        for row in other.updates.values():
            self.update(row)
        self.completed |= other.completed
        self.freed |= other.freed
        self.ended |= other.ended
        self.admitted |= other.admitted
        self.news.add(other.news)
        self.learned.absorb(other.learned)

    def update(self, row: tuple[Any, ...]) -> None:
        """Remember values for the row of the run `row[0]`; None leaves one as it is, later ones win."""
        earlier = self.updates.get(row[0])
        if earlier is not None:
            row = tuple(old if new is None else new for old, new in zip(earlier, row, strict=True))
        self.updates[row[0]] = row

    def complete(self, run: int, epoch: int, ended_at: int, result: str) -> None:
        """Remember the good end of a run that `epoch` owns. Nothing comes after it."""
        if run in self.updates:
            self.update((run, epoch, 1, "completed", None, ended_at, result, None, None, None, None))
        else:
            self.completed[run] = (run, epoch, ended_at, result)


class Tx:
    """The transaction. Statements go through `sql`; `now` is its one instant; `effects` is for the end of the group. `epochs`:
    those that are known to be alive until its end, to which it adds."""

    def __init__(self, database: Database, catalog: Catalog, clock: Clock, epochs: set[int] | None = None) -> None:
        self.database = database
        self.sql = database.writing()
        self.sql.ask_time()
        self._clock = clock
        self._now: int | None = None
        self.effects = Effects()
        self._catalog = catalog
        self.epochs: set[int] = set() if epochs is None else epochs
        self.clothed: set[int] = set()  # runs that are bare no longer

    @property
    def now(self) -> int:
        """Microseconds."""
        if self._now is None:
            self._now = self.sql.now() or self._clock.now()
        return self._now

    def check_epoch(self, epoch: int) -> None:
        """Raise Fenced, by the commit at the latest, unless the epoch is alive; it stays alive until this transaction ends, or
        the savepoint in which it was asked is given up."""
        if epoch in self.epochs:
            return
        self.epochs.add(epoch)

        def demand(found: Rows) -> None:
            if not found or found[0][0] != "alive":
                self.epochs.discard(epoch)
                raise Fenced(epoch)

        self.sql.demand(demand, f"SELECT state FROM fg_epoch WHERE id = :epoch {self.database.share_lock}", epoch=epoch)

    def run_numbers(self, ids: Collection[str]) -> dict[str, int]:
        """The numbers of these runs; raises UnknownRun for the first that does not exist."""
        known = self._catalog.runs
        numbers = {id: known[id] for id in ids if id in known}
        missing = [(id,) for id in ids if id not in numbers]
        if missing:
            found = dict(
                _pairs(self.sql.each("SELECT r.id, r.number FROM given JOIN fg_run r ON r.id = given.id", "id text", missing))
            )
            self.effects.learned.runs.update(found)
            numbers.update(found)
            for (id,) in missing:
                if id not in found:
                    raise UnknownRun(id)
        return numbers

    def numbers_of(self, ids: Sequence[str]) -> list[int]:
        """The number of each of these runs; raises UnknownRun."""
        try:
            return list(map(self._catalog.runs.__getitem__, ids))
        except KeyError:
            return list(map(self.run_numbers(set(ids)).__getitem__, ids))

    def is_alone(self, number: int) -> bool:
        """Whether it is known that no other run waits for this one."""
        return number in self._catalog.alone or number in self.effects.learned.alone

    def no_longer_bare(self, runs: Collection[int]) -> None:
        """These runs get timers, waits or inbox rows, or another process may have given them some."""
        self.clothed.update(runs)
        self._catalog.bare.difference_update(runs)

    def is_bare(self, number: int) -> bool:
        """Whether it is known that the run has never had a timer, a wait or, where nobody else writes, an inbox row."""
        return number in self._catalog.bare

    def run_id(self, number: int) -> str:
        """The id of a run that exists."""
        return next(id for known in (self._catalog.runs, self.effects.learned.runs) for id, one in known.items() if one == number)

    def run_number(self, id: str) -> int:
        """The number of a run; raises UnknownRun."""
        return self.run_numbers((id,))[id]

    def machine_number(self, fingerprint: str) -> int:
        """The number of a saved machine; raises UnknownMachine."""
        learned = self.effects.learned.machines
        number = self._catalog.machines.get(fingerprint) or learned.get(fingerprint)
        if number is None:
            found = self.sql.rows("SELECT number FROM fg_machine WHERE fingerprint = :fingerprint", fingerprint=fingerprint)
            if not found:
                raise UnknownMachine(fingerprint)
            number = learned[fingerprint] = int(found[0][0])
        return number

    def workflow_number(self, name: str) -> int:
        """The number of a workflow's name; a new name gets one."""
        learned = self.effects.learned.workflows
        number = self._catalog.workflows.get(name) or learned.get(name)
        if number is None:
            self.sql.run(
                "INSERT INTO fg_workflow (name, updated_at) VALUES (:name, :now) ON CONFLICT (name) DO NOTHING",
                name=name,
                now=self.now,
            )
            found = self.sql.rows("SELECT number FROM fg_workflow WHERE name = :name", name=name)
            number = learned[name] = int(found[0][0])
        return number


def _pairs(rows: Rows) -> Iterable[tuple[str, int]]:
    return ((str(name), int(number)) for name, number in rows)
