"""CloudEvents 1.0 over HTTP: structured, batched and binary (attributes in `ce-` headers).

By hand, because the library `cloudevents` parses bodies itself: past the strict gate, without a pointer to a fault and without
batches. The attributes that matter here are five.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter

from flowgraph_runtime.api.endpoints import Call, checked_text
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.shapes import CloudEventIn
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.validation import validated

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_ONE = TypeAdapter(CloudEventIn)
_BATCH = TypeAdapter(list[CloudEventIn])
_MAPPED = {"specversion", "type", "source", "id", "time", "data", "data_base64"}


def is_cloudevent(call: Call) -> bool:
    """Whether the request carries CloudEvents, in any mode."""
    return call.media_type in (ONE, BATCH) or call.header("ce-specversion") is not None


async def posted(call: Call) -> list[Posted]:
    """Return the CloudEvents of the request: type is the name, and id, source, time and data are what they are called.

    Raises `Problem` 400 and `InputRejected`."""
    if call.media_type == BATCH:
        return [_posted(event) for event in validated(_BATCH, await call.json(), "")]
    text = await call.json() if call.media_type == ONE else await _of_headers(call)
    return [_posted(validated(_ONE, text, ""))]


async def _of_headers(call: Call) -> str:
    """The event of a request in binary mode, as the structured mode has it."""
    attributes: dict[str, Any] = {}
    for header, value in call.request.headers.items():
        if header.startswith("ce-"):
            name = header.removeprefix("ce-")
            if name in attributes:
                raise Problem(400, "header twice", f"'{header}' stands twice")
            attributes[name] = _decoded(header, value)
    if await call.request.body():
        attributes["data"] = json.loads(await call.json())
    return json.dumps(attributes)


def _decoded(header: str, value: str) -> str:
    """The value of an attribute: UTF-8 with percent signs, as the binding to HTTP has it."""
    try:
        return checked_text(unquote(value, errors="strict"), f"'{header}'")
    except UnicodeDecodeError:
        raise Problem(400, "bad characters", f"'{header}' is not percent-encoded UTF-8") from None


def _posted(event: CloudEventIn) -> Posted:
    beside = {name: value for name, value in (event.model_extra or {}).items() if name not in _MAPPED and value is not None}
    return Posted(event.type, event.data or {}, id=event.id, ts=event.time, source=event.source, envelope=beside)
