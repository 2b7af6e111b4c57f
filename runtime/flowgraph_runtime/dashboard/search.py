"""The search box: an id, or the beginning of one, leads to its page; a name leads to its workflow or its events."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flowgraph_runtime.dashboard.shell import BadRequest, render
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage.overview import Matches, find

_LONGEST = 200


async def search(request: Request, service: Service) -> Response:
    """Jump to the only match, or list the matches."""
    text = request.query_params.get("q", "").strip()
    if len(text) > _LONGEST or "\0" in text:
        raise BadRequest(f"a search has at most {_LONGEST} characters")
    there = _named(service, text)
    if there is not None:
        return RedirectResponse(there, 303)
    parked = service.registry.unsatisfied()
    matches = await service.store.ask(lambda connection: find(connection, text, parked)) if text else Matches((), ())
    only = _only(matches)
    if only is not None:
        return RedirectResponse(only, 303)
    return render("search.html", service, search=text, runs=matches.runs, events=matches.events)


def _named(service: Service, text: str) -> str | None:
    if text in service.registry.current:
        return f"/workflows/{quote(text, safe='')}"
    if text in service.registry.events:
        return f"/events?{urlencode({'name': text})}"
    return None


def _only(matches: Matches) -> str | None:
    if len(matches.runs) + len(matches.events) != 1:
        return None
    return f"/runs/{matches.runs[0].id}" if matches.runs else f"/events/{matches.events[0].id}"
