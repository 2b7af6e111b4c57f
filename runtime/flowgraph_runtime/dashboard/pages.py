"""Routes of the dashboard, each with the scope that it asks for; without a key for it a browser is asked to sign in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from flowgraph_runtime.auth import COOKIE
from flowgraph_runtime.dashboard import actions, events, runs, workflows
from flowgraph_runtime.dashboard.search import search
from flowgraph_runtime.dashboard.shell import STATIC, Page, for_operators, for_readers, render, with_service
from flowgraph_runtime.service import Service

_READ: tuple[tuple[str, Page], ...] = (
    ("/", workflows.home),
    ("/workflows/{name}", workflows.workflow),
    ("/runs", runs.listing),
    ("/runs/{id}", runs.run),
    ("/events", events.listing),
    ("/events/{id}", events.event),
    ("/search", search),
)
_OPERATE: tuple[tuple[str, Page], ...] = (("/runs/{id}/cancel", actions.cancel), ("/runs/{id}/retry", actions.retry))


def pages(current: Callable[[], Service]) -> Sequence[BaseRoute]:
    """Return the dashboard's routes around the service that `current` returns."""
    return [
        *(Route(path, for_readers(page, current), methods=["GET"]) for path, page in _READ),
        *(Route(path, for_operators(page, current), methods=["POST"]) for path, page in _OPERATE),
        Route("/login", with_service(login, current), methods=["GET", "POST"]),
        Mount("/static", STATIC),
    ]


async def login(request: Request, service: Service) -> Response:
    """Take a key and keep it in a cookie that scripts cannot read. It opens the pages; the buttons as its scopes allow."""
    if request.method == "GET":
        return render("login.html", service, wrong=False)
    key = (await actions.form_fields(request)).get("key", "")
    if await service.gate.refuse("read", f"Bearer {key}") is not None:
        return render("login.html", service, status=401, wrong=True)
    response = RedirectResponse("/", 303)
    response.set_cookie(COOKIE, key, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return response
