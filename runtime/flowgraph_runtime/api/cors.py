"""Pages of other origins may send events to `/e/<key>`, and do nothing else, when the settings name their origins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from flowgraph_runtime.api.problems import takes_events
from flowgraph_runtime.settings import Settings

_TAKEN = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "3600",
}


def welcome(scope: Mapping[str, Any], settings: Settings) -> bool:
    """Whether the request comes from a page that may send events here."""
    if not settings.event_origins or not takes_events(scope):
        return False
    origin = Headers(scope=dict(scope)).get("origin")
    return origin is not None and ("*" in settings.event_origins or origin in settings.event_origins)


def headers(scope: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Return what lets such a page read the answer."""
    if not welcome(scope, settings):
        return {}
    return {"Access-Control-Allow-Origin": Headers(scope=dict(scope))["origin"], "Vary": "Origin"}


def preflight(scope: Mapping[str, Any], settings: Settings) -> Response | None:
    """Return the answer to a browser that asks whether such a page may send; None for any other request."""
    asks = scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=dict(scope))
    return Response(status_code=204, headers=_TAKEN) if asks and welcome(scope, settings) else None
