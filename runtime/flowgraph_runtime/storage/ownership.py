"""Who owns which run: epochs, claims, take-over, and cancel requests to owners.

A run whose step takes the process down must not take others down with it for ever, and they must not be blamed for it:

- A run that lost two owners without one more journal row is a suspect. Everything else is claimed as it comes.
- Suspects are tried: an owner gets only some at a time, of n that wait the square root of n, and more when each of these has
  written a journal row, has ended, or has outlived its trial. A trial lasts twice as long as the last dead owner lived, at least
  5 seconds and at most 10 minutes. Who outlived it, and nothing more, is a suspect again after the next loss.
- Those that were on trial when their owner died are prime suspects: each is tried alone, and only by an owner that has already
  lived as long as a trial lasts without any. What kills owners again and again for another reason kills this one before that.
- A prime suspect that loses its owner while it is tried alone is parked as `crashed`. So a run that kills takes four owners
  with it at most, and one that does not is taken for it only if something else ends a long quiet just in its trial.
- A run that kills only after more than 10 minutes without a journal row is never found.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from math import ceil, sqrt

from sqlalchemy import Connection, text

from flowgraph.codec import dumps
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.storage.database import Rows
from flowgraph_runtime.storage.errors import Crashed, UnknownRun
from flowgraph_runtime.storage.limits import free_epochs, free_runs
from flowgraph_runtime.storage.rows import OWNED, RUN_COLUMNS, RUN_JOINS, run_row
from flowgraph_runtime.storage.transaction import Offer, Tx
from flowgraph_runtime.storage.transitions import ENDED, offer_ends

SUSPECT = 2
"""Owners lost in a row, without a journal row between, that make a run a suspect."""
PRIME_SUSPECT = 3
"""`takeovers` of a suspect that was on trial when its owner died; one loss more, and it is parked."""
SHORTEST_TRIAL = 5_000_000
LONGEST_TRIAL = 600_000_000
"""Microseconds."""
_MOST_COUNTED = 10_000  # runs
_COUNTED = 16  # times what is claimed at once

_CRASHED = dumps(
    Crashed(
        f"{PRIME_SUSPECT + 1} workers in a row went down while they owned this run, the last one when no other run was suspected"
    )
)


@dataclass(slots=True)
class TakeOver:
    """What a take-over did: the epochs found dead, how many runs it freed, the ids of those it parked as crashed; `next_in`:
    after how many microseconds the next worker will have been silent for a lease, unless it is heard of before."""

    epochs: list[int] = field(default_factory=list[int])
    freed: int = 0
    crashed: list[str] = field(default_factory=list[str])
    next_in: int | None = None


def open_epoch(tx: Tx, node: str) -> int:
    """A new life of a worker on `node`."""
    found = tx.sql.rows(
        "INSERT INTO fg_epoch (node, state, writer, opened_at) VALUES (:node, 'alive', :writer, :now) RETURNING id",
        node=node,
        writer=tx.database.writer(),
        now=tx.now,
    )
    epoch = int(found[0][0])
    tx.database.epochs.add(epoch)
    tx.sql.run("INSERT INTO fg_heartbeat (epoch, at) VALUES (:epoch, :now)", epoch=epoch, now=tx.now)
    return epoch


def heartbeat(tx: Tx, epoch: int) -> None:
    """Say that the epoch's process is alive; raises Fenced when it was declared dead."""
    tx.check_epoch(epoch)
    tx.sql.run("UPDATE fg_heartbeat SET at = :now WHERE epoch = :epoch", now=tx.now, epoch=epoch)


def close_epoch(tx: Tx, epoch: int) -> int:
    """End a worker's life in good order: its runs may be claimed at once, no owner counts as lost. How many runs were freed."""
    _bury(tx, [epoch])
    return _free(tx, [epoch])


def hand_over(tx: Tx, epoch: int, run_ids: Collection[str]) -> None:
    """Give some runs of the epoch up, claimable at once, no owner counts as lost. Their states are saved already."""
    tx.check_epoch(epoch)
    freed = tx.sql.each(
        f"UPDATE fg_run SET epoch = NULL, ready = 1 FROM given WHERE fg_run.id = given.id AND {OWNED}"
        " AND fg_run.ended_at IS NULL RETURNING fg_run.id",
        "id text, epoch int",
        [(run_id, epoch) for run_id in sorted(run_ids)],
    )
    tx.effects.news.ready += [str(row[0]) for row in freed]


def take_over(tx: Tx, epoch: int, lease: int) -> TakeOver:
    """Declare other workers dead and free their runs and limit slots. SQLite: every other epoch, because only one process writes;
    PostgreSQL: those without a heartbeat for `lease` microseconds, unless this process itself was out of touch meanwhile."""
    tx.check_epoch(epoch)
    silent = _silent(tx, epoch, lease)
    tx.database.end_writers([row[1] for row in silent if row[1] is not None])
    _bury(tx, [int(row[0]) for row in silent])
    crashed = _park_crashed(tx, [int(row[0]) for row in silent if row[2]])
    freed = _free_lost(tx, [(int(row[0]), int(row[2])) for row in silent])
    return TakeOver([int(row[0]) for row in silent], freed, crashed, _next_in(tx, epoch, lease))


def end_silent_writers(tx: Tx, epoch: int, lease: int) -> None:
    """PostgreSQL: end the connections of those whom a take-over will declare dead. Apart from it and before it, because they may
    hold locks that it needs."""
    tx.check_epoch(epoch)
    tx.database.end_writers([row[1] for row in _silent(tx, epoch, lease) if row[1] is not None])


def _silent(tx: Tx, epoch: int, lease: int) -> Rows:
    """Other epochs that count as dead: (id, its writer, 1 if it fell silent during a trial)."""
    if not tx.sql.unbroken(lease):
        return []
    before = "AND h.at < :before" if tx.database.has_other_writers else "AND :before IS NOT NULL"
    return tx.sql.rows(
        "SELECT e.id, e.writer, CASE WHEN h.at <= h.trial_until THEN 1 ELSE 0 END"
        " FROM fg_epoch e JOIN fg_heartbeat h ON h.epoch = e.id"
        f" WHERE e.state = 'alive' AND e.id <> :epoch {before}",
        epoch=epoch,
        before=tx.now - lease,
    )


def _next_in(tx: Tx, epoch: int, lease: int) -> int | None:
    found = tx.sql.rows(
        "SELECT MIN(h.at) FROM fg_epoch e JOIN fg_heartbeat h ON h.epoch = e.id WHERE e.state = 'alive' AND e.id <> :epoch",
        epoch=epoch,
    )
    return None if found[0][0] is None else int(found[0][0]) + lease - tx.now


def _bury(tx: Tx, epochs: list[int]) -> None:
    """After this nothing that these epochs still try to commit is stored."""
    rows = [(epoch, tx.now) for epoch in epochs]
    tx.sql.each(
        "UPDATE fg_epoch SET state = 'dead', closed_at = given.now FROM given WHERE fg_epoch.id = given.epoch RETURNING id",
        "epoch int, now int",
        rows,
    )
    free_epochs(tx, epochs)


_PROGRESS = "(SELECT COALESCE(MAX(j.seq), -1) FROM fg_journal j WHERE j.run = fg_run.number)"
_SUSPECTED = f"takeovers >= {SUSPECT} AND takeover_seq = {_PROGRESS}"


def _free(tx: Tx, epochs: list[int]) -> int:
    freed = tx.sql.each(
        "UPDATE fg_run SET epoch = NULL, ready = 1 WHERE epoch IN (SELECT epoch FROM given) RETURNING id",
        "epoch int",
        [(epoch,) for epoch in epochs],
    )
    tx.effects.news.ready += [str(row[0]) for row in freed]
    return len(freed)


def _free_lost(tx: Tx, epochs: list[tuple[int, int]]) -> int:
    """Free what dead epochs, each with 1 if it died during a trial, owned; count the loss."""
    freed = tx.sql.each(
        f"UPDATE fg_run SET takeovers = CASE WHEN takeover_seq IS NULL OR takeover_seq <> {_PROGRESS} THEN 1"
        f" WHEN takeovers < {SUSPECT} OR given.tried = 1 THEN takeovers + 1 ELSE {SUSPECT} END,"
        f" takeover_seq = {_PROGRESS}, epoch = NULL, ready = 1 FROM given WHERE fg_run.epoch = given.epoch RETURNING fg_run.id",
        "epoch int, tried int",
        epochs,
    )
    tx.effects.news.ready += [str(row[0]) for row in freed]
    return len(freed)


def _park_crashed(tx: Tx, epochs: list[int]) -> list[str]:
    """Park the prime suspects of epochs that died during a trial: each was the only one."""
    crashed = tx.sql.each(
        "UPDATE fg_run SET status = 'crashed', epoch = NULL, ready = 0, ended_at = given.now, error = given.error,"
        f" takeovers = takeovers + 1 FROM given WHERE fg_run.epoch = given.epoch AND takeovers >= {PRIME_SUSPECT}"
        f" AND takeover_seq = {_PROGRESS} RETURNING number, id",
        "epoch int, now int, error text",
        [(epoch, tx.now, _CRASHED) for epoch in epochs],
    )
    free_runs(tx, [int(number) for number, _ in crashed])
    offer_ends(tx, {int(number): ("crashed", _CRASHED) for number, _ in crashed})
    tx.effects.ended.update(int(number) for number, _ in crashed)
    tx.effects.freed.update(tx.effects.ended)
    return [str(id) for _, id in crashed]


def claim(tx: Tx, epoch: int, limit: int, machines: Collection[str] | None) -> list[RunRow]:
    """Become the owner of up to `limit` runs that are queued or have something in their inbox, of several workers each its share
    only: suspects as far as it is their turn, then those that lost an owner, then the oldest. `machines`: fingerprints that this
    worker can advance, None for all."""
    tx.check_epoch(epoch)
    limit = _share(tx, limit)
    if limit <= 0:
        return []
    chosen = _suspects_to_try(tx, epoch, limit, machines)
    chosen += _claimable(tx, f"NOT ({_SUSPECTED})", limit - len(chosen), machines)
    tx.sql.change(
        "UPDATE fg_run SET epoch = given.epoch, ready = 0, started_at = COALESCE(started_at, given.now) FROM given"
        " WHERE fg_run.number = given.run",
        "run int, epoch int, now int",
        [(row[0], epoch, tx.now) for row in chosen],
    )
    rows = tx.sql.each(
        f"SELECT r.number, {RUN_COLUMNS} FROM given JOIN fg_run r ON r.number = given.run {RUN_JOINS}",
        "run int",
        [(row[0],) for row in chosen],
    )
    by_number = {int(row[0]): run_row(row[1:]) for row in rows}
    tx.effects.learned.runs.update((run.id, number) for number, run in by_number.items())
    tx.effects.learned.alone.update(number for number, run in by_number.items() if run.parent_serial is None)
    tx.no_longer_bare(by_number)
    return [by_number[int(row[0])] for row in chosen]


_CLAIMABLE = "ready = 1 AND epoch IS NULL AND ended_at IS NULL AND status <> 'paused'"


def _share(tx: Tx, limit: int) -> int:
    """How many of the runs that can be claimed now, at most `limit`, leave as many to each other worker."""
    if not tx.database.has_other_writers:
        return limit
    ((claimable, workers),) = tx.sql.rows(
        f"SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM fg_run WHERE {_CLAIMABLE} LIMIT {_COUNTED * int(limit)}) c),"
        " (SELECT COUNT(*) FROM fg_epoch WHERE state = 'alive')"
    )
    tx.database.workers = int(workers)
    return min(limit, ceil(int(claimable) / max(int(workers), 1)))


def _suspects_to_try(tx: Tx, epoch: int, limit: int, machines: Collection[str] | None) -> Rows:
    """The suspects whose turn it is, none while others are on trial; those who outlived theirs are suspects no more."""
    waiting = _claimable(tx, _SUSPECTED, _MOST_COUNTED, machines)
    if not waiting or _on_trial(tx, epoch):
        return []
    length = _trial_length(tx)
    others = [row for row in waiting if row[1] < PRIME_SUSPECT]
    alone = len(others) < len(waiting) and _age(tx, epoch) >= length
    chosen = waiting[:1] if alone else others[: min(limit, ceil(sqrt(len(others))))]
    if chosen:
        tx.sql.run(f"UPDATE fg_run SET takeovers = 1 WHERE epoch = :epoch AND takeovers >= {SUSPECT}", epoch=epoch)
        tx.sql.run("UPDATE fg_heartbeat SET trial_until = :until WHERE epoch = :epoch", until=tx.now + length, epoch=epoch)
    return chosen


def _age(tx: Tx, epoch: int) -> int:
    """How long the owner has lived, in microseconds."""
    return tx.now - int(tx.sql.rows("SELECT opened_at FROM fg_epoch WHERE id = :epoch", epoch=epoch)[0][0])


def _on_trial(tx: Tx, epoch: int) -> bool:
    found = tx.sql.rows(
        f"SELECT 1 FROM fg_run JOIN fg_heartbeat h ON h.epoch = fg_run.epoch"
        f" WHERE fg_run.epoch = :epoch AND h.trial_until >= :now AND {_SUSPECTED} LIMIT 1",
        epoch=epoch,
        now=tx.now,
    )
    return bool(found)


def _trial_length(tx: Tx) -> int:
    """Twice the life of the last dead owner: who killed it after so long had its chance. Microseconds."""
    found = tx.sql.rows(
        "SELECT h.at - e.opened_at FROM fg_epoch e JOIN fg_heartbeat h ON h.epoch = e.id WHERE e.state = 'dead'"
        " ORDER BY e.closed_at DESC, e.id DESC LIMIT 1"
    )
    return min(max(2 * int(found[0][0]) if found else 0, SHORTEST_TRIAL), LONGEST_TRIAL)


def owned(tx: Tx, epoch: int) -> list[str]:
    """Ids of the runs that an epoch owns, oldest first."""
    return [str(row[0]) for row in tx.sql.rows("SELECT id FROM fg_run WHERE epoch = :epoch ORDER BY number", epoch=epoch)]


def with_inbox(connection: Connection, epoch: int) -> list[str]:
    """Ids of the runs of this owner that have something in their inbox, whoever put it there."""
    found = connection.execute(
        text("SELECT DISTINCT r.id FROM fg_run r JOIN fg_inbox i ON i.run = r.number WHERE r.epoch = :epoch"), {"epoch": epoch}
    )
    return [str(row[0]) for row in found]


def _claimable(tx: Tx, which: str, limit: int, machines: Collection[str] | None) -> Rows:
    """Numbers and lost owners of runs that could be claimed and of which `which` is true, locked."""
    locked = f"ORDER BY takeovers DESC, number LIMIT {int(limit)} {tx.database.skip_locked}"
    where = f"{_CLAIMABLE} AND {which}"
    if machines is None:
        return tx.sql.rows(f"SELECT number, takeovers FROM fg_run WHERE {where} {locked}")
    return tx.sql.each(
        ", fit AS MATERIALIZED (SELECT m.number FROM given JOIN fg_machine m ON m.fingerprint = given.machine)"
        f" SELECT number, takeovers FROM fg_run WHERE {where} AND machine IN (SELECT number FROM fit) {locked}",
        "machine text",
        [(machine,) for machine in machines],
    )[: int(limit)]


def ask_cancel(tx: Tx, run_id: str, reason: str) -> str:
    """Ask the owner to cancel the run: `cancelling`, or `already <status>` when it is over. Raises UnknownRun.

    A run that nobody has begun says so in its status: whoever claims it must look into its inbox before its first step."""
    found = tx.sql.rows(
        f"SELECT number, status FROM fg_run WHERE id = :id {tx.database.update_lock}",
        id=run_id,
    )
    if not found:
        raise UnknownRun(run_id)
    number, status = found[0]
    if status in ENDED:
        return f"already {status}"
    if status == "queued":
        tx.sql.run("UPDATE fg_run SET status = 'cancelling' WHERE number = :number AND epoch IS NULL", number=number)
    tx.effects.offers.append(Offer(int(number), "cancel", "cancel", 0, payload=reason))
    return "cancelling"
