"""What comes in from outside: events and starts by hand, checked completely before anything is stored."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic_core import PydanticSerializationError

from flowgraph import Event
from flowgraph.codec import CodecError, Encoder, dumps, loads, to_text
from flowgraph.events import EventMeta, attach_meta
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_runtime.clock import Clock
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.errors import InputRejected, TooLarge, UnknownWorkflow
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.meter import Meter
from flowgraph_runtime.moments import microseconds, moment
from flowgraph_runtime.pointers import escaped, pointer
from flowgraph_runtime.records import EventRow, NewRun
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.schedules import schedules_of
from flowgraph_runtime.storage import IngestResult, Store
from flowgraph_runtime.storage.errors import Conflict

_as_json = json.JSONEncoder(ensure_ascii=False).encode
_STRICT = orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
EVENT_LIMIT = 512_000
"""Bytes of one event's data."""
BATCH_LIMIT = 5_000
"""Events in one request."""
REASON_LIMIT = 1_000
"""Characters that are kept of why an event is invalid."""


@dataclass(frozen=True, slots=True)
class Posted:
    """An event as somebody sends it: `id` is the sender's own, which makes a repetition harmless; `ts` when it happened, or its
    milliseconds. `stored_as`: its id here, when the sender's seed says it; `envelope`: what came beside the data."""

    name: str
    data: dict[str, Any]
    id: str | None = None
    ts: datetime | int | None = None
    source: str | None = None
    stored_as: str | None = None
    envelope: dict[str, Any] | None = None


class Intake:
    """The way in, for the API and for programs that embed the engine."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        distribution: Distribution,
        ids: Identifiers,
        clock: Clock,
        meter: Meter | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._distribution = distribution
        self._ids = ids
        self._clock = clock
        self._meter = meter or Meter()
        self._parameters: dict[str, TypeAdapter[Any]] = {}
        self._events: dict[type[Event], TypeAdapter[Any]] = {}

    async def send(self, posted: Sequence[Posted], *, lenient: bool = False) -> list[IngestResult]:
        """Store the events, start the runs that they trigger and wake the waits that they match; all or nothing.

        `lenient`: data that does not fit its class is stored as `invalid`, and a sender's id deduplicates the starts for a day
        instead of the event. Raises `InputRejected` (data that does not fit its event class), `TooLarge`, and the store's
        `Conflict`."""
        if len(posted) > BATCH_LIMIT:
            raise TooLarge("a request", len(posted), BATCH_LIMIT, "events")
        rows: list[EventRow] = []
        runs: list[NewRun] = []
        faults: list[tuple[str, str]] = []
        for index, event in enumerate(posted):
            try:
                self._accept(event, rows, runs, lenient=lenient)
            except InputRejected as rejected:
                faults += [(f"/{index}{pointer}", reason) for pointer, reason in rejected.faults]
        if faults:
            raise InputRejected("not every event fits its class, so none was stored", faults)
        results = await self._store.ingest(rows, runs)
        self._meter.received(rows)
        return results

    def _accept(self, posted: Posted, rows: list[EventRow], runs: list[NewRun], *, lenient: bool) -> None:
        row = self._unchecked(posted)
        row.dedup = "none" if lenient else None
        rows.append(row)
        cls = self._registry.events.get(posted.name)
        if cls is None:
            row.status, row.reason = "unknown", "no event of this name is declared in the served code"
            return
        try:
            event = validated(self._event_adapter(cls), row.data, "/data")
            attach_meta(event, EventMeta(row.id, posted.name, moment(row.ts), posted.source))
            with _storable(event, "/data"):
                self._distribution.complete(row, event)
        except InputRejected as rejected:
            if not lenient:
                raise
            row.status, row.reason = "invalid", str(rejected)[:REASON_LIMIT]
            return
        row.dedup = "start" if lenient else None
        runs.extend(self._distribution.runs(event, row))

    def _unchecked(self, posted: Posted) -> EventRow:
        """The row of an event that starts nothing and wakes nothing yet. Raises `TooLarge`."""
        data = _compact(posted.data)
        envelope = None if not posted.envelope else _compact(posted.envelope)
        size = _bytes(data) + _bytes(envelope or "")
        if size > EVENT_LIMIT:
            raise TooLarge(f"the data of event '{posted.name}'", size, EVENT_LIMIT)
        return EventRow(
            id=posted.stored_as or self._ids.event(),
            name=posted.name,
            data=data,
            payload="null",
            ts=self._timestamp(posted.ts),
            received_at=self._clock.now(),
            source=posted.source,
            client_id=posted.id,
            envelope=envelope,
        )

    def _timestamp(self, ts: datetime | int | None) -> int:
        if ts is None:
            return self._clock.now()
        return microseconds(ts) if isinstance(ts, datetime) else ts * 1000

    async def start(self, workflow: str, given: object, idempotency_key: str | None = None) -> tuple[str, bool]:
        """Start a run of one workflow by hand; return its id and whether it is new (False: the key was used before).

        `given`: the event's data or `{"name", "data"}` (which several event types need), or the parameters by name. An alias
        will do. Raises `UnknownWorkflow`, `InputRejected`, `TooLarge`, and the store's `Conflict`."""
        known = self._registry.workflow_named(workflow)
        if known is None:
            raise UnknownWorkflow(workflow, list(self._registry.current))
        now = self._clock.now()
        run = NewRun(
            id=self._ids.run(),
            workflow=known,
            machine=self._registry.current[known],
            input=self._input(known, given, now),
            created_at=now,
            received_at=now,
            idempotency_key=idempotency_key,
        )
        try:
            return await self._store.start_run(run)
        except Conflict as conflict:
            if await self._same_input(conflict.existing, run.input):
                return conflict.existing, False
            raise

    async def _same_input(self, run_id: str, text: str) -> bool:
        """Whether the earlier run has the same arguments: an event's meta (its id, its time) is part of the stored text only."""
        earlier = await self._store.run(run_id)
        types = self._registry.types
        return earlier is not None and bool(loads(earlier.input, types) == loads(text, types))

    def _input(self, workflow: str, given: object, now: int) -> str:
        text = _as_json(given)
        size = _bytes(text)
        if size > EVENT_LIMIT:
            raise TooLarge("the input", size, EVENT_LIMIT)
        declared = self._registry.application.workflows[workflow]
        kind = self._registry.machine_of(workflow).parameter_kind
        if kind == "event":
            return self._event(workflow, given, now)
        if kind == "cron":
            return self._scheduled(workflow, given, now)
        filled = validated(self._parameters_adapter(declared), text, "")
        arguments = {parameter.name: getattr(filled, parameter.name) for parameter in declared.parameters}
        encoder = Encoder()
        with _storable(arguments, ""):
            return to_text(encoder.finish([encoder.encode(value, by=f".{name}") for name, value in arguments.items()]))

    def _scheduled(self, workflow: str, given: object, now: int) -> str:
        """A run by hand of a workflow with a schedule: it is scheduled for now."""
        if given not in ({}, None):
            raise InputRejected(f"workflow '{workflow}' is started by its schedule", [("", "it takes no input: give {}")])
        return schedules_of(self._registry.machine_of(workflow))[0].input(now)

    def _parameters_adapter(self, declared: FlowDecl) -> TypeAdapter[Any]:
        """Making a model takes a millisecond: once per workflow, not once per run."""
        if declared.name not in self._parameters:
            self._parameters[declared.name] = TypeAdapter(parameters_model(declared))
        return self._parameters[declared.name]

    def _event_adapter(self, cls: type[Event]) -> TypeAdapter[Any]:
        if cls not in self._events:
            self._events[cls] = TypeAdapter(cls)
        return self._events[cls]

    def _event(self, workflow: str, given: object, now: int) -> str:
        triggers = self._registry.machine_of(workflow).triggers
        names = list(dict.fromkeys(name for trigger in triggers for name in trigger.names))
        wrapped = len(names) > 1 or _names_its_event(given, names[0])
        name, data = _chosen(workflow, given, names) if wrapped else (names[0], given)
        prefix = "/data" if wrapped else ""
        event: Event = validated(self._event_adapter(self._registry.events[name]), _as_json(data), prefix)
        attach_meta(event, EventMeta(self._ids.event(), name, moment(now), "start"))
        with _storable(event, prefix):
            return f"[{dumps(event)}]"


def _compact(value: object) -> str:
    try:
        return orjson.dumps(value, option=_STRICT).decode()
    except orjson.JSONEncodeError:  # an integer beyond 64 bits, a key that is no text
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _names_its_event(given: object, name: str) -> bool:
    """Whether the input of a workflow with one event type has the form that several need: a client need not know how many."""
    members = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    return set(members) == {"name", "data"} and members["name"] == name and isinstance(members["data"], dict)


def _chosen(workflow: str, given: object, names: Sequence[str]) -> tuple[str, object]:
    """The event that the input of a workflow with several event types names."""
    members = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    if set(members) != {"name", "data"} or members["name"] not in names:
        raise InputRejected(
            f"workflow '{workflow}' takes several events", [("", f'give {{"name", "data"}}, name one of {list(names)}')]
        )
    return members["name"], members["data"]


def parameters_model(declared: FlowDecl) -> type[BaseModel]:
    """Return the model of a workflow's parameters by name, for their validation and their JSON schema."""
    fields: dict[str, Any] = {
        parameter.name: (parameter.type, parameter.default if parameter.has_default else ...) for parameter in declared.parameters
    }
    return create_model(declared.name, __config__={"extra": "forbid", "arbitrary_types_allowed": True}, **fields)


def validated(adapter: TypeAdapter[Any], text: str, prefix: str) -> Any:
    """Return the JSON text as the adapter's type. Raises `InputRejected` with a pointer for each fault, also when a validator of
    the author's class fails in its own way."""
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        faults = [
            (prefix + "".join(f"/{escaped(part)}" for part in fault["loc"]), fault["msg"])
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise InputRejected("the data does not fit", faults) from None
    except Exception as error:
        raise InputRejected("the data does not fit", [(prefix, f"{type(error).__name__}: {error}")]) from error


@contextmanager
def _storable(value: object, prefix: str) -> Generator[None]:
    """What is written inside is `value`, which fits its type. Raises `InputRejected` with a pointer where it cannot be stored."""
    try:
        yield
    except CodecError as refused:
        raise InputRejected("the data cannot be stored", [(prefix + pointer(value, refused.path), refused.reason)]) from None
    except PydanticSerializationError as refused:
        raise InputRejected("the data cannot be stored", [(prefix, str(refused))]) from None
