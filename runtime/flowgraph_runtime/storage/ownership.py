"""Who owns which run: epochs, claims, take-over, and cancel requests to owners."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from flowgraph_runtime.records import RunRow
from flowgraph_runtime.storage.database import Rows
from flowgraph_runtime.storage.errors import UnknownRun
from flowgraph_runtime.storage.rows import RUN_COLUMNS, RUN_JOINS, run_row
from flowgraph_runtime.storage.transaction import Offer, Tx
from flowgraph_runtime.storage.transitions import ENDED, offer_ends

MOST_TAKEOVERS = 3
"""A run that lost so many owners without one more journal row is parked as crashed."""

_CRASHED = json.dumps({"type": "Crashed", "message": f"{MOST_TAKEOVERS} workers in a row went down while they owned this run"})


@dataclass(slots=True)
class TakeOver:
    """What a take-over did: the epochs found dead, how many runs it freed, the ids of those it parked as crashed."""

    epochs: list[int] = field(default_factory=list[int])
    freed: int = 0
    crashed: list[str] = field(default_factory=list[str])


def open_epoch(tx: Tx, node: str) -> int:
    """A new life of a worker on `node`."""
    found = tx.sql.rows(
        "INSERT INTO fg_epoch (node, state, writer, opened_at) VALUES (:node, 'alive', :writer, :now) RETURNING id",
        node=node,
        writer=tx.database.writer(),
        now=tx.now,
    )
    epoch = int(found[0][0])
    tx.sql.run("INSERT INTO fg_heartbeat (epoch, at) VALUES (:epoch, :now)", epoch=epoch, now=tx.now)
    return epoch


def heartbeat(tx: Tx, epoch: int) -> None:
    """Say that the epoch's process is alive; raises Fenced when it was declared dead."""
    tx.check_epoch(epoch)
    tx.sql.run("UPDATE fg_heartbeat SET at = :now WHERE epoch = :epoch", now=tx.now, epoch=epoch)


def close_epoch(tx: Tx, epoch: int) -> int:
    """End a worker's life in good order: its runs may be claimed at once, no owner counts as lost. How many runs were freed."""
    _bury(tx, [epoch])
    return _free(tx, [epoch], lost=False)


def take_over(tx: Tx, epoch: int, lease: int) -> TakeOver:
    """Declare other workers dead and free their runs and limit slots. SQLite: every other epoch, because only one process writes;
    PostgreSQL: those without a heartbeat for `lease` microseconds."""
    tx.check_epoch(epoch)
    silent = "AND h.at < :before" if tx.database.has_other_writers else "AND :before IS NOT NULL"
    found = tx.sql.rows(
        f"SELECT e.id, e.writer FROM fg_epoch e JOIN fg_heartbeat h ON h.epoch = e.id WHERE e.state = 'alive'"
        f" AND e.id <> :epoch {silent}",
        epoch=epoch,
        before=tx.now - lease,
    )
    dead = [int(row[0]) for row in found]
    tx.database.end_writers([row[1] for row in found if row[1] is not None])
    _bury(tx, dead)
    crashed = _park_crashed(tx, dead)
    return TakeOver(dead, _free(tx, dead, lost=True), crashed)


def _bury(tx: Tx, epochs: list[int]) -> None:
    """After this nothing that these epochs still try to commit is stored."""
    rows = [(epoch, tx.now) for epoch in epochs]
    tx.sql.each(
        "UPDATE fg_epoch SET state = 'dead', closed_at = given.now FROM given WHERE fg_epoch.id = given.epoch RETURNING id",
        "epoch int, now int",
        rows,
    )
    tx.sql.each(
        "DELETE FROM fg_limit_slot WHERE epoch IN (SELECT epoch FROM given) RETURNING run", "epoch int", [row[:1] for row in rows]
    )


_PROGRESS = "(SELECT COALESCE(MAX(j.seq), -1) FROM fg_journal j WHERE j.run = fg_run.number)"
_LOST = f"""takeovers = CASE WHEN takeover_seq = {_PROGRESS} THEN takeovers + 1 ELSE 1 END, takeover_seq = {_PROGRESS},"""


def _free(tx: Tx, epochs: list[int], *, lost: bool) -> int:
    freed = tx.sql.each(
        f"UPDATE fg_run SET {_LOST if lost else ''} epoch = NULL, ready = 1"
        " WHERE epoch IN (SELECT epoch FROM given) RETURNING id",
        "epoch int",
        [(epoch,) for epoch in epochs],
    )
    tx.effects.news.ready += [str(row[0]) for row in freed]
    return len(freed)


def _park_crashed(tx: Tx, epochs: list[int]) -> list[str]:
    crashed = tx.sql.each(
        "UPDATE fg_run SET status = 'crashed', epoch = NULL, ready = 0, ended_at = given.now, error = given.error,"
        f" takeovers = takeovers + 1 FROM given WHERE fg_run.epoch = given.epoch AND takeovers >= {MOST_TAKEOVERS - 1}"
        f" AND takeover_seq = {_PROGRESS} RETURNING number, id",
        "epoch int, now int, error text",
        [(epoch, tx.now, _CRASHED) for epoch in epochs],
    )
    offer_ends(tx, {int(number): ("crashed", _CRASHED) for number, _ in crashed})
    tx.effects.ended.update(int(number) for number, _ in crashed)
    tx.effects.freed.update(tx.effects.ended)
    return [str(id) for _, id in crashed]


def claim(tx: Tx, epoch: int, limit: int, machines: Collection[str] | None) -> list[RunRow]:
    """Become the owner of up to `limit` runs that are queued or have something in their inbox: first those that lost owners, so
    that a run which was only never reached is not taken for one that kills them, then the oldest. `machines`: fingerprints that
    this worker can advance, None for all."""
    tx.check_epoch(epoch)
    chosen = _claimable(tx, limit, machines)
    claimed = tx.sql.each(
        "UPDATE fg_run SET epoch = given.epoch, ready = 0, started_at = COALESCE(started_at, given.now) FROM given"
        " WHERE fg_run.number = given.run RETURNING fg_run.id, fg_run.number",
        "run int, epoch int, now int",
        [(row[0], epoch, tx.now) for row in chosen],
    )
    tx.effects.learned.runs.update((str(id), int(number)) for id, number in claimed)
    rows = tx.sql.each(
        f"SELECT r.number, {RUN_COLUMNS} FROM given JOIN fg_run r ON r.number = given.run {RUN_JOINS}",
        "run int",
        [(row[0],) for row in chosen],
    )
    by_number = {int(row[0]): run_row(row[1:]) for row in rows}
    return [by_number[int(row[0])] for row in chosen]


def owned(connection: Connection, epoch: int) -> list[str]:
    """Ids of the runs that an epoch owns, oldest first."""
    found = connection.execute(text("SELECT id FROM fg_run WHERE epoch = :epoch ORDER BY number"), {"epoch": epoch})
    return [str(row[0]) for row in found]


def with_inbox(connection: Connection, epoch: int) -> list[str]:
    """Ids of the runs of this owner that have something in their inbox, whoever put it there."""
    found = connection.execute(
        text("SELECT DISTINCT r.id FROM fg_run r JOIN fg_inbox i ON i.run = r.number WHERE r.epoch = :epoch"), {"epoch": epoch}
    )
    return [str(row[0]) for row in found]


def _claimable(tx: Tx, limit: int, machines: Collection[str] | None) -> Rows:
    locked = f"ORDER BY takeovers DESC, number LIMIT {int(limit)} {tx.database.skip_locked}"
    where = "ready = 1 AND epoch IS NULL AND ended_at IS NULL AND status <> 'paused'"
    if machines is None:
        return tx.sql.rows(f"SELECT number FROM fg_run WHERE {where} {locked}")
    return tx.sql.each(
        f"SELECT number FROM fg_run WHERE {where}"
        f" AND machine IN (SELECT m.number FROM given JOIN fg_machine m ON m.fingerprint = given.machine) {locked}",
        "machine text",
        [(machine,) for machine in machines],
    )[: int(limit)]


def ask_cancel(tx: Tx, run_id: str, reason: str) -> str:
    """Ask the owner to cancel the run: `cancelling`, or `already <status>` when it is over. Raises UnknownRun."""
    found = tx.sql.rows(
        f"SELECT number, status FROM fg_run WHERE id = :id {tx.database.update_lock}",
        id=run_id,
    )
    if not found:
        raise UnknownRun(run_id)
    number, status = found[0]
    if status in ENDED:
        return f"already {status}"
    tx.effects.offers.append(Offer(int(number), "cancel", "cancel", 0, payload=reason))
    return "cancelling"
