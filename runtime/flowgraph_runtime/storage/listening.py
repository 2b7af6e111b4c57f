"""PostgreSQL: hearing what other processes have committed. Polling finds all of it too, only later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import psycopg

from flowgraph_runtime.storage.announcing import CHANNEL

_LOG = logging.getLogger("flowgraph.storage")
_PAUSES = (0.1, 0.5, 2.0)
"""Seconds before the first and the next tries to listen again."""


async def announcements(url: str, network: dict[str, Any]) -> AsyncGenerator[str]:
    """Yield what is announced, and an empty text whenever listening has begun (anew): what was announced before is missed."""
    failures = 0
    while True:
        try:
            line = await psycopg.AsyncConnection.connect(url, autocommit=True, application_name="flowgraph-listener", **network)
            async with line:
                await line.execute(f"LISTEN {CHANNEL}")
                failures = 0
                yield ""
                async for notice in line.notifies():
                    yield notice.payload
        except psycopg.Error as error:
            _LOG.warning("cannot hear what other processes announce, polling goes on: %s", str(error).strip())
        await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1
