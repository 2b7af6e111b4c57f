"""Slots of concurrency limits: who holds one, who waits, and whose turn it is.

A request has a row for each slot that it needs, all held or all waiting. Those of attempts carry the epoch of their worker and
a ticket of it, and go with the epoch; those of runs have epoch 0 and the run's number for a ticket, and go with the run's end.
A lane is what is counted: the rows of one pool with one key.

After every commit each waiting request has a full lane. So a request that arrives need not look at those before it: they wait
for something that is full for it too, or for something that it does not need. And a slot that comes free matters only to a lane
that was full: the first waiting there by ready time whose other lanes have room take over. Everything that touches
these rows holds one lock, taken before all others of its transaction; that is what makes counting safe.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from flowgraph_runtime.records import SlotNeed, SlotRequest, WaitingSlot
from flowgraph_runtime.storage.database import Rows
from flowgraph_runtime.storage.keys import stored_value
from flowgraph_runtime.storage.rows import OWNED
from flowgraph_runtime.storage.transaction import Tx

LIMITS_LOCK = 256
"""The lock of all limits, beside the 256 buckets of events and waits."""
RUNS = 0
"""The epoch of requests that belong to a run, not to an attempt."""
_AT_ONCE = 100
_COLUMNS = "pool text, key text, epoch int, ticket int, run int, serial int, most int, held int, at int"
_NAMES = ", ".join(column.split()[0] for column in _COLUMNS.split(","))

Lane = tuple[str, str]
"""Pool and key."""
Ticket = tuple[int, int]
"""Epoch and number."""

_HAS_FULL_LANE = (
    "EXISTS (SELECT 1 FROM fg_limit_slot o WHERE o.epoch = w.epoch AND o.ticket = w.ticket AND o.most <="
    " (SELECT COUNT(*) FROM fg_limit_slot h WHERE h.pool = o.pool AND h.key = o.key AND h.held = 1))"
)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that needs all of `needs` while it lives; `ready_at`: when it was created."""

    run_id: str
    ready_at: int
    needs: tuple[SlotNeed, ...]


def exchange_slots(tx: Tx, epoch: int, requests: Sequence[SlotRequest], returned: Collection[int]) -> None:
    """Give back the slots of tickets, then let attempts ask for theirs. Who gets them is in the news of the commit.

    A request that is repeated because its outcome was not heard changes nothing; one of a run that is over is dropped."""
    tx.check_epoch(epoch)
    _give_back(
        tx,
        tx.sql.each(
            "DELETE FROM fg_limit_slot WHERE (epoch, ticket) IN (SELECT epoch, ticket FROM given) RETURNING pool, key, held",
            "epoch int, ticket int",
            [(epoch, ticket) for ticket in returned],
        ),
    )
    if requests:
        numbers = tx.run_numbers({request.run_id for request in requests})
        _ask(
            tx,
            [
                (*_lane(need), epoch, request.ticket, numbers[request.run_id], request.serial, need.limit, 0, request.ready_at)
                for request in requests
                for need in request.needs
            ],
        )


def admit_runs(tx: Tx, epoch: int, requests: Sequence[RunRequest]) -> dict[str, str]:
    """Let runs that this epoch has claimed ask for their slots -> what became of each: `admitted`; `queued`, given up again until
    it is its turn; or `called`, because something is in its inbox that cannot wait. A run that this epoch does not own now is
    `queued`: the request is repeated when its outcome was not heard, and the first time may have given the run up."""
    tx.check_epoch(epoch)
    numbers = tx.run_numbers({request.run_id for request in requests})
    rows = [
        (*_lane(need), RUNS, numbers[request.run_id], numbers[request.run_id], 0, need.limit, 0, request.ready_at)
        for request in requests
        for need in request.needs
    ]
    _ask(tx, rows)
    waiting = {
        int(row[0])
        for row in tx.sql.each(
            "SELECT DISTINCT w.run FROM given JOIN fg_limit_slot w ON w.epoch = 0 AND w.ticket = given.run WHERE w.held = 0",
            "run int",
            [(number,) for number in numbers.values()],
        )
    }
    given_up = _give_up(tx, epoch, waiting)
    owned = {
        int(row[0])
        for row in tx.sql.each(
            "SELECT r.number FROM given JOIN fg_run r ON r.number = given.run AND r.epoch = given.epoch",
            "run int, epoch int",
            [(number, epoch) for number in numbers.values()],
        )
    }
    tx.effects.freed |= given_up
    return {
        run_id: "queued" if number not in owned else "called" if number in waiting else "admitted"
        for run_id, number in numbers.items()
    }


def _give_up(tx: Tx, epoch: int, runs: Iterable[int]) -> set[int]:
    """Leave runs that have to wait to whoever claims them when it is their turn -> those that nothing calls meanwhile."""
    return {
        int(row[0])
        for row in tx.sql.each(
            "UPDATE fg_run SET epoch = NULL, ready = 0, started_at = CASE WHEN status = 'queued' THEN NULL ELSE started_at END"
            f" FROM given WHERE fg_run.number = given.run AND {OWNED}"
            " AND NOT EXISTS (SELECT 1 FROM fg_inbox i WHERE i.run = fg_run.number) RETURNING fg_run.number",
            "run int, epoch int",
            [(number, epoch) for number in sorted(runs)],
        )
    }


def free_runs(tx: Tx, runs: Iterable[int]) -> None:
    """Forget what runs that have ended hold and what they, or attempts of theirs, wait for. The slot of an attempt that still
    executes stays."""
    _give_back(
        tx,
        tx.sql.each(
            "DELETE FROM fg_limit_slot WHERE run IN (SELECT run FROM given) AND (epoch = 0 OR held = 0)"
            " RETURNING pool, key, held",
            "run int",
            [(run,) for run in runs],
        ),
    )


def free_epochs(tx: Tx, epochs: Iterable[int]) -> None:
    """Forget all that the attempts of dead epochs hold or wait for."""
    _give_back(
        tx,
        tx.sql.each(
            "DELETE FROM fg_limit_slot WHERE epoch IN (SELECT epoch FROM given) RETURNING pool, key, held",
            "epoch int",
            [(epoch,) for epoch in epochs],
        ),
    )


def granted(connection: Connection, epoch: int) -> list[int]:
    """Tickets of this epoch that have their slots: what a worker with waiting attempts asks now and then, because it may be
    another process that gave a slot back."""
    found = connection.execute(
        text("SELECT DISTINCT ticket FROM fg_limit_slot WHERE epoch = :epoch AND held = 1"), {"epoch": epoch}
    )
    return [int(row[0]) for row in found]


def waiting_slots(connection: Connection, run_id: str) -> list[WaitingSlot]:
    """What a run (serial 0) and its attempts wait for: the lanes that are full, in the order of their pools."""
    found = connection.execute(
        text(
            "SELECT w.serial, w.pool, w.key, w.most, w.at FROM fg_run r JOIN fg_limit_slot w ON w.run = r.number"
            " WHERE r.id = :run AND w.held = 0 AND w.most <="
            " (SELECT COUNT(*) FROM fg_limit_slot h WHERE h.pool = w.pool AND h.key = w.key AND h.held = 1)"
            " ORDER BY w.serial, w.pool"
        ),
        {"run": run_id},
    )
    return [WaitingSlot(int(serial), pool, key, int(most), int(at)) for serial, pool, key, most, at in found]


# --- turns


def _lane(need: SlotNeed) -> Lane:
    return need.pool, stored_value(need.key)


def _ask(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    added = tx.sql.each(
        f"INSERT INTO fg_limit_slot ({_NAMES}) SELECT {', '.join(f'given.{name}' for name in _NAMES.split(', '))}"
        " FROM given JOIN fg_run r ON r.number = given.run WHERE r.ended_at IS NULL"
        " ON CONFLICT (pool, key, epoch, ticket) DO NOTHING RETURNING epoch, ticket, at",
        _COLUMNS,
        rows,
    )
    _grant(tx, added)


def _give_back(tx: Tx, rows: Rows) -> None:
    """Let those follow who have waited longest for what was held."""
    freed = Counter((str(pool), str(key)) for pool, key, held in rows if held)
    while freed:
        candidates: Rows = []
        for pool, key, free, was_full in _room(tx, freed):
            if was_full and free > 0:
                candidates += _first_waiting(tx, (pool, key), min(free, _AT_ONCE))
        if not _grant(tx, candidates):
            return


def _room(tx: Tx, freed: Counter[Lane]) -> list[tuple[str, str, int, bool]]:
    """Of each lane with somebody waiting: how many could follow, and whether it was full before."""
    found = tx.sql.each(
        "SELECT given.pool, given.key, given.freed,"
        " (SELECT COUNT(*) FROM fg_limit_slot h WHERE h.pool = given.pool AND h.key = given.key AND h.held = 1),"
        " (SELECT MIN(w.most) FROM fg_limit_slot w WHERE w.pool = given.pool AND w.key = given.key AND w.held = 0),"
        " (SELECT MAX(w.most) FROM fg_limit_slot w WHERE w.pool = given.pool AND w.key = given.key AND w.held = 0) FROM given",
        "pool text, key text, freed int",
        [(pool, key, count) for (pool, key), count in freed.items()],
    )
    return [
        (pool, key, int(most) - int(held), int(held) + int(count) >= int(least))
        for pool, key, count, held, least, most in found
        if most is not None
    ]


def _first_waiting(tx: Tx, lane: Lane, count: int) -> Rows:
    return tx.sql.rows(
        f"SELECT w.epoch, w.ticket, w.at FROM fg_limit_slot w WHERE w.pool = :pool AND w.key = :key AND w.held = 0"
        f" AND NOT {_HAS_FULL_LANE} ORDER BY w.at, w.epoch, w.ticket LIMIT {int(count)}",
        pool=lane[0],
        key=lane[1],
    )


def _grant(tx: Tx, candidates: Rows) -> list[Ticket]:
    """Give each candidate (epoch, ticket, ready time), the longest ready first, all its slots if it can have them all."""
    order = sorted({(int(at), int(epoch), int(ticket)) for epoch, ticket, at in candidates})
    tickets = [(epoch, ticket) for _, epoch, ticket in order]
    if not tickets:
        return []
    needs = _needs(tx, tickets)
    held = _held(tx, {lane for lanes in needs.values() for lane, _ in lanes})
    chosen: list[Ticket] = []
    for ticket in tickets:
        if all(held[lane] < most for lane, most in needs.get(ticket, [])) and ticket in needs:
            held.update(lane for lane, _ in needs[ticket])
            chosen.append(ticket)
    tx.sql.each(
        "UPDATE fg_limit_slot SET held = 1 FROM given"
        " WHERE fg_limit_slot.epoch = given.epoch AND fg_limit_slot.ticket = given.ticket RETURNING fg_limit_slot.ticket",
        "epoch int, ticket int",
        chosen,
    )
    tx.effects.news.slots += [ticket for ticket in chosen if ticket[0] != RUNS]
    tx.effects.admitted.update(run for epoch, run in chosen if epoch == RUNS)
    return chosen


def _needs(tx: Tx, tickets: list[Ticket]) -> dict[Ticket, list[tuple[Lane, int]]]:
    found = tx.sql.each(
        "SELECT w.epoch, w.ticket, w.pool, w.key, w.most FROM given"
        " JOIN fg_limit_slot w ON w.epoch = given.epoch AND w.ticket = given.ticket WHERE w.held = 0",
        "epoch int, ticket int",
        tickets,
    )
    needs: dict[Ticket, list[tuple[Lane, int]]] = {}
    for epoch, ticket, pool, key, most in found:
        needs.setdefault((int(epoch), int(ticket)), []).append(((str(pool), str(key)), int(most)))
    return needs


def _held(tx: Tx, lanes: Collection[Lane]) -> Counter[Lane]:
    found = tx.sql.each(
        "SELECT given.pool, given.key, COUNT(*) FROM given JOIN fg_limit_slot h ON h.pool = given.pool AND h.key = given.key"
        " WHERE h.held = 1 GROUP BY given.pool, given.key",
        "pool text, key text",
        sorted(lanes),
    )
    return Counter({(str(pool), str(key)): int(count) for pool, key, count in found})
