"""Errors as `application/problem+json` (RFC 9457), with a JSON pointer for each fault of the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response


class Problem(Exception):
    """An answer that is an error. `faults` are (pointer, reason)."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str | None = None,
        faults: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer."""
        body: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail is not None:
            body["detail"] = self.detail
        if self.faults:
            body["errors"] = [{"pointer": pointer, "detail": reason} for pointer, reason in self.faults]
        return Response(_bytes(body), self.status, self.headers, media_type="application/problem+json")


def respond(problem: Problem, scope: Mapping[str, Any]) -> Response:
    """Return the answer in the form that the path's clients read: `/e/<key>` has Inngest's."""
    if not takes_events(scope):
        return problem.response()
    reasons = [f"{pointer or '/'}: {reason}" for pointer, reason in problem.faults]
    text = ": ".join(part for part in (problem.title, problem.detail, "; ".join(reasons)) if part)
    return Response(
        _bytes({"error": text, "status": problem.status}), problem.status, problem.headers, media_type="application/json"
    )


def takes_events(scope: Mapping[str, Any]) -> bool:
    """Whether a request's path is one of Inngest's event API."""
    return bool(scope["path"].removeprefix(scope.get("root_path", "")).startswith("/e/"))


def _bytes(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # half of a surrogate pair in a text that came from the request
        text = {key: value.encode(errors="replace").decode() if isinstance(value, str) else value for key, value in body.items()}
        return orjson.dumps(text, default=str)


def plain_problem(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """Return a problem that says no more than its status."""
    return Problem(status, HTTPStatus(status).phrase.lower(), headers=headers)
