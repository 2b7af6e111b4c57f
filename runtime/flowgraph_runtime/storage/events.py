"""Events are stored once, start runs and wake waits: all in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec.structs import replace

from flowgraph_runtime.records import AlikeEvents, EventRow, NewRun
from flowgraph_runtime.storage.errors import Conflict
from flowgraph_runtime.storage.keys import stored_value
from flowgraph_runtime.storage.matching import offer_alike, offer_to_waits
from flowgraph_runtime.storage.rows import DATA_MARK, ID_MARK
from flowgraph_runtime.storage.runs import insert_runs
from flowgraph_runtime.storage.text import are_storable, check_text
from flowgraph_runtime.storage.transaction import Tx


class IngestResult(NamedTuple):
    """What became of one event. `duplicate`: it was stored before; `event_id` and `run_ids` are then those of the first one."""

    event_id: str
    name: str
    run_ids: tuple[str, ...]
    duplicate: bool = False
    reason: str | None = None


START_WINDOW = 86_400_000_000
"""Microseconds for which a sender's id starts nothing again (`dedup` = start)."""

_COLUMNS = (
    "id text, name text, data text, payload text, ts int, received_at int, source text, client_id text, status text, reason text,"
    " dedup text, envelope text"
)
_values: Callable[[EventRow], tuple[Any, ...]] = attrgetter(*(column.split()[0] for column in _COLUMNS.split(",")))


_LARGE = 64
"""Alike events that are worth a statement of their own, which binds only what they do not share."""
_SENT = [0, 1, 2, 3, 6, 7, 11]
"""The positions of what others have written."""


def store_events(tx: Tx, events: Sequence[EventRow]) -> dict[str, int]:
    """Store those that are new, with their keys -> the numbers of these, by id. They are received at the transaction's instant
    (or a little later, in the order of what one transition does): what is stored later was received later."""
    if not events:
        return {}
    now = tx.now
    for event in events:
        event.received_at = now + event.later
    columns = list(zip(*map(_values, events), strict=True))
    keys = (text for event in events if event.keys for key in event.keys for text in key)
    if not are_storable(chain(*(columns[position] for position in _SENT), keys)):
        for event in events:
            check_text(f"event {event.name!r}", *_texts(event))
    numbers = tx.sql.insert_new("fg_event", _COLUMNS, columns)
    tx.sql.each(
        "INSERT INTO fg_event_key (name, path, value, event) SELECT name, path, value, event FROM given",
        "name text, path text, value text, event int",
        [
            (event.name, path, stored_value(value), numbers[event.id])
            for event in events
            if event.keys and event.id in numbers
            for path, value in event.keys
        ],
    )
    tx.effects.news.events += numbers
    return numbers


def _texts(event: EventRow) -> Iterable[str | None]:
    """All that somebody else has written."""
    values = _values(event)
    return *(values[position] for position in _SENT), *chain.from_iterable(event.keys)


def ingest(tx: Tx, events: Sequence[EventRow], runs: Sequence[NewRun]) -> list[IngestResult]:
    """Store events from outside and create the runs that they start. An event is the same as an earlier one when its id is, or
    its name and `client_id`; with other data that is a Conflict and nothing of the batch is stored. With `dedup` = start it is
    another event, which starts nothing for a day."""
    first = _first_of_each(events)
    absorbed = _absorbed(tx, first.values())
    first.update(absorbed)
    numbers = store_events(tx, list(first.values()))
    started = [run for run in runs if run.event_id in numbers and run.event_id not in absorbed]
    insert_runs(tx, started, {id: (number, first[id].payload) for id, number in numbers.items()} if started else {})
    offer_to_waits(tx, {number: first[id] for id, number in numbers.items()})
    run_ids: dict[str, tuple[str, ...]] = {}
    for run in started:
        run_ids[str(run.event_id)] = (*run_ids.get(str(run.event_id), ()), run.id)
    if len(numbers) == len(events) and not absorbed:
        return [IngestResult(event.id, event.name, run_ids.get(event.id, ()), False, event.reason) for event in events]
    new_ones = {id(event) for event in _first_of_each(events).values()}
    known = _stored_before(tx, [event for event in first.values() if event.id not in numbers])
    known.update({_identity(first[id]): (id, first[id].data, run_ids.get(id, ())) for id in numbers})
    return [_result(event, known, first, new=event.id in numbers and id(event) in new_ones) for event in events]


def ingest_all(tx: Tx, parts: Sequence[tuple[Sequence[EventRow], Sequence[NewRun]]]) -> list[list[IngestResult]]:
    """Do several of `ingest` at once, as if one after the other; raises for all of them when one has a Conflict."""
    runs: list[NewRun] = []
    seen: set[str] = set()
    for events, started in parts:
        runs += [run for run in started if run.event_id not in seen]  # an id that several send is the first one's event
        seen.update(event.id for event in events)
    results = iter(ingest(tx, [event for events, _ in parts for event in events], runs))
    return [[next(results) for _ in events] for events, _ in parts]


def ingest_alike(tx: Tx, parts: Sequence[AlikeEvents]) -> list[None]:
    """Store events that are new and start nothing. Raises Conflict when one of them is not new, by its id or the sender's."""
    for large, some in groupby(parts, key=lambda events: len(events.ids) >= _LARGE):
        for group in [[one] for one in some] if large else [list(some)]:
            offer_alike(tx, group, _store_alike(tx, group))
    return [None] * len(parts)


def _store_alike(tx: Tx, parts: Sequence[AlikeEvents]) -> dict[str, int]:
    if not are_storable(text for events in parts for text in _texts_of_alike(events)):
        for events in parts:
            check_text(f"event {events.name!r}", *_texts_of_alike(events))
    each = [_alike_columns(events, tx.now) for events in parts]
    columns = [list(chain.from_iterable(column)) for column in zip(*each, strict=True)] if len(each) > 1 else each[0]
    ids: Sequence[str] = columns[0]
    numbers = tx.sql.insert_new("fg_event", _COLUMNS, columns)
    if len(numbers) < len(ids):
        id = next(id for id in ids if id not in numbers)
        raise Conflict("event id", id, id)
    tx.effects.news.events += ids
    return numbers


def _texts_of_alike(events: AlikeEvents) -> Iterable[str | None]:
    return events.name, events.source, *events.frame, *events.data, *(events.client_ids or ())


def _alike_columns(events: AlikeEvents, now: int) -> list[Sequence[Any]]:
    before, between, after = events.frame
    payload = f"{before}{DATA_MARK}{between}{ID_MARK}{after}"
    count = len(events.ids)
    middle = ([one] * count for one in (payload, events.ts, now, events.source))
    end = ([one] * count for one in ("stored", None, None, None))
    return [events.ids, [events.name] * count, events.data, *middle, events.every_client_id(), *end]


def _identity(event: EventRow) -> tuple[str, str]:
    return (event.name, event.client_id) if event.client_id is not None and event.dedup is None else ("", event.id)


def _absorbed(tx: Tx, events: Iterable[EventRow]) -> dict[str, EventRow]:
    """The events that start nothing, because another one with the sender's id did within the window, as they are stored. (The
    given rows stay as they are: a transaction that fails for a moment is tried again with them.)"""
    asking = [event for event in events if event.dedup == "start" and event.client_id is not None]
    found = tx.sql.each(
        "SELECT e.name, e.client_id, e.id FROM given JOIN fg_event e ON e.dedup = 'start' AND e.name = given.name"
        " AND e.client_id = given.client_id AND e.received_at > given.since",
        "name text, client_id text, since int",
        [(event.name, event.client_id, tx.now - START_WINDOW) for event in asking],
    )
    starters = {(name, client_id): str(id) for name, client_id, id in found}
    absorbed: dict[str, EventRow] = {}
    for event in asking:
        starter = starters.setdefault((event.name, event.client_id), event.id)
        if starter != event.id:
            reason = f"{starter} had the same id less than 24 hours before: nothing was started"
            absorbed[event.id] = replace(event, dedup="none", reason=reason)
    return absorbed


def _first_of_each(events: Sequence[EventRow]) -> dict[str, EventRow]:
    by_id = {event.id: event for event in events}
    if len(by_id) == len(events) and all(event.client_id is None for event in events):
        return by_id
    by_identity: dict[tuple[str, str], EventRow] = {}
    for event in events:
        by_identity.setdefault(_identity(event), event)
    return {event.id: event for event in by_identity.values()}


def _stored_before(tx: Tx, events: Sequence[EventRow]) -> dict[tuple[str, str], tuple[str, str, tuple[str, ...]]]:
    """Id, data and started runs of the stored events that these repeat, by identity."""
    if not events:
        return {}
    found = tx.sql.each(
        "SELECT given.name, given.client_id, given.id, e.id, e.data, e.number FROM given JOIN fg_event e"
        " ON e.id = given.id OR (e.name = given.name AND e.client_id = given.client_id AND e.dedup IS NULL)",
        "id text, name text, client_id text",
        [(event.id, event.name, event.client_id if event.dedup is None else None) for event in events],
    )
    runs = tx.sql.each(
        "SELECT r.event, r.id FROM given JOIN fg_run r ON r.event = given.event ORDER BY r.number",
        "event int",
        [(row[5],) for row in found],
    )
    answer: dict[tuple[str, str], tuple[str, str, tuple[str, ...]]] = {}
    for name, client_id, given_id, id, data, number in found:
        identity = (name, client_id) if client_id is not None else ("", given_id)
        answer[identity] = (str(id), str(data), tuple(str(run) for event, run in runs if event == number))
    return answer


def _result(
    event: EventRow,
    known: dict[tuple[str, str], tuple[str, str, tuple[str, ...]]],
    first: dict[str, EventRow],
    *,
    new: bool,
) -> IngestResult:
    id, data, run_ids = known[_identity(event)]
    if event.dedup is None and not _same_json(data, event.data):
        raise Conflict("event id", event.client_id or event.id, id)
    reason = first[id].reason if id in first else event.reason
    return IngestResult(id, event.name, run_ids, not new, reason)


def _same_json(one: str, other: str) -> bool:
    """Whether two texts are the same JSON value: the order of an object's members says nothing."""
    return one == other or _canonical(one) == _canonical(other)


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
