"""Server-sent events: state changes as they commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import anyio
import orjson
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from flowgraph_runtime.api.endpoints import Call
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.follower import Follower
from flowgraph_runtime.following import Told, found
from flowgraph_runtime.hub import Subscription
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage import ENDED, position, run_news
from flowgraph_runtime.storage.errors import StorageError
from flowgraph_runtime.stream_messages import Message
from flowgraph_runtime.views import run_status, run_view

PING = 15
"""Seconds between comments that keep proxies from closing a quiet stream."""
GRACE = 1.0
"""Seconds that a stopping server gives streams to end by themselves."""


async def everything(call: Call) -> Response:
    """Stream the changes of all runs. A client that comes back with a sequence that is not kept any more gets an event `reset`:
    it has missed changes and reads what it shows anew."""
    if call.service.follower is not None:
        await call.service.follower.look()  # what happened while nobody listened is told to who comes back, and to nobody else
    return _response(call, _follow(call, None), None)


async def one_run(call: Call) -> Response:
    """Stream the changes of one run until it has ended. A client that comes back after the end gets 204, which stops it. With
    `end=event` a last event `end` says that no more will come: a browser that closes then does not report a broken stream."""
    run_id = call.path["id"]
    farewell = _asks_for_end(call)
    row = await call.service.store.run(run_id)
    if row is None:
        raise Problem(404, "not found", f"there is no run '{run_id}'")
    follower, seen = call.service.follower, _last_seen(call)
    if row.status in ENDED and seen is not None and await _knows_all(call.service, run_id, seen):
        return Response(status_code=204)
    messages = _follow(call, run_id) if follower is None else _follow_anywhere(call, follower, run_id)
    return _response(call, messages, run_id, farewell=farewell)


async def _knows_all(service: Service, run_id: str, seen: int) -> bool:
    """Whether a client has seen the end of a run that is over."""
    if service.follower is None:
        return service.hub.missed(run_id, seen) == []
    missed = await _missed(service, run_id, Told.at(seen))
    return missed is not None and not missed[1]


def _response(call: Call, messages: AsyncIterator[Message], run_id: str | None, *, farewell: bool = False) -> Response:
    stopping = anyio.Event()
    content = _encoded(_until_end(messages, run_id) if farewell else messages, stopping, call.service)
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


async def _encoded(messages: AsyncIterator[Message], stopping: anyio.Event, service: Service) -> AsyncIterator[dict[str, str]]:
    """Encode messages. When the server begins to stop, all streams end in good order: nothing else could end them, because
    servers wait for open responses before they let the application stop."""
    closing = asyncio.create_task(_close(service, stopping))
    try:
        async for message in messages:
            yield message.encode()
    finally:
        closing.cancel()


async def _close(service: Service, stopping: anyio.Event) -> None:
    await stopping.wait()
    service.close_streams()


async def _follow(call: Call, run_id: str | None) -> AsyncIterator[Message]:
    """Yield what the client missed, or the run as it is now, and then what happens."""
    hub, follower = call.service.hub, call.service.follower
    with hub.subscribe(run_id) as subscription, nullcontext() if follower is None else follower.listening():
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
    return [_whole(call.service, row, known)]


def _whole(service: Service, row: RunRow, sequence: int) -> Message:
    registry = service.registry
    data = orjson.loads(run_view(row, registry.types, machine=registry.machines.get(row.machine)).model_dump_json())
    return Message(sequence, row.id, "run", data)


# --- a run that any process may work on


async def _follow_anywhere(call: Call, follower: Follower, run_id: str) -> AsyncIterator[Message]:
    """The same where other processes write, too: the journal says what was missed, and a position counts in all of them."""
    with follower.following(run_id) as subscription:
        async for message in _news(call, follower, run_id, subscription):
            yield message
            if _is_end(message, run_id):
                return


async def _news(call: Call, follower: Follower, run_id: str, subscription: Subscription) -> AsyncIterator[Message]:
    try:
        told, missed, more = await _beginning(call, run_id)
        while more:
            for message in missed:
                yield message
            told, missed, more = await _missed(call.service, run_id, told) or (told, [], False)
    except (StorageError, LookupError):
        return  # the stream ends, the client comes back and is told what is wrong
    follower.begin(run_id, told)
    for message in missed:
        yield message
    async for message in subscription:
        later = told.message(message)
        if later is not None:
            told = later
            yield replace(message, sequence=told.sequence)


async def _beginning(call: Call, run_id: str) -> tuple[Told, list[Message], bool]:
    """Where a client is, what it has missed, and whether there is more of that; one whose position means nothing gets the run
    as it is."""
    seen = _last_seen(call)
    missed = None if seen is None else await _missed(call.service, run_id, Told.at(seen))
    if missed is not None:
        return missed
    found_there = await call.service.store.ask(partial(position, id=run_id))
    if found_there is None:
        raise LookupError(run_id)
    row, seq = found_there
    told = Told(seq, run_status(row), settled=True)
    return told, [_whole(call.service, row, told.sequence)], False


async def _missed(service: Service, run_id: str, told: Told | None) -> tuple[Told, list[Message], bool] | None:
    """What happened to a run after a position; None when the run has never been there."""
    if told is None:
        return None
    after = max(told.seq - 1, -1)
    news = (await service.store.ask(partial(run_news, after={run_id: after}))).get(run_id)
    if news is None or (told.seq >= 0 and [row.seq for row in news.rows[:1]] != [told.seq]):
        return None
    told, given = found(told, news, after)
    return told, given, news.more


def _is_end(message: Message, run_id: str | None) -> bool:
    return run_id is not None and message.kind == "run" and message.data.get("status") in ENDED
