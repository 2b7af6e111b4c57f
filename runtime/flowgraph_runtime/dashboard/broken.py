"""What `flowgraph dev` serves while the workflows do not compile: the report, on every page, until a file changes."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from flowgraph_runtime.api.guard import Guard
from flowgraph_runtime.api.problems import Problem, respond
from flowgraph_runtime.dashboard.shell import STATIC, broken_page
from flowgraph_runtime.settings import Settings

_REPORTED = "x-report"
"""The header with which the report itself asks whether it is still true."""


def create_broken_app(report: str, settings: Settings | None = None) -> Starlette:
    """Return an application that answers browsers with the report as a page, and everybody else with 503 and the
    report in a problem, so that no client takes it for health. A page that was open before, and asks for its update, is told to
    load itself anew: it then is the report, and nothing of it was swapped for a part that is not there."""

    async def page(request: Request) -> Response:
        if "hx-request" in request.headers and _REPORTED not in request.headers:
            return Response(status_code=204, headers={"HX-Refresh": "true"})
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(broken_page(report), 200)
        return respond(Problem(503, "the workflows do not compile", report), request.scope)

    return Starlette(
        routes=[Mount("/static", STATIC), Route("/{path:path}", page, methods=["GET", "POST"])],
        middleware=[Middleware(Guard, settings=settings or Settings())],
    )
