"""What every request and every response pass: Host, Origin, size, content type, scope; headers against the browser's goodwill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowgraph_runtime.access_log import without_key
from flowgraph_runtime.api import cors
from flowgraph_runtime.api.endpoints import JSON, Call, Endpoint, checked_text, media_type_of
from flowgraph_runtime.api.problems import Problem, plain_problem, respond
from flowgraph_runtime.auth import COOKIE, allowed_host, allowed_origin
from flowgraph_runtime.errors import InputRejected, MissingCode, TooLarge, UnknownWorkflow
from flowgraph_runtime.service import Service
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage.errors import (
    Conflict,
    DatabaseFull,
    Outage,
    OutcomeUnknown,
    StoreClosed,
    UnknownRun,
    UnstorableText,
)

_LOG = logging.getLogger("flowgraph.api")
AWAY = "2"
"""Seconds after which a client may ask again while the database is away."""
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send our own forms with `Origin: null`
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_ADDED = [(name.lower().encode(), value.encode()) for name, value in {**SECURITY_HEADERS, "Cache-Control": "no-store"}.items()]
"""As they go out where a response does not have them."""


class Guard:
    """Middleware: checks Host and Origin and the body's size, and adds the security headers to every response."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _ADDED if pair[0] not in given)]
                if for_pages := cors.headers(scope, self._settings):
                    MutableHeaders(scope=message).update(for_pages)
            await send(message)

        problem = self._refuse(scope)
        early = respond(problem, scope) if problem is not None else cors.preflight(scope, self._settings)
        if early is not None:
            await early(scope, receive, send_guarded)
            return
        await self._app(scope, self._limited(receive), send_guarded)

    def _refuse(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not allowed_host(hosts[0], self._settings):
            return Problem(
                421, "misdirected request", "the Host header names no address of this server; see the setting allowed_hosts"
            )
        writes = scope["method"] not in ("GET", "HEAD", "OPTIONS")
        welcome = cors.welcome(scope, self._settings) or allowed_origin(headers.get("origin"), hosts[0], self._settings)
        if writes and not welcome:
            return Problem(403, "foreign origin", "a page of another origin may not write here; see the setting allowed_origins")
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:18]) > self._settings.body_limit:
            return self._too_large()
        return None

    def _too_large(self) -> Problem:
        return Problem(
            413, "the body is too large", f"at most {self._settings.body_limit} bytes", headers={"Connection": "close"}
        )

    def _limited(self, receive: Receive) -> Receive:
        """Count what really arrives: a chunked body announces no length."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._settings.body_limit:
                raise self._too_large()
            return message

        return counted


def dispatcher(endpoints: Sequence[Endpoint], current: Callable[[], Service]) -> Any:
    """Return the function that serves the endpoints of one path, by method."""
    by_method = {endpoint.method: endpoint for endpoint in endpoints}

    async def serve(request: Request) -> Response:
        endpoint = by_method["GET" if request.method == "HEAD" else request.method]  # type: ignore[index]
        service = current()
        await _admit(request, endpoint, service)
        try:
            return await endpoint.handler(Call(request, endpoint, service))
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            raise problem from error

    return serve


async def _admit(request: Request, endpoint: Endpoint, service: Service) -> None:
    credential = f"Bearer {request.path_params['key']}" if endpoint.key_in_path else request.headers.get("authorization")
    refusal = await service.gate.refuse(endpoint.scope, credential, request.cookies.get(COOKIE))
    if refusal is not None:
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
        raise Problem(refusal.status, refusal.title, refusal.detail, headers=headers)
    for name, value in request.path_params.items():
        checked_text(value, f"'{name}' in the path")
    if endpoint.body is not None and not endpoint.any_media and _has_body(request, endpoint):
        taken = (JSON, *(media for media, _ in endpoint.bodies))
        if media_type_of(request) not in taken:
            raise Problem(415, "unsupported media type", f"send 'Content-Type: {JSON}' (taken: {', '.join(taken)})")


def _has_body(request: Request, endpoint: Endpoint) -> bool:
    return endpoint.body_needed or request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def problem_of(error: Exception) -> Problem | None:
    """Return the answer that an error of the engine stands for, None for one that nobody foresaw."""
    match error:
        case Problem():
            return error
        case InputRejected():
            return Problem(422, "the data does not fit", str(error), error.faults)
        case UnknownWorkflow() | UnknownRun():
            return Problem(404, "not found", str(error))
        case MissingCode():
            return Problem(409, "the run's code is not deployed", str(error))
        case Conflict():
            return Problem(409, "conflict", str(error))
        case TooLarge():
            return Problem(413, "too large", str(error))
        case UnstorableText():
            return Problem(400, "bad characters", str(error))
        case DatabaseFull():
            return Problem(507, "the database's disk is full", str(error), headers={"Retry-After": AWAY})
        case Outage() | OutcomeUnknown():
            return Problem(503, "the database is away", headers={"Retry-After": AWAY})
        case StoreClosed():
            return Problem(503, "the server is stopping", headers={"Retry-After": "1"})
        case _:
            return None


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    return respond(plain_problem(error.status_code, error.headers), request.scope)


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer a problem."""
    assert isinstance(error, Problem)
    return respond(error, request.scope)


async def on_storage_error(request: Request, error: Exception) -> Response:
    """Answer what the database refuses or cannot take now, wherever in a request that shows."""
    problem = problem_of(error)
    return respond(problem, request.scope) if problem is not None else await on_error(request, error)


async def on_error(request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw; the reason goes to the log, not to the client."""
    if not isinstance(error, ClientDisconnect):
        _LOG.error("%s %s failed", request.method, without_key(request.url.path), exc_info=error)
    return respond(plain_problem(500), request.scope)
