"""Events and waits find each other: events stored now wake open waits, new waits get the events that came before them.

Both sides take the buckets of what they look for before they read (PostgreSQL: under READ COMMITTED and REPEATABLE READ alike
each side misses the other's uncommitted row otherwise). SQLite has one writer, so there it cannot happen.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from zlib import crc32

from flowgraph_runtime.records import EventRow, WaitRow
from flowgraph_runtime.storage.database import Rows
from flowgraph_runtime.storage.transaction import Offer, Tx

_LONGEST_VALUE = 120
NO_KEY = ("", "")
"""Path and value of a wait without a key."""


def stored_value(value: str) -> str:
    """A key's text as it is stored: long ones by their hash (an index entry has a limit)."""
    return value if len(value) <= _LONGEST_VALUE else f"sha256:{sha256(value.encode()).hexdigest()}"


def bucket(name: str, path: str, value: str) -> int:
    """The lock of this name and key, 0 to 255."""
    return crc32(f"{name}\0{path}\0{value}".encode()) & 255


def event_buckets(events: Iterable[EventRow]) -> Iterator[int]:
    """The locks for storing these events: those of their keys, of waits without a key, and of the client's id."""
    for event in events:
        yield bucket(event.name, *NO_KEY)
        for path, value in event.keys:
            yield bucket(event.name, path, stored_value(value))
        if event.client_id is not None:
            yield bucket(event.name, "\1client", event.client_id)


def wait_buckets(waits: Iterable[WaitRow]) -> Iterator[int]:
    """The locks for opening these waits."""
    for wait in waits:
        path, value = wait.keys[0] if wait.keys else NO_KEY
        for name in wait.names:
            yield bucket(name, path, stored_value(value))


def offer_to_waits(tx: Tx, events: Sequence[tuple[int, EventRow]]) -> None:
    """Offer events that were just stored, with their numbers, to the open waits they match."""
    by_number = {number: event for number, event in events if event.status == "stored"}
    if not by_number:
        return
    found = tx.sql.each(
        "SELECT given.event, w.run, w.serial, w.more FROM given"
        " JOIN fg_wait w ON w.name = given.name AND w.path = given.path AND w.value = given.value"
        " ORDER BY given.event, w.run, w.serial",
        "event int, name text, path text, value text",
        list(_lookups(by_number)),
    )
    serials: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, run, serial, more in found:
        if _has_keys(by_number[number], more):
            serials[number, run].append(serial)
    for (number, run), matching in serials.items():
        tx.effects.offers.append(_offer(run, number, by_number[number].id, sorted(set(matching))))


def _lookups(events: dict[int, EventRow]) -> Iterator[tuple[int, str, str, str]]:
    for number, event in events.items():
        yield number, event.name, *NO_KEY
        for path, value in event.keys:
            yield number, event.name, path, stored_value(value)


def _has_keys(event: EventRow, more: str | None) -> bool:
    if more is None:
        return True
    keys = {path: stored_value(value) for path, value in event.keys}
    return all(keys.get(path) == value for path, value in json.loads(more))


def _offer(run: int, event: int, event_id: str, serials: list[int]) -> Offer:
    return Offer(run, f"{event_id}:{serials[0]}", "event", serials[0], event=event, serials=json.dumps(serials))


def open_waits(tx: Tx, waits: Sequence[tuple[int, WaitRow]]) -> None:
    """Store waits, each with its run's number, and offer them the early events they match, earliest first."""
    rows = [row for run, wait in waits for row in _wait_rows(run, wait, tx.now)]
    tx.sql.each(
        "INSERT INTO fg_wait (name, path, value, run, serial, more, since_start, opened_at)"
        " SELECT name, path, value, run, serial, more, since_start, opened_at FROM given",
        "name text, path text, value text, run int, serial int, more text, since_start int, opened_at int",
        rows,
    )
    early = [row[:5] for row in rows if row[6]]
    if early:
        _offer_early(tx, early, {(row[3], row[4]): row[5] for row in rows if row[5] is not None})


def _wait_rows(run: int, wait: WaitRow, now: int) -> Iterator[tuple[str, str, str, int, int, str | None, int, int]]:
    path, value = wait.keys[0] if wait.keys else NO_KEY
    further = [[path, stored_value(value)] for path, value in wait.keys[1:]]
    for name in wait.names:
        more = json.dumps(further) if further else None
        yield name, path, stored_value(value), run, wait.serial, more, int(wait.since_start), now


_EARLY = """
    JOIN fg_run r ON r.number = given.run
    WHERE e.received_at >= r.received_at AND e.status = 'stored' AND (r.event IS NULL OR r.event <> e.number)
      AND NOT EXISTS (SELECT 1 FROM fg_taken t WHERE t.run = given.run AND t.event = e.number)
"""
_EARLY_KEYED = f"""
    SELECT e.received_at, e.number, given.run, given.serial, e.id FROM given
    JOIN fg_event_key k ON k.name = given.name AND k.path = given.path AND k.value = given.value
    JOIN fg_event e ON e.number = k.event {_EARLY}
"""
_EARLY_UNKEYED = f"""
    SELECT e.received_at, e.number, given.run, given.serial, e.id FROM given
    JOIN fg_event e ON e.name = given.name {_EARLY}
"""
_EARLY_COLUMNS = "name text, path text, value text, run int, serial int"


def _offer_early(tx: Tx, waits: list[tuple[str, str, str, int, int]], further: dict[tuple[int, int], str]) -> None:
    keyed = [wait for wait in waits if wait[1]]
    unkeyed = [wait for wait in waits if not wait[1]]
    found = tx.sql.each(_EARLY_KEYED, _EARLY_COLUMNS, keyed) + tx.sql.each(_EARLY_UNKEYED, _EARLY_COLUMNS, unkeyed)
    if further:
        found = _with_further_keys(tx, found, further)
    for _, number, run, serial, event_id in sorted(found):
        tx.effects.offers.append(_offer(run, number, event_id, [serial]))


def _with_further_keys(tx: Tx, found: Rows, further: dict[tuple[int, int], str]) -> Rows:
    numbers = [(number,) for number in sorted({row[1] for row in found})]
    has = set(
        tx.sql.each(
            "SELECT k.event, k.path, k.value FROM given JOIN fg_event e ON e.number = given.event"
            " JOIN fg_event_key k ON k.name = e.name AND k.event = e.number",
            "event int",
            numbers,
        )
    )
    wanted = {key: [tuple(pair) for pair in json.loads(more)] for key, more in further.items()}
    return [row for row in found if all((row[1], *pair) in has for pair in wanted.get((row[2], row[3]), ()))]
