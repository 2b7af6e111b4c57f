"""A typed HTTP client of a flowgraph server, synchronous and asynchronous."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx2
from pydantic import TypeAdapter

from flowgraph import Event, Workflow
from flowgraph_runtime.api.shapes import (
    CancelOut,
    EventAccepted,
    EventOut,
    EventPage,
    EventsAccepted,
    FateOut,
    JournalPage,
    MachineList,
    MachineOut,
    MigrationOut,
    PlanOut,
    RunOut,
    RunPage,
    StepOut,
    StepsOut,
    WorkflowOut,
    WorkflowPage,
)
from flowgraph_runtime.handles import LONGEST_WAIT, AsyncRunHandle, RunHandle
from flowgraph_runtime.typed import event_data, start_input

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
DEFAULT_URL = "http://127.0.0.1:8288"


class ApiError(Exception):
    """The server refused a request. `status` is the HTTP status, `faults` what is wrong with the input: (pointer, reason)."""

    def __init__(self, status: int, title: str, detail: str | None = None, faults: tuple[tuple[str, str], ...] = ()) -> None:
        self.status, self.title, self.detail, self.faults = status, title, detail, faults
        places = "; ".join(f"{pointer or '/'}: {reason}" for pointer, reason in faults)
        super().__init__(": ".join(part for part in (f"{status} {title}", detail, places) if part))


class Unreachable(ApiError):
    """No server answers at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(0, f"no flowgraph server answers at {url}", reason)

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A server-sent event: `kind` is `run` or `step`, `data` the changed JSON."""

    id: str
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class _Ask(Generic[T]):
    """A request and the type of its answer."""

    answer: type[T]
    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def given(self) -> dict[str, Any]:
        params = {name: value for name, value in self.params.items() if value is not None}
        content = {} if self.body is None else {"json": self.body}
        return {"params": params, "headers": dict(self.headers), **content}

    def read(self, response: httpx2.Response) -> T:
        raise_for(response)
        return TypeAdapter(self.answer).validate_json(response.content)


def raise_for(response: httpx2.Response) -> None:
    """Raise `ApiError` for an answer that is an error."""
    if response.status_code < 400:
        return
    try:
        body = response.json()
        faults = tuple((fault["pointer"], fault["detail"]) for fault in body.get("errors", ()))
        raise ApiError(response.status_code, body["title"], body.get("detail"), faults)
    except (ValueError, KeyError, AttributeError):
        raise ApiError(response.status_code, response.reason_phrase, response.text[:500]) from None


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(httpx2.URL("http://x").copy_with(path="/" + part).raw_path.decode()[1:] for part in parts)


def _send(name: str, data: Mapping[str, Any], id: str | None, ts: int | str | None) -> _Ask[EventsAccepted]:
    event = {"name": name, "data": dict(data), "id": id, "ts": ts}
    return _Ask(EventsAccepted, "POST", "/v1/events", body={key: value for key, value in event.items() if value is not None})


def _start(workflow: str, given: Any, key: str | None, wait: str | None) -> _Ask[RunOut]:
    headers = {} if key is None else {"Idempotency-Key": key}
    return _Ask(RunOut, "POST", _path("workflows", workflow, "runs"), {"wait": wait}, {"input": given}, headers)


def _start_named(
    workflow: str, input: Any = None, *, idempotency_key: str | None = None, wait: str | None = None
) -> _Ask[RunOut]:
    return _start(workflow, {} if input is None else input, idempotency_key, wait)


def _start_typed(workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], key: str | None) -> _Ask[RunOut]:
    return _start(workflow.name, start_input(workflow, args, kwargs), key, None)


def _event_or_name(event: Event | str, data: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    if isinstance(event, str):
        return event, {} if data is None else data
    if data is not None:
        raise TypeError("an event object has its data: send(event), or send(name, data)")
    return event.event_name, event_data(event)


def _cancel(run_id: str, reason: str | None) -> _Ask[CancelOut]:
    return _Ask(CancelOut, "POST", _path("runs", run_id, "cancel"), body={} if reason is None else {"reason": reason})


def _retry(run_id: str) -> _Ask[RunOut]:
    return _Ask(RunOut, "POST", _path("runs", run_id, "retry"))


def _listed(name: str | None, status: str | None, since: str | None, cursor: str | None, limit: int) -> _Ask[EventPage]:
    filters = {"name": name, "status": status, "since": since, "cursor": cursor, "limit": limit}
    return _Ask(EventPage, "GET", "/v1/events", filters)


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _event(sse: httpx2.ServerSentEvent) -> StreamEvent:
    return StreamEvent(sse.id or "", sse.event, json.loads(sse.data))


async def _events(response: httpx2.Response) -> AsyncIterator[StreamEvent]:
    if response.status_code != 204:
        async for sse in httpx2.EventSource(response):
            yield _event(sse)


class Client:
    """Talks to a server. Raises `ApiError` for what it refuses, `Unreachable` when none answers. Close it, or use `with`."""

    def __init__(self, url: str = DEFAULT_URL, key: str | None = None, timeout: float = 90.0) -> None:
        self.url = url
        self._key, self._timeout = key, timeout
        self.longest_wait = min(LONGEST_WAIT, timeout / 2)
        self._http = httpx2.Client(base_url=url, headers=_headers(key), timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def copy(self) -> Client:
        """Return a client of the same server with connections of its own, as another thread needs to close them by itself."""
        return Client(self.url, self._key, self._timeout)

    def _ask(self, ask: _Ask[T]) -> T:
        try:
            return ask.read(self._http.request(ask.method, ask.path, **ask.given()))
        except httpx2.TransportError as error:
            raise Unreachable(self.url, str(error)) from error

    @overload
    def send(self, event: Event, /, *, id: str | None = ..., ts: int | str | None = ...) -> EventAccepted: ...
    @overload
    def send(
        self, name: str, /, data: Mapping[str, Any], *, id: str | None = ..., ts: int | str | None = ...
    ) -> EventAccepted: ...
    def send(
        self, event: Event | str, /, data: Mapping[str, Any] | None = None, *, id: str | None = None, ts: int | str | None = None
    ) -> EventAccepted:
        """Send an event, or data under an event's name; `id` makes a repetition harmless, `ts` (RFC 3339 or milliseconds) says
        when it happened."""
        return self._ask(_send(*_event_or_name(event, data), id, ts)).events[0]

    @overload
    def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]: ...
    @overload
    def start(
        self, workflow: str, /, input: Any = ..., *, idempotency_key: str | None = ..., wait: str | None = ...
    ) -> RunOut: ...
    def start(self, workflow: Any, /, *args: Any, **kwargs: Any) -> RunHandle[Any] | RunOut:
        """Start a run of a workflow with its arguments: a handle for its typed result. Or of one that is known by name only:
        `input` is the event's data or the parameters by name, `wait="10s"` answers when the run has ended."""
        if isinstance(workflow, str):
            return self._ask(_start_named(workflow, *args, **kwargs))
        return RunHandle(self, self._ask(_start_typed(workflow, args, kwargs, None)).id, workflow)

    def start_once(self, key: str, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Start a run unless one was started with this idempotency key before, then return that one's handle.

        Raises `ApiError` 409 when the earlier one has other arguments."""
        return RunHandle(self, self._ask(_start_typed(workflow, args, kwargs, key)).id, workflow)

    def handle(self, workflow: Workflow[..., R], run_id: str) -> RunHandle[R]:
        """Return the handle of a run that was started earlier, or by an event."""
        return RunHandle(self, run_id, workflow)

    def run(self, run_id: str, *, wait: str | None = None) -> RunOut:
        """Return a run; `wait="10s"` answers when it has ended, or after that time."""
        return self._ask(_Ask(RunOut, "GET", _path("runs", run_id), {"wait": wait}))

    def runs(
        self,
        *,
        workflow: str | None = None,
        status: str | None = None,
        event_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """Return a page of runs, newest first."""
        filters = {"workflow": workflow, "status": status, "event_id": event_id, "cursor": cursor, "limit": limit}
        return self._ask(_Ask(RunPage, "GET", "/v1/runs", filters))

    def steps(self, run_id: str) -> list[StepOut]:
        """Return every node of the run's machine, reached or not."""
        return self._ask(_Ask(StepsOut, "GET", _path("runs", run_id, "steps"))).items

    def journal(self, run_id: str, *, cursor: str | None = None, limit: int = 50) -> JournalPage:
        """Return a page of a run's inputs."""
        return self._ask(_Ask(JournalPage, "GET", _path("runs", run_id, "journal"), {"cursor": cursor, "limit": limit}))

    def cancel(self, run_id: str, reason: str | None = None) -> CancelOut:
        """Ask to cancel a run."""
        return self._ask(_cancel(run_id, reason))

    def retry(self, run_id: str) -> RunOut:
        """Let a failed run go on from its failed step; what came before that is not run again."""
        return self._ask(_retry(run_id))

    def workflows(self) -> list[WorkflowOut]:
        """Return the served workflows."""
        return self._ask(_Ask(WorkflowPage, "GET", "/v1/workflows")).items

    def machines(self) -> list[MachineOut]:
        """The machines that live runs are on, of earlier deployments too."""
        return self._ask(_Ask(MachineList, "GET", "/v1/machines")).items

    def migration_plan(self) -> list[FateOut]:
        """What becomes of the live runs under the code that the server has."""
        return self._ask(_Ask(PlanOut, "GET", "/v1/migration")).items

    def migrate(self) -> MigrationOut:
        """Move the runs of which it is proven that they can go on with the machines of the code that the server has."""
        return self._ask(_Ask(MigrationOut, "POST", "/v1/migration"))

    def events(
        self,
        *,
        name: str | None = None,
        status: str | None = None,
        since: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> EventPage:
        """Return a page of events, newest first; `status`: stored, unknown, invalid; `since`: received from then on, RFC 3339."""
        return self._ask(_listed(name, status, since, cursor, limit))

    def event(self, event_id: str) -> EventOut:
        """Return one event with the runs that it started or woke."""
        return self._ask(_Ask(EventOut, "GET", _path("events", event_id)))

    @contextmanager
    def stream(self, run_id: str | None = None, *, last_event_id: str | None = None) -> Generator[Iterator[StreamEvent]]:
        """Follow one run until it has ended, or all runs: a context that gives an iterator of changes."""
        path = "/v1/stream" if run_id is None else _path("runs", run_id, "stream")
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        try:
            with self._http.stream("GET", path, headers=headers, timeout=None) as response:
                if response.status_code >= 400:
                    response.read()
                raise_for(response)
                sent: Iterable[httpx2.ServerSentEvent] = () if response.status_code == 204 else httpx2.EventSource(response)
                yield (_event(sse) for sse in sent)
        except httpx2.TransportError as error:
            raise Unreachable(self.url, str(error)) from error


class AsyncClient:
    """The same for asyncio: the calls that a program makes while it runs."""

    def __init__(self, url: str = DEFAULT_URL, key: str | None = None, timeout: float = 90.0) -> None:
        self.url = url
        self.longest_wait = min(LONGEST_WAIT, timeout / 2)
        self._http = httpx2.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, ask: _Ask[T]) -> T:
        try:
            return ask.read(await self._http.request(ask.method, ask.path, **ask.given()))
        except httpx2.TransportError as error:
            raise Unreachable(self.url, str(error)) from error

    @overload
    async def send(self, event: Event, /, *, id: str | None = ..., ts: int | str | None = ...) -> EventAccepted: ...
    @overload
    async def send(
        self, name: str, /, data: Mapping[str, Any], *, id: str | None = ..., ts: int | str | None = ...
    ) -> EventAccepted: ...
    async def send(
        self, event: Event | str, /, data: Mapping[str, Any] | None = None, *, id: str | None = None, ts: int | str | None = None
    ) -> EventAccepted:
        """Send an event; see `Client.send`."""
        return (await self._ask(_send(*_event_or_name(event, data), id, ts))).events[0]

    @overload
    async def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncRunHandle[R]: ...
    @overload
    async def start(
        self, workflow: str, /, input: Any = ..., *, idempotency_key: str | None = ..., wait: str | None = ...
    ) -> RunOut: ...
    async def start(self, workflow: Any, /, *args: Any, **kwargs: Any) -> AsyncRunHandle[Any] | RunOut:
        """Start a run; see `Client.start`."""
        if isinstance(workflow, str):
            return await self._ask(_start_named(workflow, *args, **kwargs))
        return AsyncRunHandle(self, (await self._ask(_start_typed(workflow, args, kwargs, None))).id, workflow)

    async def start_once(self, key: str, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncRunHandle[R]:
        """Start a run unless the key was used before; see `Client.start_once`."""
        return AsyncRunHandle(self, (await self._ask(_start_typed(workflow, args, kwargs, key))).id, workflow)

    def handle(self, workflow: Workflow[..., R], run_id: str) -> AsyncRunHandle[R]:
        """Return the handle of a run that was started earlier, or by an event."""
        return AsyncRunHandle(self, run_id, workflow)

    async def run(self, run_id: str, *, wait: str | None = None) -> RunOut:
        """Return a run; see `Client.run`."""
        return await self._ask(_Ask(RunOut, "GET", _path("runs", run_id), {"wait": wait}))

    async def runs(self, *, workflow: str | None = None, status: str | None = None, limit: int = 50) -> RunPage:
        """Return the newest runs."""
        return await self._ask(_Ask(RunPage, "GET", "/v1/runs", {"workflow": workflow, "status": status, "limit": limit}))

    async def steps(self, run_id: str) -> list[StepOut]:
        """Return every node of the run's machine, reached or not."""
        return (await self._ask(_Ask(StepsOut, "GET", _path("runs", run_id, "steps")))).items

    async def events(
        self,
        *,
        name: str | None = None,
        status: str | None = None,
        since: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> EventPage:
        """Return a page of events; see `Client.events`."""
        return await self._ask(_listed(name, status, since, cursor, limit))

    async def event(self, event_id: str) -> EventOut:
        """Return one event with the runs that it started or woke."""
        return await self._ask(_Ask(EventOut, "GET", _path("events", event_id)))

    async def cancel(self, run_id: str, reason: str | None = None) -> CancelOut:
        """Ask to cancel a run."""
        return await self._ask(_cancel(run_id, reason))

    async def retry(self, run_id: str) -> RunOut:
        """Let a failed run go on from its failed step; see `Client.retry`."""
        return await self._ask(_retry(run_id))

    @asynccontextmanager
    async def stream(
        self, run_id: str | None = None, *, last_event_id: str | None = None
    ) -> AsyncGenerator[AsyncIterator[StreamEvent]]:
        """Follow one run until it has ended, or all runs; see `Client.stream`."""
        path = "/v1/stream" if run_id is None else _path("runs", run_id, "stream")
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        try:
            async with self._http.stream("GET", path, headers=headers, timeout=None) as response:
                if response.status_code >= 400:
                    await response.aread()
                raise_for(response)
                yield _events(response)
        except httpx2.TransportError as error:
            raise Unreachable(self.url, str(error)) from error
