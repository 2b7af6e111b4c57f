"""The list of events, and the page of one."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from flowgraph_runtime.dashboard.filters import Form, event_form, events_wanted
from flowgraph_runtime.dashboard.shell import BadRequest, missing, render
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage.event_pages import EVENT_STATUSES, EventSummary, event_page, event_row, runs_of_event
from flowgraph_runtime.storage.keysets import KeyPage

PAGE = 50
_RUNS_SHOWN = 50


async def listing(request: Request, service: Service) -> Response:
    """Show the events that came, newest first."""
    form = event_form(request.query_params)
    page = await _page(service, form)
    return render(
        "events.html",
        service,
        section="events",
        form=form,
        page=page,
        events=page.items,
        names=sorted(service.registry.events),
        statuses=EVENT_STATUSES,
    )


async def _page(service: Service, form: Form) -> KeyPage[EventSummary]:
    wanted = events_wanted(form)
    try:
        return await service.store.ask(lambda connection: event_page(connection, wanted, form.cursor, PAGE))
    except ValueError as error:
        raise BadRequest(f"'before' and 'after': {error}") from None


async def event(request: Request, service: Service) -> Response:
    """Show one event: what it carries, and the runs that it started or woke."""
    id = request.path_params["id"]
    found = await service.store.ask(lambda connection: event_row(connection, id))
    if found is None:
        return missing(service, f"Event '{id}'", "It may have been removed, or the address is wrong.")
    parked = frozenset(service.registry.unsatisfied())
    runs = await service.store.ask(lambda connection: runs_of_event(connection, id, parked, _RUNS_SHOWN))
    return render(
        "event.html",
        service,
        section="events",
        event=found,
        data=json.loads(found.data),
        envelope=json.loads(found.envelope or "null"),
        runs=runs,
    )
