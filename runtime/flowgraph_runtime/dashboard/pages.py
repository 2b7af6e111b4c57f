"""Routes of the dashboard. Every page asks for the scope `read`; without it a browser is asked to sign in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from flowgraph_runtime.auth import COOKIE
from flowgraph_runtime.dashboard import formats
from flowgraph_runtime.dashboard.lines import (
    RECENT,
    WorkflowLine,
    is_over,
    picture_version,
    run_facts,
    run_line,
    step_lines,
    workflow_line,
)
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service

_HERE = Path(__file__).parent
STATIC = StaticFiles(directory=_HERE / "static")
"""Style sheet, icon and the vendored scripts: the same for everybody, so no key is asked for."""
_RUNS_SHOWN = 25
Page: TypeAlias = Callable[[Request, Service], Awaitable[Response]]

_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters.update(span=formats.span, iso=formats.iso, pretty=formats.pretty)
_TEMPLATES.globals.update({"static": "/static/{}".format})


def pages(current: Callable[[], Service]) -> Sequence[BaseRoute]:
    """Return the dashboard's routes around the service that `current` returns."""
    return [
        Route("/", _for_readers(home, current), methods=["GET"]),
        Route("/workflows/{name}", _for_readers(workflow, current), methods=["GET"]),
        Route("/runs/{id}", _for_readers(run, current), methods=["GET"]),
        Route("/login", _with_service(login, current), methods=["GET", "POST"]),
        Mount("/static", STATIC),
    ]


def broken_page(report: str) -> str:
    """Return the page that stands in for the dashboard while the workflows do not compile."""
    return _TEMPLATES.get_template("broken.html").render(report=report)


def _with_service(page: Page, current: Callable[[], Service]) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return await page(request, current())

    return serve


def _for_readers(page: Page, current: Callable[[], Service]) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        service = current()
        refusal = await service.gate.refuse("read", request.headers.get("authorization"), request.cookies.get(COOKIE))
        if refusal is not None:
            return _render("login.html", service, status=refusal.status, wrong=COOKIE in request.cookies)
        return await page(request, service)

    return serve


def _render(template: str, service: Service, *, status: int = 200, **values: Any) -> Response:
    now = service.clock.now()
    text = _TEMPLATES.get_template(template).render(now=now, ago=partial(formats.ago, now=now), **values)
    return HTMLResponse(text, status)


async def home(request: Request, service: Service) -> Response:
    """Show the workflows with their latest outcomes, and the newest runs."""
    del request
    registry = service.registry
    lines: list[WorkflowLine] = []
    for name, fingerprint in sorted(registry.current.items()):
        rows, _ = await service.store.runs(workflow=name, limit=RECENT)
        lines.append(workflow_line(registry.machine_of(name), fingerprint, rows))
    rows, _ = await service.store.runs(limit=_RUNS_SHOWN)
    return _render("home.html", service, workflows=lines, runs=await _lines(rows, service))


async def _lines(rows: Sequence[RunRow], service: Service) -> list[Any]:
    names: dict[str, str] = {}
    for event_id in dict.fromkeys(row.event_id for row in rows if row.event_id):
        found = await service.store.event(event_id)
        if found is not None:
            names[event_id] = found.event.name
    now = service.clock.now()
    return [run_line(row, names, now) for row in rows]


async def workflow(request: Request, service: Service) -> Response:
    """Show one workflow: its diagram and newest runs."""
    name = request.path_params["name"]
    registry = service.registry
    if name not in registry.current:
        return _missing(service, f"Workflow '{name}'", "It is not among the modules that this server serves.")
    rows, _ = await service.store.runs(workflow=name, limit=_RUNS_SHOWN)
    line = workflow_line(registry.machine_of(name), registry.current[name], rows)
    return _render("workflow.html", service, workflow=line, runs=await _lines(rows, service))


async def run(request: Request, service: Service) -> Response:
    """Show one run: every step of its machine, with what has happened and what is still to come."""
    row = await service.store.run(request.path_params["id"])
    if row is None:
        return _missing(service, f"Run '{request.path_params['id']}'", "It may have been removed, or the address is wrong.")
    try:
        history = await history_of(row, service)
    except MissingCode as missing:
        return _missing(service, f"The code of run '{row.id}'", str(missing))
    nodes = history.steps()
    steps = step_lines(nodes, service.clock.now(), ended=is_over(row))
    (line,) = await _lines([row], service)
    facts = run_facts(row, line, steps, service.registry.types, picture_version(nodes))
    return _render("run.html", service, run=facts, steps=steps)


def _missing(service: Service, what: str, hint: str) -> Response:
    return _render("missing.html", service, status=404, what=what, hint=hint)


async def login(request: Request, service: Service) -> Response:
    """Take a key and keep it in a cookie that scripts cannot read; good for reading only."""
    if request.method == "GET":
        return _render("login.html", service, wrong=False)
    form = parse_qs((await request.body()).decode(errors="replace"))
    key = form.get("key", [""])[0]
    if await service.gate.refuse("read", f"Bearer {key}") is not None:
        return _render("login.html", service, status=401, wrong=True)
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, key, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return response
