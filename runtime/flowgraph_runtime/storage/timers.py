"""Timers that are due become inbox rows."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from flowgraph_runtime.storage.keys import bucket
from flowgraph_runtime.storage.transaction import Offer, Tx


def fire_timers(tx: Tx, limit: int) -> list[str]:
    """Move up to `limit` due timers into the inboxes of their runs, earliest first -> ids of the runs."""
    due = tx.sql.rows(
        f"SELECT due, run, serial, kind FROM fg_timer WHERE due <= :now ORDER BY due, run, serial LIMIT {int(limit)}"
        f" {tx.database.skip_locked}",
        now=tx.now,
    )
    if not due:
        return []
    _wait_for_senders(tx, [(run, serial) for _, run, serial, kind in due if kind == "deadline"])
    keys = [(when, run, serial) for when, run, serial, _ in due]
    gone = tx.sql.each(
        "DELETE FROM fg_timer WHERE (due, run, serial) IN (SELECT due, run, serial FROM given) RETURNING run, serial",
        "due int, run int, serial int",
        keys,
    )
    fired = {(int(run), int(serial)) for run, serial in gone}
    tx.effects.offers += [Offer(run, f"timer:{serial}", "timer", serial) for _, run, serial in keys if (run, serial) in fired]
    found = tx.sql.each("SELECT r.id FROM given JOIN fg_run r ON r.number = given.run", "run int", [(run,) for run, _ in fired])
    return sorted({str(row[0]) for row in found})


def _wait_for_senders(tx: Tx, waits: list[tuple[int, int]]) -> None:
    """An event that was received before the deadline may not be committed yet: its sender holds the bucket of the wait."""
    if not tx.database.has_other_writers:
        return
    found = tx.sql.each(
        "SELECT w.name, w.path, w.value FROM given JOIN fg_wait w ON w.run = given.run AND w.serial = given.serial",
        "run int, serial int",
        waits,
    )
    tx.sql.lock_buckets(bucket(*row) for row in found)
