"""Keyset pages: `limit` and an opaque `cursor`."""

from __future__ import annotations

from flowgraph_runtime.api.endpoints import Call, Query
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.moments import microseconds, parse_rfc3339

MOST = 200
PAGE = (
    Query("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50}, "how many items at most"),
    Query("cursor", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "`next_cursor` of the page before"),
)


def page_of(call: Call, queries: dict[str, str]) -> tuple[int, int | None]:
    """Return limit and cursor of the request. Raises `Problem` 400."""
    limit = call.number(queries, "limit", 50, 1, MOST)
    cursor = call.number(queries, "cursor", -1, 0, 10**18 - 1)
    return limit, None if cursor < 0 else cursor


def since_of(queries: dict[str, str]) -> int | None:
    """Return the query parameter `since` in microseconds. Raises `Problem` 400."""
    if "since" not in queries:
        return None
    try:
        return microseconds(parse_rfc3339(queries["since"]))
    except ValueError as error:
        raise Problem(400, "bad query parameter", f"'since': {error}") from None
