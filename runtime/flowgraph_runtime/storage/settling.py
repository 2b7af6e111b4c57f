"""The end of a group's transaction: rows of runs change and inboxes fill, after all these runs are locked in one order.

That order makes deadlocks between processes impossible, and the locks close a race: whoever puts a row into an inbox and the
owner who gives the run up see each other, so one of them finds that the run has to be claimed again.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from flowgraph_runtime.storage.errors import NotOwner
from flowgraph_runtime.storage.transaction import Effects, Offer, Tx

_UPDATES = (
    ("status", "text"),
    ("started_at", "int"),
    ("ended_at", "int"),
    ("result", "text"),
    ("error", "text"),
    ("failed_step", "text"),
    ("failed_attempt", "int"),
    ("reason", "text"),
)
_UPDATE_COLUMNS = "run int, owner int, " + ", ".join(f"{name} {kind}" for name, kind in _UPDATES) + ", release int"
_UPDATE = (
    "UPDATE fg_run SET "
    + ", ".join(f"{name} = COALESCE(given.{name}, fg_run.{name})" for name, _ in _UPDATES)
    + ", epoch = CASE WHEN given.release = 1 THEN NULL ELSE fg_run.epoch END"
    " FROM given WHERE fg_run.number = given.run AND fg_run.epoch = given.owner RETURNING number"
)
_INBOX_COLUMNS = "run int, id text, kind text, serial int, payload text, event int, serials text, more int, at int"
_INBOX_NAMES = ", ".join(column.split()[0] for column in _INBOX_COLUMNS.split(","))


def settle(tx: Tx) -> None:
    """Write what the jobs of the group left in `tx.effects`."""
    effects = tx.effects
    runs = {offer.run for offer in effects.offers} | effects.updates.keys() | effects.freed | effects.admitted
    if not runs:
        return
    live = _lock(tx, runs)
    _update_runs(tx, effects)
    _fill_inboxes(tx, [offer for offer in effects.offers if offer.run in live and offer.run not in effects.ended], live)
    _empty_ended(tx, effects.ended)
    _make_ready(tx, effects.freed | {offer.run for offer in effects.offers})
    _admit(tx, effects.admitted)


def _lock(tx: Tx, runs: set[int]) -> dict[int, str]:
    """Lock the rows of these runs -> the ids of those that are not over."""
    found = tx.sql.each(
        "SELECT r.number, r.id, r.ended_at FROM fg_run r WHERE r.number IN (SELECT run FROM given) ORDER BY r.number"
        f" {tx.database.update_lock}",
        "run int",
        [(run,) for run in sorted(runs)],
    )
    return {int(number): str(id) for number, id, ended_at in found if ended_at is None}


def _update_runs(tx: Tx, effects: Effects) -> None:
    rows = [
        (run, effects.owners[run][0], *(columns.get(name) for name, _ in _UPDATES), columns.get("release", 0))
        for run, columns in effects.updates.items()
    ]
    changed = {row[0] for row in tx.sql.each(_UPDATE, _UPDATE_COLUMNS, rows)}
    for run in effects.updates:
        if run not in changed:
            epoch, run_id = effects.owners[run]
            raise NotOwner(run_id, epoch)


def _fill_inboxes(tx: Tx, offers: list[Offer], live: dict[int, str]) -> None:
    added = tx.sql.each(
        f"INSERT INTO fg_inbox ({_INBOX_NAMES}) SELECT {_INBOX_NAMES} FROM given WHERE true"
        " ON CONFLICT (run, id) DO NOTHING RETURNING run",
        _INBOX_COLUMNS,
        [(o.run, o.id, o.kind, o.serial, o.payload, o.event, o.serials, o.more, tx.now) for o in offers],
    )
    tx.effects.news.inbox_runs += [live[run] for run in sorted({int(row[0]) for row in added})]


def _empty_ended(tx: Tx, ended: set[int]) -> None:
    for table in ("fg_timer", "fg_wait", "fg_inbox"):
        tx.sql.each(
            f"DELETE FROM {table} WHERE run IN (SELECT run FROM given) RETURNING run",
            "run int",
            [(run,) for run in ended],
        )


def _make_ready(tx: Tx, runs: set[int]) -> None:
    ready = tx.sql.each(
        "UPDATE fg_run SET ready = 1 WHERE number IN (SELECT run FROM given) AND epoch IS NULL AND ended_at IS NULL"
        " AND EXISTS (SELECT 1 FROM fg_inbox i WHERE i.run = fg_run.number) RETURNING id",
        "run int",
        [(run,) for run in runs],
    )
    tx.effects.news.ready += [str(row[0]) for row in ready]


def _admit(tx: Tx, runs: set[int]) -> None:
    ready = tx.sql.each(
        "UPDATE fg_run SET ready = 1 WHERE number IN (SELECT run FROM given) AND epoch IS NULL AND ended_at IS NULL RETURNING id",
        "run int",
        [(run,) for run in runs],
    )
    tx.effects.news.ready += [str(row[0]) for row in ready]
