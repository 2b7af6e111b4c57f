"""`POST /e/<key>`: the event API of Inngest, as its SDKs use it, so that they can send here unchanged."""

from __future__ import annotations

import base64
import binascii

from pydantic import TypeAdapter
from starlette.responses import Response

from flowgraph_runtime.api.endpoints import Call, answer, checked_text
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.shapes import SdkEventIn, SdkEventsAccepted
from flowgraph_runtime.errors import InputRejected
from flowgraph_runtime.identifiers import Seed
from flowgraph_runtime.intake import Posted, validated

_BATCH = TypeAdapter(list[SdkEventIn])
_ONE = TypeAdapter(SdkEventIn)
SOURCE = "inngest"
"""What the stored events have as their source."""


async def send(call: Call) -> Response:
    """Take one event or an array of them, all or nothing. A repetition of the seed stores nothing twice; a sender's id keeps
    runs from being started twice within a day; data that does not fit its class is stored as invalid."""
    text = await call.json()
    several = text.lstrip().startswith("[")
    try:
        events: list[SdkEventIn] = validated(_BATCH, text, "") if several else [validated(_ONE, text, "")]
    except InputRejected as rejected:
        raise Problem(400, "nothing was stored", faults=rejected.faults[:5]) from None
    seed = seed_of(call.header("x-inngest-event-id-seed"))
    environment = call.header("x-inngest-env")
    if environment is not None:
        checked_text(environment, "the header 'x-inngest-env'")
    posted = [_posted(event, environment, seed, number) for number, event in enumerate(events, 1)]
    results = await call.service.intake.send(posted, lenient=True)
    return answer(SdkEventsAccepted(ids=[result.event_id.removeprefix("evt_") for result in results]))


def seed_of(header: str | None) -> Seed | None:
    """Return the seed of a sending's ids from its header `<milliseconds>,<ten bytes in base64>`. Raises `Problem` 400."""
    if not header:
        return None
    milliseconds, _, chance = header.partition(",")
    try:
        decoded = base64.b64decode(chance, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    digits = milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= 15
    if not digits or int(milliseconds) >= 2**48 or len(decoded) != 10:
        raise Problem(400, "bad header", "'x-inngest-event-id-seed' is '<milliseconds>,<ten bytes in base64>'")
    return Seed(int(milliseconds), decoded)


def _posted(event: SdkEventIn, environment: str | None, seed: Seed | None, number: int) -> Posted:
    beside = {"env": environment, "user": event.user, "v": event.v}
    return Posted(
        name=event.name,
        data=event.data or {},
        id=event.id or None,
        ts=event.ts,
        source=SOURCE,
        stored_as=None if seed is None else seed.event(number),
        envelope={name: value for name, value in beside.items() if value is not None},
    )
