"""Workflows that call and start others."""

from __future__ import annotations

from flowgraph import start, step, workflow


@step
async def greet(guest: str) -> str:
    return f"hello {guest}"


@workflow
async def hotel(guest: str) -> int:
    return len(guest)


@workflow
async def newsletter(guest: str) -> None:
    pass


@workflow
async def trip(guest: str) -> tuple[str, int]:
    nights = await hotel(guest)
    await start(newsletter, guest)
    return await greet(guest), nights
