"""Events that came before a wait: offered in batches, earliest first.

A wait that reads a popular event from its run's start may have a million of them before it, of which it takes the first. So it
gets a batch; the last inbox row of a full batch says `more`, and when it is consumed and the wait is still open, the next batch
follows. Until then `fg_wait.cursor` tells how far it is, and new events are not offered to it directly: it would see them
before older ones.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flowgraph_runtime.storage.keys import bucket
from flowgraph_runtime.storage.transaction import Offer, Tx

BATCH = 200
"""Early events offered to a wait at once."""

_COLUMNS = "name text, path text, value text, run int, serial int, since int, after int, trigger int"
_SUITABLE = (
    "x.received_at >= given.since AND x.number > given.after AND x.number <> given.trigger AND x.status = 'stored'"
    " AND NOT EXISTS (SELECT 1 FROM fg_taken t WHERE t.run = given.run AND t.event = x.number)"
)
_KEYED = (
    "SELECT x.number FROM fg_event_key k JOIN fg_event x ON x.number = k.event"
    " WHERE k.name = given.name AND k.path = given.path AND k.value = given.value AND k.event > given.after"
    f" AND {_SUITABLE} ORDER BY k.event LIMIT {BATCH}"
)
_UNKEYED = (
    f"SELECT x.number FROM fg_event x WHERE x.name = given.name AND {_SUITABLE} ORDER BY x.received_at, x.number LIMIT {BATCH}"
)


@dataclass(slots=True)
class _Reading:
    """A wait that reads early events. `lookups`: (name, path, value), one for each event name; `further`: more keys."""

    run: int
    serial: int
    lookups: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    further: list[list[str]] = field(default_factory=list[list[str]])
    since: int = 0
    after: int = -1
    trigger: int = -1

    def rows(self) -> list[tuple[Any, ...]]:
        """What `_COLUMNS` says."""
        return [(*lookup, self.run, self.serial, self.since, self.after, self.trigger) for lookup in self.lookups]


_READINGS = (
    "SELECT w.run, w.serial, w.name, w.path, w.value, w.more, r.received_at, COALESCE(w.cursor, -1), COALESCE(r.event, -1)"
    " FROM given JOIN fg_wait w ON w.run = given.run AND w.serial = given.serial JOIN fg_run r ON r.number = w.run"
)


def begin_reading(tx: Tx, waits: Iterable[tuple[int, int]]) -> None:
    """Offer the first batch to waits (run, serial) that were just stored."""
    _offer(tx, _readings(tx, waits, "w.since_start = 1"))


def go_on_reading(tx: Tx, waits: Iterable[tuple[int, int]]) -> None:
    """Offer the next batch to those of these waits that are still open."""
    readings = _readings(tx, waits, "w.cursor IS NOT NULL")
    tx.sql.lock_buckets(bucket(*lookup) for reading in readings for lookup in reading.lookups)
    _offer(tx, readings)


def _readings(tx: Tx, waits: Iterable[tuple[int, int]], condition: str) -> list[_Reading]:
    found: dict[tuple[int, int], _Reading] = {}
    for row in tx.sql.each(f"{_READINGS} WHERE {condition}", "run int, serial int", list(dict.fromkeys(waits))):
        run, serial, name, path, value, more, since, after, trigger = row
        further: list[list[str]] = json.loads(more) if more else []
        reading = found.setdefault((run, serial), _Reading(run, serial, [], further, since, after, trigger))
        reading.lookups.append((name, path, value))
    return list(found.values())


def _offer(tx: Tx, readings: list[_Reading]) -> None:
    cursors: dict[tuple[int, int], int | None] = {(reading.run, reading.serial): None for reading in readings}
    offers: list[tuple[int, Offer]] = []
    while readings:
        unsatisfied: list[_Reading] = []
        for reading, events, end in _next_batches(tx, readings):
            offers += [(number, _early_offer(reading, number, id)) for number, id in events]
            if end is not None and events:
                offers[-1][1].more = 1
                cursors[reading.run, reading.serial] = end
            elif end is not None:
                reading.after = end
                unsatisfied.append(reading)
        readings = unsatisfied
    tx.effects.offers += [offer for _, offer in sorted(offers, key=lambda pair: pair[0])]
    _write_cursors(tx, cursors)


def _early_offer(reading: _Reading, number: int, event_id: str) -> Offer:
    serials = json.dumps([reading.serial])
    return Offer(reading.run, f"{event_id}:{reading.serial}", "event", reading.serial, event=number, serials=serials)


def _next_batches(tx: Tx, readings: Sequence[_Reading]) -> Iterable[tuple[_Reading, list[tuple[int, str]], int | None]]:
    """For each wait the next events that have all its keys, and where the batch ended (None: there are no more)."""
    rows = [row for reading in readings for row in reading.rows()]
    found: dict[tuple[int, int], dict[str, list[tuple[int, str]]]] = defaultdict(lambda: defaultdict(list))
    lateral = tx.database.lateral
    for wanted, inner in (([row for row in rows if row[1]], _KEYED), ([row for row in rows if not row[1]], _UNKEYED)):
        for run, serial, name, number, id in tx.sql.each(_batch_statement(inner, lateral=lateral), _COLUMNS, wanted):
            found[run, serial][name].append((number, id))
    for reading in readings:
        by_name = found[reading.run, reading.serial]
        full = [max(events)[0] for events in by_name.values() if len(events) == BATCH]
        end = min(full) if full else None  # beyond it a name may have events that were not read
        events = sorted(event for events in by_name.values() for event in events if end is None or event[0] <= end)
        yield reading, _with_all_keys(tx, reading, by_name, events), end


@lru_cache(maxsize=4)
def _batch_statement(inner: str, *, lateral: bool) -> str:
    join = (
        f"JOIN LATERAL ({inner}) c ON true JOIN fg_event e ON e.number = c.number"
        if lateral
        else f"JOIN fg_event e ON e.number IN ({inner})"
    )
    return f"SELECT given.run, given.serial, given.name, e.number, e.id FROM given {join}"


def _with_all_keys(
    tx: Tx, reading: _Reading, by_name: dict[str, list[tuple[int, str]]], events: list[tuple[int, str]]
) -> list[tuple[int, str]]:
    if not reading.further:
        return events
    wanted = [
        (number, name, path, value) for name, found in by_name.items() for number, _ in found for path, value in reading.further
    ]
    has = tx.sql.each(
        "SELECT k.event, k.path FROM given JOIN fg_event_key k"
        " ON k.name = given.name AND k.path = given.path AND k.value = given.value AND k.event = given.event",
        "event int, name text, path text, value text",
        wanted,
    )
    matches: dict[int, int] = defaultdict(int)
    for number, _ in has:
        matches[number] += 1
    return [event for event in events if matches[event[0]] == len(reading.further)]


def _write_cursors(tx: Tx, cursors: dict[tuple[int, int], int | None]) -> None:
    tx.sql.each(
        "UPDATE fg_wait SET cursor = given.cursor FROM given"
        " WHERE fg_wait.run = given.run AND fg_wait.serial = given.serial"
        " AND fg_wait.cursor IS DISTINCT FROM given.cursor RETURNING fg_wait.run",
        "run int, serial int, cursor int",
        [(run, serial, cursor) for (run, serial), cursor in cursors.items()],
    )
