"""`POST /e/<key>`: the event API of Inngest, as its SDKs use it, so that they can send here unchanged."""

from __future__ import annotations

import base64

from pydantic import TypeAdapter
from starlette.responses import Response

from flowgraph_runtime.api.endpoints import Call, answer
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.shapes import SdkEventIn, SdkEventsAccepted
from flowgraph_runtime.errors import InputRejected
from flowgraph_runtime.identifiers import Seed
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.validation import validated

_BATCH = TypeAdapter(list[SdkEventIn])
_ONE = TypeAdapter(SdkEventIn)
SEED = "x-inngest-event-id-seed"
ENVIRONMENT = "x-inngest-env"
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
    seed = seed_of(call.checked_header(SEED))
    environment = call.checked_header(ENVIRONMENT)
    posted = [_posted(event, environment, seed, number) for number, event in enumerate(events, 1)]
    results = await call.service.intake.send(posted, lenient=True)
    return answer(SdkEventsAccepted(ids=[result.event_id.removeprefix("evt_") for result in results]))


def seed_of(header: str | None) -> Seed | None:
    """Return the seed of a sending's ids from its header `<milliseconds>,<ten bytes in base64>`."""
    if header is None:
        return None
    milliseconds, _, chance = header.partition(",")
    return Seed(int(milliseconds), base64.b64decode(chance))


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
