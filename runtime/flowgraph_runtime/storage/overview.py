"""What the first page shows of every workflow, and what a search for an id finds: bounded ranges of indices, no whole table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

from flowgraph_runtime.storage.reads import names_given
from flowgraph_runtime.storage.run_pages import ANY, LIVE, RunSummary, numbers_between, summaries, workflow_numbers

SAMPLE = 200
"""Newest runs of a workflow from which its rate and health are computed."""
MOST_COUNTED = 50_000
"""Live runs that are counted; where there are more, the counts are lower bounds."""
_ID_LETTERS = 26


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Runs that are not over, by workflow and stored status. `bounded`: there are more than were counted."""

    by_workflow: dict[str, dict[str, int]]
    bounded: bool

    def of(self, workflow: str | tuple[str, ...], *statuses: str) -> int:
        """Return how many runs of a workflow, by its name or all that it has had, are in one of these statuses."""
        return sum(self.by_workflow.get(name, {}).get(status, 0) for name in names_given(workflow) for status in statuses)


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event that a search found."""

    id: str
    name: str
    status: str
    received_at: int


@dataclass(frozen=True, slots=True)
class Matches:
    """What a search found, newest first."""

    runs: tuple[RunSummary, ...]
    events: tuple[FoundEvent, ...]


def recent_runs(
    connection: Connection, workflow: str | tuple[str, ...], parked: frozenset[str] = frozenset(), limit: int = SAMPLE
) -> list[RunSummary]:
    """Return the newest runs of a workflow, by its name or all that it has had, newest first."""
    found: list[int] = []
    for number in workflow_numbers(connection, workflow):
        found += numbers_between(connection, {"workflow": number}, 0, ANY, "DESC", limit)
    return [run for _, run in summaries(connection, sorted(found, reverse=True)[:limit], parked)]


def live_counts(connection: Connection) -> LiveCounts:
    """Count the runs that are not over."""
    counts: dict[str, dict[str, int]] = {}
    total = 0
    for workflow, status, count in connection.execute(_LIVE, {"statuses": list(LIVE), "count": MOST_COUNTED + 1}):
        counts.setdefault(workflow, {})[status] = count
        total += count
    return LiveCounts(counts, total > MOST_COUNTED)


_LIVE = text(
    "SELECT w.name, live.status, COUNT(*) FROM"
    " (SELECT workflow, status FROM fg_run WHERE status IN :statuses LIMIT :count) live"
    " JOIN fg_workflow w ON w.number = live.workflow GROUP BY w.name, live.status"
).bindparams(bindparam("statuses", expanding=True))


def find(connection: Connection, prefix: str, parked: Collection[str] = (), limit: int = 20) -> Matches:
    """Return runs and events whose id begins with `prefix`, the part of an id after `run_` or `evt_`, or all of it."""
    kind, _, letters = prefix.rpartition("_")
    letters = letters.upper()
    if (
        not letters
        or len(letters) > _ID_LETTERS
        or not letters.isascii()
        or not letters.isalnum()
        or kind not in ("", "run", "evt")
    ):
        return Matches((), ())
    low, high = letters.ljust(_ID_LETTERS, "0"), letters.ljust(_ID_LETTERS, "Z")
    runs: tuple[RunSummary, ...] = ()
    events: tuple[FoundEvent, ...] = ()
    if kind != "evt":
        values = {"low": f"run_{low}", "high": f"run_{high}", "count": limit}
        numbers = connection.execute(_RUNS, values).scalars().all()
        runs = tuple(run for _, run in summaries(connection, numbers, frozenset(parked)))
    if kind != "run":
        rows = connection.execute(_EVENTS, {"low": f"evt_{low}", "high": f"evt_{high}", "count": limit})
        events = tuple(FoundEvent(*row) for row in rows)
    return Matches(runs, events)


_RUNS = text("SELECT number FROM fg_run WHERE id >= :low AND id <= :high ORDER BY id DESC LIMIT :count")
_EVENTS = text(
    "SELECT id, name, status, received_at FROM fg_event WHERE id >= :low AND id <= :high ORDER BY id DESC LIMIT :count"
)
