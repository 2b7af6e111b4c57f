"""Events: sending them, looking at them."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

import orjson
from pydantic import TypeAdapter
from starlette.responses import Response

from flowgraph_runtime.api import cloudevents
from flowgraph_runtime.api.endpoints import JSON, Call, answer
from flowgraph_runtime.api.paging import page_of, since_of
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.shapes import LONGEST_NAME, EventIn, EventPage
from flowgraph_runtime.errors import InputRejected
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.records import PostedAlike
from flowgraph_runtime.storage import IngestResult
from flowgraph_runtime.texts import usual_texts
from flowgraph_runtime.validation import validated
from flowgraph_runtime.views import event_view

_BATCH = TypeAdapter(list[EventIn])
_ONE = TypeAdapter(EventIn)
_FIRST = re.compile(rb'\[?(\{"name":"([^"\\\x00-\x1f]{1,200})","data":)(?=\{)')
_MEMBERS = [{frozenset(("name", "data"))}, {frozenset(("name", "data", "id"))}]
SOURCE = "api"
"""What the stored events have as their source."""


async def send(call: Call) -> Response:
    """Take one event or an array of them, all or nothing."""
    body = await call.request.body()
    several = body.lstrip().startswith(b"[")
    if cloudevents.is_cloudevent(call):
        return await _stored_each(call, cloudevents.posted(call), several=several)
    stored = await _stored_alike(call, data_of_each(body))
    if stored is not None:
        return stored
    value = await call.value()
    events: list[Any] = value if several else [value]
    stored = await _stored_alike(call, data_of_all(events))
    return await _stored_each(call, _sent(call, events, several=several), several=several) if stored is None else stored


async def _stored_alike(call: Call, given: PostedAlike | None) -> Response | None:
    ids = None if given is None else await call.service.intake.send_alike(given, SOURCE)
    return None if given is None or ids is None else Response(_all_stored(given.name, ids), media_type=JSON)


async def _stored_each(call: Call, sent: Awaitable[list[Posted]], *, several: bool) -> Response:
    try:
        results = await call.service.intake.send(await sent)
    except InputRejected as rejected:
        faults = [(pointer if several else pointer.removeprefix("/0"), reason) for pointer, reason in rejected.faults]
        raise Problem(422, "nothing was stored", "an event does not fit", faults) from None
    accepted = [
        {"id": result.event_id, "name": result.name, "runs": result.run_ids, "reason": _reason(result)} for result in results
    ]
    return Response(orjson.dumps({"events": accepted}), media_type=JSON)


def data_of_each(body: bytes) -> PostedAlike | None:
    """Cut an event, or an array of them, that is written without a blank, with nothing but data and one and the same name, into
    what have to be the JSON texts of their data. None when it is none, or may hold a NUL.

    That the body is JSON is not said, but it is when each text is an object: around them is only what is cut away."""
    first = _FIRST.match(body)
    end = b"}]" if body.startswith(b"[") else b"}"
    if first is None or not body.endswith(end) or b"\\u0000" in body:
        return None
    try:
        before, text = first[1].decode(), body[first.end(1) : -len(end)].decode()
    except UnicodeDecodeError:
        return None
    return PostedAlike(first[2].decode(), text.split(f"}},{before}") if len(end) > 1 else [text])


def data_of_all(events: list[Any]) -> PostedAlike | None:
    """Return what these events have; None unless that is the same name, data and nothing else but, all or none, an id."""
    if set(map(type, events)) != {dict} or set(map(frozenset, events)) not in _MEMBERS:
        return None
    ids = [one["id"] for one in events] if "id" in events[0] else None
    names, data = [one["name"] for one in events], [one["data"] for one in events]
    if not _are_names([*names, *(ids or ())]) or len(set(names)) > 1 or set(map(type, data)) != {dict}:
        return None
    texts = usual_texts(data)
    return None if texts is None else PostedAlike(names[0], texts, ids)


def _all_stored(name: str, ids: list[str]) -> str:
    rest = orjson.dumps({"name": name, "runs": [], "reason": None}).decode()[1:]
    each = f'",{rest},{{"id":"'.join(ids)
    return f'{{"events":[{{"id":"{each}",{rest}]}}'


def _reason(result: IngestResult) -> str | None:
    if result.reason is not None:
        return result.reason
    return "stored before under this id" if result.duplicate else None


async def _sent(call: Call, events: list[Any], *, several: bool) -> list[Posted]:
    plain = as_usual(events)
    if plain is not None:
        return plain
    text = await call.json()
    judged: list[EventIn] = validated(_BATCH, text, "") if several else [validated(_ONE, text, "")]
    return [Posted(event.name, event.data, event.id, event.ts, SOURCE) for event in judged]


def as_usual(value: list[Any]) -> list[Posted] | None:
    """Return what was sent when each of it is an object of a name, data and perhaps an id, as `EventIn` would have it; None
    otherwise, which is for `EventIn` to judge: a model for each event takes three times as long."""
    if set(map(type, value)) != {dict}:
        return None
    posted = [Posted(one.get("name"), one.get("data"), one.get("id"), None, SOURCE) for one in value]
    identified = [event.id for event in posted if event.id is not None]
    if not _are_names([event.name for event in posted]) or not _are_names(identified):
        return None
    whole = set(map(type, (event.data for event in posted))) == {dict} and sum(map(len, value)) == 2 * len(value) + len(
        identified
    )
    return posted if whole else None


def _are_names(texts: list[Any]) -> bool:
    return not texts or (set(map(type, texts)) == {str} and min(map(len, texts)) > 0 and max(map(len, texts)) <= LONGEST_NAME)


async def listing(call: Call) -> Response:
    """List events, newest first."""
    queries = call.queries()
    limit, cursor = page_of(call, queries)
    rows, following = await call.service.store.events(
        name=queries.get("name"), status=queries.get("status"), since=since_of(queries), cursor=cursor, limit=limit
    )
    return answer(EventPage(items=[event_view(row) for row in rows], next_cursor=None if following is None else str(following)))


async def single(call: Call) -> Response:
    """Show one event with the runs that it started or woke. The id may stand without its prefix, as `/e` answers it."""
    id = call.path["id"]
    found = await call.service.store.event(id if id.startswith("evt_") else f"evt_{id}")
    if found is None:
        raise Problem(404, "not found", f"there is no event '{id}'")
    return answer(event_view(found.event, tuple(dict.fromkeys((*found.started, *found.taken_by)))))
