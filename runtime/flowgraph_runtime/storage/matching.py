"""Events and waits find each other: events stored now wake open waits, new waits get the events that came before them.

Both sides take the buckets of what they look for before they read (PostgreSQL: under READ COMMITTED and REPEATABLE READ alike
each side misses the other's uncommitted row otherwise). SQLite has one writer, so there it cannot happen.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TypeAlias

from flowgraph_runtime.records import AlikeEvents, EventRow, WaitRow
from flowgraph_runtime.storage.database import Rows
from flowgraph_runtime.storage.early import begin_reading
from flowgraph_runtime.storage.keys import NO_KEY, bucket, stored_value
from flowgraph_runtime.storage.transaction import Offer, Tx

Key: TypeAlias = tuple[str, str, str]
"""Event name, field path, value as it is stored."""
_CLIENT = "\1client"
"""Stands for a path in the locks of senders' ids."""
NEVER_NEW: Mapping[tuple[int, int], int] = MappingProxyType({})
"""No wait was opened among the events."""


def event_buckets(events: Sequence[EventRow]) -> Iterator[int]:
    """The locks for storing these events: those of their keys, of waits without a key, and of the client's id."""
    for key in _distinct_keys(events):
        yield bucket(*key)
    for event in events:
        if event.client_id is not None and event.dedup != "none":
            yield bucket(event.name, _CLIENT if event.dedup is None else f"\1{event.dedup}", event.client_id)


def alike_buckets(events: AlikeEvents) -> Iterator[int]:
    """The locks for storing these events."""
    for name in {events.name, *events.names}:
        yield bucket(name, *NO_KEY)
    for client_id in events.client_ids or ():
        yield bucket(events.name, _CLIENT, client_id)


def wait_buckets(waits: Iterable[WaitRow]) -> Iterator[int]:
    """The locks for opening these waits."""
    for wait in waits:
        path, value = wait.keys[0] if wait.keys else NO_KEY
        for name in wait.names:
            yield bucket(name, path, stored_value(value))


def offer_alike(tx: Tx, parts: Sequence[AlikeEvents], numbers: Mapping[str, int]) -> None:
    """Offer events that were just stored, with these numbers, to the open waits for any of their names."""
    if _open_waits(tx, [(name, *NO_KEY) for name in {name for events in parts for name in (events.name, *events.names)}]):
        offer_to_waits(tx, {numbers[row.id]: row for events in parts for row in events.rows()})


def offer_to_waits(tx: Tx, events: Mapping[int, EventRow], first_seen: Mapping[tuple[int, int], int] = NEVER_NEW) -> None:
    """Offer events that were just stored, with their numbers, to the open waits they match. `first_seen`: the number of the first
    event that waits (run, serial) see that were opened among these events."""
    stored = {number: event for number, event in events.items() if event.status == "stored"}
    found = _open_waits(tx, list(_distinct_keys(stored.values())))
    if not found:
        return
    looked_up: dict[Key, list[int]] = defaultdict(list)
    for number, event in stored.items():
        for key in _keys(event):
            looked_up[key].append(number)
    serials: dict[tuple[int, int], list[int]] = defaultdict(list)
    for name, path, value, run, serial, more in found:
        for number in looked_up[name, path, value]:
            if number >= first_seen.get((run, serial), number) and _has_keys(stored[number], more):
                serials[number, run].append(serial)
    for (number, run), matching in sorted(serials.items()):
        tx.effects.offers.append(_offer(run, number, stored[number].id, sorted(set(matching))))


def _open_waits(tx: Tx, keys: list[Key]) -> Rows:
    return tx.sql.each(
        "SELECT given.name, given.path, given.value, w.run, w.serial, w.more FROM given"
        " JOIN fg_wait w ON w.name = given.name AND w.path = given.path AND w.value = given.value WHERE w.cursor IS NULL",
        "name text, path text, value text",
        keys,
    )


def _distinct_keys(events: Iterable[EventRow]) -> set[Key]:
    """What to look up: the same once for all events of a name that have no keys."""
    bare: dict[tuple[str, tuple[str, ...]], EventRow] = {}
    keyed: list[EventRow] = []
    for event in events:
        if event.keys:
            keyed.append(event)
        else:
            bare[event.name, event.names] = event
    return {key for event in chain(bare.values(), keyed) for key in _keys(event)}


def _keys(event: EventRow) -> Iterator[Key]:
    """What waits find the event by: under each of its names, without a key and with each of its keys."""
    for name in event.every_name():
        yield name, *NO_KEY
        for path, value in event.keys:
            yield name, path, stored_value(value)


def _has_keys(event: EventRow, more: str | None) -> bool:
    if more is None:
        return True
    keys = {path: stored_value(value) for path, value in event.keys}
    return all(keys.get(path) == value for path, value in json.loads(more))


def _offer(run: int, event: int, event_id: str, serials: list[int]) -> Offer:
    return Offer(run, f"{event_id}:{serials[0]}", "event", serials[0], event=event, serials=json.dumps(serials))


def open_waits(tx: Tx, waits: Sequence[tuple[int, WaitRow]]) -> None:
    """Store waits, each with its run's number, and offer them the early events they match, earliest first."""
    store_waits(tx, waits)
    begin_reading(tx, [(run, wait.serial) for run, wait in waits if wait.since_start])


def store_waits(tx: Tx, waits: Sequence[tuple[int, WaitRow]]) -> None:
    """Store waits, each with its run's number."""
    tx.no_longer_bare([run for run, _ in waits])
    rows = [row for run, wait in waits for row in _wait_rows(run, wait, tx.now)]
    tx.sql.each(
        "INSERT INTO fg_wait (name, path, value, run, serial, more, since_start, opened_at)"
        " SELECT name, path, value, run, serial, more, since_start, opened_at FROM given",
        "name text, path text, value text, run int, serial int, more text, since_start int, opened_at int",
        rows,
    )


def _wait_rows(run: int, wait: WaitRow, now: int) -> Iterator[tuple[str, str, str, int, int, str | None, int, int]]:
    path, value = wait.keys[0] if wait.keys else NO_KEY
    further = [[path, stored_value(value)] for path, value in wait.keys[1:]]
    for name in wait.names:
        more = json.dumps(further) if further else None
        yield name, path, stored_value(value), run, wait.serial, more, int(wait.since_start), now
