"""What the buttons do: forms of our own pages, answered with the way back to the page."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flowgraph_runtime import reopening
from flowgraph_runtime.api.endpoints import checked_text
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.dashboard.shell import BadRequest, missing
from flowgraph_runtime.engine.errors import NotReopenable
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage.errors import NotFailed, UnknownRun

_LONGEST_REASON = 500


async def form_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent, the first of each name. Raises `BadRequest` for what no form of ours sends."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/x-www-form-urlencoded":
        raise BadRequest("a form of this page is sent as application/x-www-form-urlencoded")
    fields = parse_qs(body.decode(errors="replace"))
    return {name: values[0] for name, values in fields.items()}


async def cancel(request: Request, service: Service) -> Response:
    """Ask to cancel a run."""
    run_id = request.path_params["id"]
    reason = (await form_fields(request)).get("reason", "").strip() or "asked on the dashboard"
    if len(reason) > _LONGEST_REASON:
        raise BadRequest(f"the reason has at most {_LONGEST_REASON} characters")
    try:
        await service.store.ask_cancel(run_id, checked_text(reason, "the reason"))
    except Problem as problem:
        raise BadRequest(problem.detail or problem.title) from None
    except UnknownRun:
        return missing(service, f"Run '{run_id}'", "It may have been removed, or the address is wrong.")
    return RedirectResponse(f"/runs/{run_id}", 303)


async def retry(request: Request, service: Service) -> Response:
    """Let a failed run go on from its failed step."""
    run_id = request.path_params["id"]
    row = await service.store.run(run_id)
    if row is None:
        return missing(service, f"Run '{run_id}'", "It may have been removed, or the address is wrong.")
    try:
        await reopening.retry(row, service)
    except (NotFailed, NotReopenable, MissingCode) as refused:
        raise BadRequest(f"this run cannot be retried: {refused}") from None
    return RedirectResponse(f"/runs/{run_id}", 303)
