"""Events into rows: what is stored of one, the keys that waits find it by, and the runs that it starts."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from flowgraph import Event
from flowgraph.codec import encode
from flowgraph.events import EventMeta, attach_meta, meta_of
from flowgraph_runtime.clock import Clock
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.keys import event_keys
from flowgraph_runtime.moments import moment
from flowgraph_runtime.payloads import PlainPayloads
from flowgraph_runtime.records import AlikeEvents, EventRow, NewRun, PostedAlike
from flowgraph_runtime.registry import Registry


class Distribution:
    """Turns events into rows. Pure but for the ids of the runs that it makes."""

    def __init__(self, registry: Registry, ids: Identifiers, clock: Clock) -> None:
        self._registry = registry
        self._ids = ids
        self._clock = clock
        self._plain: dict[type[Event], PlainPayloads] = {}

    def event_row(self, event: Event, event_id: str, *, ts: int | None = None, source: str | None = None) -> EventRow:
        """Give the event its meta and return its row. Raises `CodecError` for a value that cannot be stored."""
        now = self._clock.now()
        ts = now if ts is None else ts
        if meta_of(event) is None:
            attach_meta(event, EventMeta(event_id, event.event_name, moment(ts), source))
        row = EventRow(
            id=event_id,
            name=event.event_name,
            data=event.model_dump_json(by_alias=True),
            payload="null",
            ts=ts,
            received_at=now,
            source=source,
        )
        self.complete(row, event)
        return row

    def complete(self, row: EventRow, event: Event) -> None:
        """Put into the event's row what its class says: the payload, the keys and the names that waits find it by. Raises
        `CodecError` for a value that cannot be stored."""
        row.payload = orjson.dumps(encode(event)).decode()  # the tree holds nothing that it writes otherwise than `dumps`
        row.names = self._registry.names_of(event.event_name)
        paths = self._registry.paths_of(row.names)
        row.keys = event_keys(event, paths) if paths else ()

    def complete_all(self, cls: type[Event], rows: Sequence[EventRow], events: Sequence[Event]) -> bool:
        """Do what `complete` does for events of one class, which need no meta for it. False, and nothing is done, when one of
        them has to go its own way."""
        names = self._registry.names_of(cls.event_name)
        paths = self._registry.paths_of(names)
        if self._registry.judges(cls.event_name) or any(path.startswith("meta") for path in paths):
            return False
        texts = self._payloads_of(cls).texts(events, rows)
        if texts is None:
            return False
        for row, event, text in zip(rows, events, texts, strict=True):
            row.payload, row.names = text, names
            if paths:
                row.keys = event_keys(event, paths)
        return True

    def are_data(self, cls: type[Event], events: Sequence[Event], data: list[str]) -> bool:
        """Whether these texts, from which events of this class were made, are just what their payloads hold of them."""
        return self._payloads_of(cls).are_data(events, data)

    def take(self, cls: type[Event], data: list[str]) -> bool | None:
        """Whether events of this class would be made from these texts and `are_data`; None when they have to be made to know."""
        return self._payloads_of(cls).take(data)

    def alike(self, event: Event, posted: PostedAlike, source: str | None) -> AlikeEvents:
        """Return events that `are_alike`, and of which `are_data` is true, as rows; `event` is one of them."""
        name, data, client_ids = posted
        now = self._clock.now()
        frame = self._payloads_of(type(event)).frame(event, name, now, source)
        return AlikeEvents(name, self._registry.names_of(name), self._ids.events(len(data)), data, frame, now, source, client_ids)

    def are_alike(self, name: str) -> bool:
        """Whether events of this name, which the code declares, start nothing and have no keys."""
        return not self._registry.starts_runs(name) and not self._registry.paths_of(self._registry.names_of(name))

    def _payloads_of(self, cls: type[Event]) -> PlainPayloads:
        if cls not in self._plain:
            self._plain[cls] = PlainPayloads(cls)
        return self._plain[cls]

    def runs(self, event: Event, row: EventRow) -> list[NewRun]:
        """Return the runs that the event starts, one per workflow that it triggers."""
        return [
            NewRun(
                id=self._ids.run(),
                workflow=workflow,
                machine=machine,
                input=f"[{row.payload}]",
                created_at=row.received_at,
                event_id=row.id,
                received_at=row.received_at,
                later=row.later,
            )
            for workflow, machine in self._registry.triggered(event)
        ]
