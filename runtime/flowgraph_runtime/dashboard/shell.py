"""What all pages share: templates, rendering, who may see them, the page for what is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from flowgraph_runtime.auth import COOKIE, Refusal
from flowgraph_runtime.dashboard import formats
from flowgraph_runtime.service import Service

_HERE = Path(__file__).parent
STATIC = StaticFiles(directory=_HERE / "static")
"""Style sheets, icon and scripts: the same for everybody, so no key is asked for."""
Page: TypeAlias = Callable[[Request, Service], Awaitable[Response]]
Serve: TypeAlias = Callable[[Request], Awaitable[Response]]

_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters.update(span=formats.span, iso=formats.iso, absolute=formats.absolute, json=formats.json_markup)
_TEMPLATES.globals.update({"static": "/static/{}".format})


class BadRequest(Exception):
    """Something in the address or the form that the page cannot use: the message says what and how it is right."""


def with_service(page: Page, current: Callable[[], Service]) -> Serve:
    """Return an endpoint for everybody."""

    async def serve(request: Request) -> Response:
        return await _told(page, request, current())

    return serve


def for_readers(page: Page, current: Callable[[], Service]) -> Serve:
    """Return an endpoint for visitors with the scope `read`; others are asked to sign in."""

    async def serve(request: Request) -> Response:
        service = current()
        refusal = await _refusal(request, service, "read")
        if refusal is not None:
            return render("login.html", service, status=refusal.status, wrong=COOKIE in request.cookies)
        return await _told(page, request, service)

    return serve


def for_operators(page: Page, current: Callable[[], Service]) -> Serve:
    """Return an endpoint for what changes something: the scope `operate`, and a form of our own pages.

    The API takes no cookie for writing. Here it counts, because a browser tells where a form comes from: `Guard` has refused a
    foreign Origin, and without any the cookie is not looked at."""

    async def serve(request: Request) -> Response:
        service = current()
        refusal = await _refusal(request, service, "operate")
        if refusal is not None:
            return render("refused.html", service, status=refusal.status, refusal=refusal)
        return await _told(page, request, service)

    return serve


async def may_operate(request: Request, service: Service) -> bool:
    """Whether the visitor would be let do what the buttons do."""
    cookie = request.cookies.get(COOKIE)
    return await service.gate.refuse("operate", request.headers.get("authorization") or _as_header(cookie)) is None


async def _refusal(request: Request, service: Service, scope: str) -> Refusal | None:
    authorization, cookie = request.headers.get("authorization"), request.cookies.get(COOKIE)
    if scope != "read" and authorization is None and request.headers.get("origin"):
        authorization = _as_header(cookie)
    return await service.gate.refuse(scope, authorization, cookie)


def _as_header(cookie: str | None) -> str | None:
    return f"Bearer {cookie}" if cookie else None


async def _told(page: Page, request: Request, service: Service) -> Response:
    try:
        return await page(request, service)
    except BadRequest as bad:
        return render("bad.html", service, status=400, reason=str(bad))


def render(template: str, service: Service, *, status: int = 200, **values: Any) -> Response:
    """Return a page. `section` among the values is the part of the navigation that it belongs to."""
    now = service.clock.now()
    shared = {"section": "", "search": "", "now": now, "ago": partial(formats.ago, now=now)}
    return HTMLResponse(_TEMPLATES.get_template(template).render(shared | values), status)


def missing(service: Service, what: str, hint: str) -> Response:
    """Return the page for what is not there."""
    return render("missing.html", service, status=404, what=what, hint=hint)


def broken_page(report: str) -> str:
    """Return the page that stands in for the dashboard while the workflows do not compile."""
    return _TEMPLATES.get_template("broken.html").render(report=report, section="", search="")
