"""The end of a group's transaction: rows of runs change and inboxes fill, after all these runs are locked in one order.

That order makes deadlocks between processes impossible, and the locks close a race: whoever puts a row into an inbox and the
owner who gives the run up see each other, so one of them finds that the run has to be claimed again.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from operator import itemgetter
from typing import Any

from flowgraph_runtime.storage.errors import NotOwner
from flowgraph_runtime.storage.rows import OWNED
from flowgraph_runtime.storage.transaction import Effects, Offer, Tx

_UPDATES = (  # of an update's row after run, owner and release
    ("status", "text"),
    ("started_at", "int"),
    ("ended_at", "int"),
    ("result", "text"),
    ("error", "text"),
    ("failed_step", "text"),
    ("failed_attempt", "int"),
    ("reason", "text"),
)
UPDATED = tuple(name for name, _ in _UPDATES)
"""Columns of a run's row that an owner writes; an update is the row `(run, its owner, 1 or None to give it up, *these)`."""
_UPDATE_COLUMNS = "run int, epoch int, release int, " + ", ".join(f"{name} {kind}" for name, kind in _UPDATES)
_UPDATE = (
    "UPDATE fg_run SET "
    + ", ".join(f"{name} = COALESCE(given.{name}, fg_run.{name})" for name, _ in _UPDATES)
    + ", epoch = CASE WHEN given.release = 1 THEN NULL ELSE fg_run.epoch END"
    f" FROM given WHERE fg_run.number = given.run AND {OWNED}"
)
_STATUS_COLUMNS = "run int, epoch int, status text"
_STATUS = f"UPDATE fg_run SET status = given.status FROM given WHERE fg_run.number = given.run AND {OWNED}"
_NO_MORE = (None,) * (len(UPDATED) - 1)
_COMPLETED_COLUMNS = "run int, epoch int, ended_at int, result text"
_COMPLETED = (
    "UPDATE fg_run SET status = 'completed', ended_at = given.ended_at, result = given.result, epoch = NULL"
    f" FROM given WHERE fg_run.number = given.run AND {OWNED}"
)
_OF_LIVE_RUNS = ("fg_timer", "fg_wait", "fg_inbox")
_ANYTHING = "SELECT 1 FROM given WHERE " + " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} x WHERE x.run = given.run)" for table in _OF_LIVE_RUNS
)
_EMPTY = tuple(f"DELETE FROM {table} WHERE run IN (SELECT run FROM given)" for table in _OF_LIVE_RUNS)
_EMPTY_ALL = f", timers AS ({_EMPTY[0]}), waits AS ({_EMPTY[1]}) {_EMPTY[2]}"
_INBOX_COLUMNS = "run int, id text, kind text, serial int, payload text, event int, serials text, more int, at int"
_INBOX_NAMES = ", ".join(column.split()[0] for column in _INBOX_COLUMNS.split(","))


def settle(tx: Tx) -> None:
    """Write what the jobs of the group left in `tx.effects`."""
    effects = tx.effects
    if not (effects.updates or effects.completed or effects.offers or effects.freed or effects.admitted):
        return
    offered = {offer.run for offer in effects.offers}
    changes = _changes(effects)
    if tx.database.has_other_writers:
        runs = offered | effects.updates.keys() | effects.completed.keys() | effects.freed | effects.admitted
        if offered or len(changes) != 1 or len(runs) > len(changes[0][-1]):
            _lock(tx, runs)  # else one statement does it: row by row as given, because the writer's joins go by index
    live = _live(tx, offered)
    for change in changes:
        _update(tx, *change)
    _fill_inboxes(tx, [offer for offer in effects.offers if offer.run in live and offer.run not in effects.ended], live)
    _empty_ended(tx, effects.ended)
    _make_ready(tx, (effects.freed | offered) - effects.ended)
    _admit(tx, effects.admitted)


def _lock(tx: Tx, runs: set[int]) -> None:
    """Lock the rows of these runs; nobody waits for the answer."""
    tx.sql.change(
        "SELECT COUNT(*) FROM (SELECT r.number FROM fg_run r WHERE r.number IN (SELECT run FROM given) ORDER BY r.number"
        f" {tx.database.update_lock}) locked",
        "run int",
        [(run,) for run in sorted(runs)],
    )


def _live(tx: Tx, runs: set[int]) -> dict[int, str]:
    """The ids of those of these runs that are not over."""
    found = tx.sql.each(
        "SELECT r.number, r.id FROM given JOIN fg_run r ON r.number = given.run WHERE r.ended_at IS NULL",
        "run int",
        [(run,) for run in sorted(runs)],
    )
    return {int(number): str(id) for number, id in found}


def _changes(effects: Effects) -> list[tuple[str, str, list[tuple[Any, ...]]]]:
    """The updates by their statements, each with its columns and rows. Nearly all of short runs are good ends or only say
    `running`, which leaves most indexes alone."""
    statuses: list[tuple[Any, ...]] = []
    others: list[tuple[Any, ...]] = []
    for row in sorted(effects.updates.values(), key=itemgetter(0)):
        run, epoch, release, status = row[:4]
        if status is not None and release is None and row[4:] == _NO_MORE:
            statuses.append((run, epoch, status))
        else:
            others.append(row)
    completed = sorted(effects.completed.values())
    every = (
        (_STATUS, _STATUS_COLUMNS, statuses),
        (_COMPLETED, _COMPLETED_COLUMNS, completed),
        (_UPDATE, _UPDATE_COLUMNS, others),
    )
    return [change for change in every if change[-1]]


def _update(tx: Tx, sql: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    """Of a group that is refused here, nobody learns which run was meant: it is cut in halves until it is a single one."""

    def demand(count: int) -> None:
        if count < len(rows):
            run, epoch, *_ = rows[0]
            raise NotOwner(tx.run_id(run), epoch)

    tx.sql.change(sql, columns, rows, demand)


def _fill_inboxes(tx: Tx, offers: list[Offer], live: dict[int, str]) -> None:
    tx.no_longer_bare([offer.run for offer in offers])
    added = tx.sql.each(
        f"INSERT INTO fg_inbox ({_INBOX_NAMES}) SELECT {_INBOX_NAMES} FROM given WHERE true"
        " ON CONFLICT (run, id) DO NOTHING RETURNING run",
        _INBOX_COLUMNS,
        [(o.run, o.id, o.kind, o.serial, o.payload, o.event, o.serials, o.more, tx.now) for o in offers],
    )
    tx.effects.news.inbox_runs += [live[run] for run in sorted({int(row[0]) for row in added})]


def _empty_ended(tx: Tx, ended: set[int]) -> None:
    """Most have nothing: it is known of a run that has begun here and never left, one statement tells it of others. PostgreSQL
    empties all tables by one, of the former only the inbox, into which other processes may have put something."""
    rows = [(run,) for run in ended if not tx.is_bare(run)]
    if tx.database.has_other_writers:
        tx.sql.change(_EMPTY_ALL, "run int", rows)
        tx.sql.change(_EMPTY[-1], "run int", [(run,) for run in ended if tx.is_bare(run)])
    elif tx.sql.each(_ANYTHING, "run int", rows):
        for statement in _EMPTY:
            tx.sql.change(statement, "run int", rows)


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
