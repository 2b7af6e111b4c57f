"""Reading everything that a server knows, however busy it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2

PATIENCE = 20
"""How often a request without an answer is repeated."""


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
