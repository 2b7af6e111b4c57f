"""One transaction of the writer: the statements of a group of jobs, and what has to be done once for all of them at its end."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage.database import Database, Rows
from flowgraph_runtime.storage.errors import Fenced, UnknownMachine, UnknownRun


@dataclass(slots=True)
class CommitNews:
    """What one commit changed. `sequence` grows with every commit of this process and over restarts."""

    sequence: int = 0
    at: int = 0
    inbox_runs: list[str] = field(default_factory=list[str])  # ids of runs that got inbox rows
    created: list[str] = field(default_factory=list[str])  # ids of new runs
    ready: list[str] = field(default_factory=list[str])  # ids of unowned runs that can be claimed now
    events: list[str] = field(default_factory=list[str])  # ids of stored events
    transitions: list[Transition] = field(default_factory=list[Transition])
    slots: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])  # (epoch, ticket) of requests that got slots

    def __bool__(self) -> bool:
        """Whether anything changed that somebody may wait for."""
        return bool(self.inbox_runs or self.created or self.ready or self.events or self.transitions or self.slots)

    def add(self, other: CommitNews) -> None:
        """Append what another job of the same transaction changed."""
        self.created += other.created
        self.ready += other.ready
        self.events += other.events
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


@dataclass(slots=True)
class Catalog:
    """Numbers of names that never change once committed: of runs, machines and workflows."""

    runs: dict[str, int] = field(default_factory=dict[str, int])
    machines: dict[str, int] = field(default_factory=dict[str, int])
    workflows: dict[str, int] = field(default_factory=dict[str, int])

    def absorb(self, other: Catalog) -> None:
        """Take over what a committed transaction learned."""
        if len(self.runs) > 500_000:
            self.runs.clear()
        self.runs.update(other.runs)
        self.machines.update(other.machines)
        self.workflows.update(other.workflows)


@dataclass(slots=True)
class Effects:
    """What a job leaves to be done at the end of the group, when all rows of runs are locked in one order (no deadlocks):
    `updates` of the runs' columns, `offers` to their inboxes, `freed` runs that may be claimable, `admitted` ones that got the
    slots which they waited for. Dropped when the job fails."""

    offers: list[Offer] = field(default_factory=list[Offer])
    updates: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    owners: dict[int, tuple[int, str]] = field(
        default_factory=dict[int, tuple[int, str]]
    )  # run -> (epoch that must own it, its id)
    freed: set[int] = field(default_factory=set[int])
    ended: set[int] = field(default_factory=set[int])
    admitted: set[int] = field(default_factory=set[int])
    news: CommitNews = field(default_factory=CommitNews)
    learned: Catalog = field(default_factory=Catalog)

    def add(self, other: Effects) -> None:
        """Append the effects of a job that succeeded."""
        self.offers += other.offers
        for run, columns in other.updates.items():
            self.update(run, columns)
        self.owners.update(other.owners)
        self.freed |= other.freed
        self.ended |= other.ended
        self.admitted |= other.admitted
        self.news.add(other.news)
        self.learned.absorb(other.learned)

    def update(self, run: int, columns: dict[str, Any]) -> None:
        """Remember values for a run's row; later ones win."""
        self.updates.setdefault(run, {}).update(columns)


class Tx:
    """The transaction. Statements go through `sql`; `now` is its one instant; `effects` is for the end of the group."""

    def __init__(self, database: Database, catalog: Catalog, now: int) -> None:
        self.database = database
        self.sql = database.writing()
        self.now = now
        self.effects = Effects()
        self._catalog = catalog
        self._epochs: set[int] = set()

    def check_epoch(self, epoch: int) -> None:
        """Raise Fenced unless the epoch is alive; it stays alive until this transaction ends."""
        if epoch in self._epochs:
            return
        found = self.sql.rows(f"SELECT state FROM fg_epoch WHERE id = :epoch {self.database.share_lock}", epoch=epoch)
        if not found or found[0][0] != "alive":
            raise Fenced(epoch)
        self._epochs.add(epoch)

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
