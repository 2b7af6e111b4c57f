"""What comes in from outside: events and starts by hand, checked completely before anything is stored."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, create_model

from flowgraph.codec import Encoder, dumps, loads, to_text
from flowgraph.events import EventMeta, attach_meta
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_runtime.acceptance import EVENT_LIMIT, Acceptance, Posted
from flowgraph_runtime.clock import Clock
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.engine.values import plain_list_text, plain_text
from flowgraph_runtime.errors import InputRejected, TooLarge, UnknownWorkflow
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.meter import Meter
from flowgraph_runtime.moments import moment
from flowgraph_runtime.records import NewRun, PostedAlike
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.schedules import schedules_of
from flowgraph_runtime.storage import IngestResult, Store
from flowgraph_runtime.storage.errors import Conflict
from flowgraph_runtime.texts import bytes_of
from flowgraph_runtime.validation import storable, validated

T = TypeVar("T")
_as_json = json.JSONEncoder(ensure_ascii=False).encode
__all__ = ["BATCH_LIMIT", "Intake", "Posted", "parameters_model"]
BATCH_LIMIT = 5_000
"""Events in one request."""


class Create(Protocol):
    """What stands around the storing of new runs."""

    def __call__(self, runs: Sequence[NewRun], store: Callable[[], Awaitable[T]], /) -> Awaitable[T]:
        """Await `store()`, which stores `runs`, and return what it does."""
        ...


async def _as_it_is(runs: Sequence[NewRun], store: Callable[[], Awaitable[T]]) -> T:
    del runs
    return await store()


class Intake:
    """The way in, for the API and for programs that embed the engine. `create`: may give new runs an owner."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        distribution: Distribution,
        ids: Identifiers,
        clock: Clock,
        meter: Meter | None = None,
        create: Create = _as_it_is,
    ) -> None:
        self._store = store
        self._create = create
        self._registry = registry
        self._acceptance = Acceptance(registry, distribution, ids, clock)
        self._ids = ids
        self._clock = clock
        self._meter = meter or Meter()
        self._parameters: dict[str, TypeAdapter[Any]] = {}

    async def send(self, posted: Sequence[Posted], *, lenient: bool = False) -> list[IngestResult]:
        """Store the events, start the runs that they trigger and wake the waits that they match; all or nothing.

        `lenient`: data that does not fit its class is stored as `invalid`, and a sender's id deduplicates the starts for a day
        instead of the event. Raises `InputRejected` (data that does not fit its event class), `TooLarge`, and the store's
        `Conflict`."""
        if len(posted) > BATCH_LIMIT:
            raise TooLarge("a request", len(posted), BATCH_LIMIT, "events")
        rows, runs = self._acceptance.accept(posted, lenient=lenient)
        results = await self._create(runs, partial(self._store.ingest, rows, runs))
        self._meter.received(Counter(row.status for row in rows))
        return results

    async def send_alike(self, posted: PostedAlike, source: str) -> list[str] | None:
        """Store the events, all or nothing, and wake the waits that they match -> their ids. None, and nothing is stored, when
        one of them has to be looked at by itself, or was sent before: then `send` is the way. Raises the store's errors."""
        events = self._acceptance.alike(posted, source) if len(posted.data) <= BATCH_LIMIT else None
        if events is None:
            return None
        try:
            await self._store.ingest_alike(events)
        except Conflict:
            return None
        self._meter.received({"stored": len(events.ids)})
        return events.ids

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
            return await self._create([run], partial(self._store.start_run, run))
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
        text = plain_text(given) or _as_json(given)
        size = bytes_of(text)
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
        plain = plain_list_text(list(arguments.values()))
        if plain is not None:
            return plain
        encoder = Encoder()
        with storable(arguments, ""):
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

    def _event(self, workflow: str, given: object, now: int) -> str:
        triggers = self._registry.machine_of(workflow).triggers
        names = list(dict.fromkeys(name for trigger in triggers for name in trigger.names))
        wrapped = len(names) > 1 or _names_its_event(given, names[0])
        name, data = _chosen(workflow, given, names) if wrapped else (names[0], given)
        prefix = "/data" if wrapped else ""
        event = self._acceptance.event(self._registry.events[name], _as_json(data), prefix)
        attach_meta(event, EventMeta(self._ids.event(), name, moment(now), "start"))
        with storable(event, prefix):
            return f"[{dumps(event)}]"


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
