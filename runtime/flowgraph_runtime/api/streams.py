"""Server-sent events: state changes as they commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import orjson
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from flowgraph_runtime.api.endpoints import Call
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.hub import Hub, Message
from flowgraph_runtime.storage import ENDED
from flowgraph_runtime.views import run_view

PING = 15
"""Seconds between comments that keep proxies from closing a quiet stream."""
GRACE = 1.0
"""Seconds that a stopping server gives streams to end by themselves."""


async def everything(call: Call) -> Response:
    """Stream the changes of all runs. A client that comes back with a sequence that is not kept any more gets an event `reset`:
    it has missed changes and reads what it shows anew."""
    return _response(call, None)


async def one_run(call: Call) -> Response:
    """Stream the changes of one run until it has ended. A client that comes back after the end gets 204, which stops it. With
    `end=event` a last event `end` says that no more will come: a browser that closes then does not report a broken stream."""
    run_id = call.path["id"]
    farewell = _asks_for_end(call)
    row = await call.service.store.run(run_id)
    if row is None:
        raise Problem(404, "not found", f"there is no run '{run_id}'")
    if row.status in ENDED and _last_seen(call) is not None and not call.service.hub.missed(run_id, _last_seen(call) or 0):
        return Response(status_code=204)
    return _response(call, run_id, farewell=farewell)


def _response(call: Call, run_id: str | None, *, farewell: bool = False) -> Response:
    stopping = anyio.Event()
    messages = _follow(call, run_id)
    content = _encoded(_until_end(messages, run_id) if farewell else messages, stopping, call.service.hub)
    return EventSourceResponse(content, ping=PING, shutdown_event=stopping, shutdown_grace_period=GRACE)


def _last_seen(call: Call) -> int | None:
    text = call.header("last-event-id")
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None


def _asks_for_end(call: Call) -> bool:
    wanted = call.queries().get("end")
    if wanted not in (None, "event"):
        raise Problem(400, "bad query parameter", "'end' can only be 'event'")
    return wanted is not None


async def _until_end(messages: AsyncIterator[Message], run_id: str | None) -> AsyncIterator[Message]:
    """Say so when the stream is over because the run is, and not because the server stops."""
    async for message in messages:
        yield message
        if _is_end(message, run_id):
            yield Message(message.sequence, message.run_id, "end", {"id": message.run_id})
            return


async def _encoded(messages: AsyncIterator[Message], stopping: anyio.Event, hub: Hub) -> AsyncIterator[dict[str, str]]:
    """Encode messages. When the server begins to stop, all streams end in good order: nothing else could end them, because
    servers wait for open responses before they let the application stop."""
    closing = asyncio.create_task(_close(hub, stopping))
    try:
        async for message in messages:
            yield message.encode()
    finally:
        closing.cancel()


async def _close(hub: Hub, stopping: anyio.Event) -> None:
    await stopping.wait()
    hub.close()


async def _follow(call: Call, run_id: str | None) -> AsyncIterator[Message]:
    """Yield what the client missed, or the run as it is now, and then what happens."""
    hub = call.service.hub
    with hub.subscribe(run_id) as subscription:
        seen = _last_seen(call)
        missed = None if seen is None else hub.missed(run_id, seen)
        first = hub.sequence
        for message in missed if missed is not None else await _as_it_is(call, run_id, first):
            yield message
            if _is_end(message, run_id):
                return
        async for message in subscription:
            if message.sequence > first or message.data.get("status") == "running" or missed is None:
                yield message
            if _is_end(message, run_id):
                return


async def _as_it_is(call: Call, run_id: str | None, known: int) -> list[Message]:
    """Return the run as it is now under the sequence that was `known` before it was read: what is committed meanwhile comes under
    a later one, so a client that resumes from here may see a change twice and misses none."""
    if run_id is None:  # the state of all runs is no answer: who has missed something is told to read what it shows anew
        return [] if _last_seen(call) is None else [Message(known, "", "reset", {"sequence": known})]
    row = await call.service.store.run(run_id)
    if row is None:
        return []
    registry = call.service.registry
    data = orjson.loads(run_view(row, registry.types, machine=registry.machines.get(row.machine)).model_dump_json())
    return [Message(known, row.id, "run", data)]


def _is_end(message: Message, run_id: str | None) -> bool:
    return run_id is not None and message.kind == "run" and message.data.get("status") in ENDED
