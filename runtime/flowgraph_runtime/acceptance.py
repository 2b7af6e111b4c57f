"""Events as somebody sends them, into rows: checked completely, and all those of one class at once where nothing is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from flowgraph import Event
from flowgraph.events import EventMeta, attach_meta
from flowgraph_runtime.clock import Clock
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.errors import InputRejected, TooLarge
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.moments import microseconds, moment
from flowgraph_runtime.records import AlikeEvents, EventRow, NewRun, PostedAlike
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.texts import bytes_of, compact, compact_all
from flowgraph_runtime.validation import storable, validated

EVENT_LIMIT = 512_000
"""Bytes of one event's data."""
REASON_LIMIT = 1_000
"""Characters that are kept of why an event is invalid."""
_UNKNOWN = "no event of this name is declared in the served code"


class Posted(NamedTuple):
    """An event as somebody sends it: `id` is the sender's own, which makes a repetition harmless; `ts` when it happened, or its
    milliseconds. `stored_as`: its id here, when the sender's seed says it; `envelope`: what came beside the data."""

    name: str
    data: dict[str, Any]
    id: str | None = None
    ts: datetime | int | None = None
    source: str | None = None
    stored_as: str | None = None
    envelope: dict[str, Any] | None = None


class Acceptance:
    """Turns what is sent into rows for the store."""

    def __init__(self, registry: Registry, distribution: Distribution, ids: Identifiers, clock: Clock) -> None:
        self._registry = registry
        self._distribution = distribution
        self._ids = ids
        self._clock = clock
        self._adapters: dict[type[Event], tuple[TypeAdapter[Event], TypeAdapter[list[Event]]]] = {}

    def accept(self, posted: Sequence[Posted], *, lenient: bool) -> tuple[list[EventRow], list[NewRun]]:
        """Return the rows of the events, in order, and the runs that they start. `lenient`: data that does not fit its class is
        kept as `invalid`. Raises `InputRejected`, with the index of each event at fault, and `TooLarge`."""
        rows = self._rows(posted, "start" if lenient else None)
        starting: dict[int, Event] = {}
        refused: list[tuple[int, InputRejected]] = []
        for name, indices in _by_name(rows).items():
            found = self._complete(name, [rows[index] for index in indices])
            refused += [(index, one) for index, one in zip(indices, found, strict=True) if isinstance(one, InputRejected)]
            if self._registry.starts_runs(name):
                starting |= {index: one for index, one in zip(indices, found, strict=True) if isinstance(one, Event)}
        if refused and not lenient:
            faults = [(f"/{index}{pointer}", reason) for index, one in sorted(refused) for pointer, reason in one.faults]
            raise InputRejected("not every event fits its class, so none was stored", faults)
        for index, one in refused:
            _keep_aside(rows[index], "invalid", str(one)[:REASON_LIMIT])
        return rows, [run for index in sorted(starting) for run in self._distribution.runs(starting[index], rows[index])]

    def alike(self, posted: PostedAlike, source: str | None) -> AlikeEvents | None:
        """Return these events as rows that are alike; None, and nothing is judged, where one of them has to go its own way."""
        name, data, client_ids = posted
        if client_ids is not None and len(set(client_ids)) < len(client_ids):
            return None
        cls = self._registry.events.get(name)
        if cls is None or not self._distribution.are_alike(name) or max(map(len, data)) * 4 > EVENT_LIMIT:
            return None
        first = self._fitting(cls, data[:1])  # tells most often that it is no use
        if first is None or not self._distribution.are_data(cls, first, data[:1]):
            return None
        taken = self._distribution.take(cls, data) if len(data) > 1 else True
        if taken is None:
            events = self._fitting(cls, data)
            taken = events is not None and self._distribution.are_data(cls, events, data)
        return self._distribution.alike(first[0], posted, source) if taken else None

    def event(self, cls: type[Event], text: str, prefix: str) -> Event:
        """Return the JSON text as an event of a class. Raises `InputRejected`, its pointers below `prefix`."""
        event: Event = validated(self._adapters_of(cls)[0], text, prefix)
        return event

    def _rows(self, posted: Sequence[Posted], dedup: str | None) -> list[EventRow]:
        """The rows of events that start nothing and wake nothing yet. Raises `TooLarge`."""
        now = self._clock.now()
        rows = [
            EventRow(stored_as or id, name, text, "null", _microseconds(ts, now), now, source, client_id, dedup=dedup)
            for id, text, (name, _, client_id, ts, source, stored_as, _) in zip(
                self._ids.events(len(posted)), compact_all([event.data for event in posted]), posted, strict=True
            )
        ]
        if any(event.envelope for event in posted):
            for event, row in zip(posted, rows, strict=True):
                row.envelope = compact(event.envelope) if event.envelope else None
        for row in rows:
            if len(row.data) * 4 > EVENT_LIMIT or row.envelope is not None:
                _check_size(row)
        return rows

    def _complete(self, name: str, rows: Sequence[EventRow]) -> Sequence[Event | InputRejected | None]:
        """Put into the rows of events of this name what their class says. For each the event, or why it is refused; None where
        no code declares it."""
        cls = self._registry.events.get(name)
        if cls is None:
            for row in rows:
                _keep_aside(row, "unknown", _UNKNOWN)
            return [None] * len(rows)
        events = self._fitting(cls, [row.data for row in rows])
        if events is None:
            return [self._complete_one(cls, row) for row in rows]
        if self._distribution.complete_all(cls, rows, events):
            return events
        return [self._complete_one(cls, row, event) for row, event in zip(rows, events, strict=True)]

    def _fitting(self, cls: type[Event], data: Sequence[str]) -> list[Event] | None:
        """The events of these data, None when anything is wrong with one of them."""
        try:
            return self._adapters_of(cls)[1].validate_json(f"[{','.join(data)}]")
        except Exception:  # whatever a validator of the author's class raises
            return None

    def _complete_one(self, cls: type[Event], row: EventRow, event: Event | None = None) -> Event | InputRejected:
        try:
            event = self.event(cls, row.data, "/data") if event is None else event
            attach_meta(event, EventMeta(row.id, row.name, moment(row.ts), row.source))
            with storable(event, "/data"):
                self._distribution.complete(row, event)
        except InputRejected as rejected:
            return rejected
        return event

    def _adapters_of(self, cls: type[Event]) -> tuple[TypeAdapter[Event], TypeAdapter[list[Event]]]:
        """Making one takes a millisecond: once per class, not once per event."""
        if cls not in self._adapters:
            self._adapters[cls] = TypeAdapter(cls), TypeAdapter(list[cls])  # type: ignore[valid-type]
        return self._adapters[cls]


def _by_name(rows: Sequence[EventRow]) -> dict[str, list[int]]:
    indices: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        indices[row.name].append(index)
    return indices


def _keep_aside(row: EventRow, status: str, reason: str) -> None:
    """The event is stored, starts nothing and wakes nothing; where a sender's id deduplicates starts, this one does not count."""
    row.status, row.reason = status, reason
    if row.dedup is not None:
        row.dedup = "none"


def _microseconds(ts: datetime | int | None, now: int) -> int:
    if ts is None:
        return now
    return microseconds(ts) if isinstance(ts, datetime) else ts * 1000


def _check_size(row: EventRow) -> None:
    size = bytes_of(row.data) + bytes_of(row.envelope or "")
    if size > EVENT_LIMIT:
        raise TooLarge(f"the data of event '{row.name}'", size, EVENT_LIMIT)
