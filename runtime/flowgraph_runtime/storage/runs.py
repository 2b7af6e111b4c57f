"""Runs come into being."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowgraph_runtime.records import NewRun, RunRow
from flowgraph_runtime.storage.errors import Conflict, Refused
from flowgraph_runtime.storage.rows import INPUT
from flowgraph_runtime.storage.text import are_storable, check_text
from flowgraph_runtime.storage.transaction import Tx

LARGE = 8_000
"""Characters of an input that is kept out of the run's row."""

_COLUMNS = (
    "id text, workflow int, machine int, status text, input text, event int, created_at int, received_at int, ready int,"
    " takeovers int, parent int, parent_serial int, idempotency_key text, schedule int, scheduled_at int, epoch int,"
    " started_at int"
)


def insert_runs(tx: Tx, runs: Sequence[NewRun], events: Mapping[str, tuple[int, str]]) -> None:
    """Create runs: queued ones, and running ones that have an owner; raises Fenced when one's owner is dead, Refused for one with
    the id, the idempotency key or the tick of another. `events`: number and payload of each event that starts one of them, by
    id."""
    if not runs:
        return
    for owner in {run.owner for run in runs if run.owner is not None}:
        tx.check_epoch(owner)
    parents = tx.run_numbers({run.parent_run for run in runs if run.parent_run is not None})
    if not are_storable(text for run in runs for text in (run.id, run.workflow, run.input, run.idempotency_key)):
        for run in runs:
            check_text(f"run {run.id!r}", run.id, run.workflow, run.input, run.idempotency_key)
    numbers = tx.sql.insert_new("fg_run", _COLUMNS, _columns(tx, runs, events, parents), every=True)
    if len(numbers) < len(runs):
        raise Refused(f"there is another run like one of {[run.id for run in runs if run.id not in numbers]}")
    tx.effects.learned.runs.update(numbers)
    large = [(numbers[run.id], run.input) for run in runs if _is_large(tx, run) and not _is_payload(run, events)]
    if large:
        tx.sql.each("INSERT INTO fg_large_input (run, text) SELECT run, text FROM given", "run int, text text", large)
    tx.effects.learned.alone.update(numbers[run.id] for run in runs if run.parent_serial is None)
    tx.effects.learned.bare.update(numbers[run.id] for run in runs if run.owner is not None)
    tx.effects.news.created += [run.id for run in runs]
    tx.effects.news.ready += [run.id for run in runs if run.owner is None]
    tx.effects.news.owned += [_as_claimed(tx, run) for run in runs if run.owner is not None]


def _as_claimed(tx: Tx, run: NewRun) -> RunRow:
    """What a claim of the run would answer."""
    return RunRow(
        id=run.id,
        workflow=run.workflow,
        machine=run.machine,
        status=_status(run),
        input=run.input,
        created_at=run.created_at,
        received_at=_received_at(tx, run),
        event_id=run.event_id,
        started_at=run.created_at,
        epoch=run.owner,
        parent_run=run.parent_run,
        parent_serial=run.parent_serial,
        idempotency_key=run.idempotency_key,
        scheduled_at=run.scheduled_at,
    )


def _status(run: NewRun) -> str:
    return "queued" if run.owner is None else "running"


def _received_at(tx: Tx, run: NewRun) -> int:
    return tx.now + run.later if run.event_id is not None or not run.received_at else run.received_at


def _is_payload(run: NewRun, events: Mapping[str, tuple[int, str]]) -> bool:
    return run.event_id is not None and run.input == f"[{events[run.event_id][1]}]"


def _is_large(tx: Tx, run: NewRun) -> bool:
    """SQLite writes a whole row whatever changes in it (measured: 3.4 microseconds with 64 kB apart, 48 with them in the row);
    PostgreSQL keeps large values out of its rows by itself."""
    return len(run.input) > LARGE and not tx.database.has_other_writers


def _columns(
    tx: Tx, runs: Sequence[NewRun], events: Mapping[str, tuple[int, str]], parents: Mapping[str, int]
) -> list[Sequence[object]]:
    """The values of `_COLUMNS`, column by column: row by row takes four times as long."""
    workflows = {name: tx.workflow_number(name) for name in {run.workflow for run in runs}}
    machines = {machine: tx.machine_number(machine) for machine in {run.machine for run in runs}}
    return [
        [run.id for run in runs],
        [workflows[run.workflow] for run in runs],
        [machines[run.machine] for run in runs],
        [_status(run) for run in runs],
        [None if _is_payload(run, events) or _is_large(tx, run) else run.input for run in runs],
        [None if run.event_id is None else events[run.event_id][0] for run in runs],
        [run.created_at for run in runs],
        [_received_at(tx, run) for run in runs],
        [1 if run.owner is None else 0 for run in runs],
        [0] * len(runs),
        [None if run.parent_run is None else parents[run.parent_run] for run in runs],
        [run.parent_serial for run in runs],
        [run.idempotency_key for run in runs],
        [run.schedule for run in runs],
        [run.scheduled_at for run in runs],
        [run.owner for run in runs],
        [None if run.owner is None else run.created_at for run in runs],
    ]


def start_runs(tx: Tx, runs: Sequence[NewRun]) -> list[tuple[str, bool]]:
    """Create runs by hand, without idempotency keys -> (id, True) for each. `received_at` of 0 means now."""
    insert_runs(tx, runs, {})
    return [(run.id, True) for run in runs]


def start_run_once(tx: Tx, run: NewRun) -> tuple[str, bool]:
    """Create a run by hand -> (id, whether it is new). The same workflow, idempotency key and input answer the first run's
    id; another input raises Conflict. `run.received_at` of 0 means now."""
    existing = _same_key(tx, run)
    if existing is not None:
        return existing, False
    insert_runs(tx, [run], {})
    return run.id, True


def _same_key(tx: Tx, run: NewRun) -> str | None:
    found = tx.sql.rows(
        f"SELECT r.id, {INPUT} FROM fg_run r WHERE r.workflow = :workflow AND r.idempotency_key = :key",
        workflow=tx.workflow_number(run.workflow),
        key=run.idempotency_key,
    )
    if found and found[0][1] != run.input:
        raise Conflict("idempotency key", str(run.idempotency_key), str(found[0][0]))
    return str(found[0][0]) if found else None
