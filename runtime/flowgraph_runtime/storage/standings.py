"""Where the live runs of a machine stand: their stored states, and who has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

_AT_ONCE = 500
_RUNS = text(
    "SELECT r.id, r.epoch, s.seq, s.state, (SELECT MAX(j.seq) FROM fg_journal j WHERE j.run = r.number)"
    " FROM fg_run r JOIN fg_machine m ON m.number = r.machine JOIN fg_workflow w ON w.number = r.workflow"
    " LEFT JOIN fg_snapshot s ON s.run = r.number"
    " WHERE m.fingerprint = :machine AND w.name = :workflow AND r.ended_at IS NULL ORDER BY r.number"
)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run that is not over. `state`: where it stands, None while the journal has gone on since it was written or a worker is
    about to begin; `held`: a worker has it in its hands."""

    id: str
    state: str | None
    held: bool


def live_runs(connection: Connection, workflow: str, machine: str) -> Iterator[StoredRun]:
    """The live runs of a machine (its fingerprint), oldest first."""
    found = connection.execution_options(stream_results=True).execute(_RUNS, {"machine": machine, "workflow": workflow})
    for id, epoch, seq, state, last in found.yield_per(_AT_ONCE):
        yield StoredRun(id, None if state is None or seq != (last or 0) else str(state), epoch is not None)


def at_rest(connection: Connection, workflow: str, machine: str) -> list[str]:
    """The ids of those that nobody has in his hands and whose state is stored."""
    return [one.id for one in live_runs(connection, workflow, machine) if not one.held and one.state is not None]
