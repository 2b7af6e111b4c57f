"""Reading everything that a server knows, however busy it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2

PATIENCE = 20
"""How often a request without an answer is repeated."""
ENDS_WITHIN = 120.0
"""Seconds without the end of a run after which those that are left are stuck."""


async def items(client: httpx2.AsyncClient, path: str, **filters: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the items of all pages of a listing, newest first; those that pass the filters."""
    cursor: str | None = None
    while True:
        page = await _answer(client, path, {"limit": "200"} | filters | ({"cursor": cursor} if cursor else {}))
        for item in page["items"]:
            yield item
        cursor = page["next_cursor"]
        if cursor is None:
            return


async def ended_runs(client: httpx2.AsyncClient, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """The runs that have ended, of those wanted: all, unless no more of them end. Listing all of them is work for the server,
    which rests from it four fifths of the time."""
    ended: dict[str, dict[str, Any]] = {}
    progressed = time.monotonic()
    while len(ended) < len(wanted) and time.monotonic() < progressed + ENDS_WITHIN:
        before, began = len(ended), time.monotonic()
        async for run in items(client, "/v1/runs"):
            if run["ended_at"] is not None and run["id"] in wanted:
                ended[run["id"]] = run
        if len(ended) > before:
            progressed = time.monotonic()
        await asyncio.sleep(max(0.5, 4 * (time.monotonic() - began)) if len(ended) < len(wanted) else 0)
    return ended


async def _answer(client: httpx2.AsyncClient, path: str, parameters: dict[str, str]) -> dict[str, Any]:
    for _ in range(PATIENCE):
        try:
            answer = await client.get(path, params=parameters)
            if answer.status_code == 200:
                found: dict[str, Any] = answer.json()
                return found
        except httpx2.HTTPError:
            pass
        await asyncio.sleep(0.2)
    raise RuntimeError(f"{path} was not answered {PATIENCE} times in a row")
