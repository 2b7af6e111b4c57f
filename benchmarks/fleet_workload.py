"""Runs of ten steps without work of their own, for `python -m benchmarks.fleet`."""

from __future__ import annotations

import asyncio

from flowgraph import step, workflow


@step
async def add(n: int) -> int:
    """Add one."""
    return n + 1


@step
async def rest(n: int) -> int:
    """Add one after a millisecond of waiting."""
    await asyncio.sleep(0.001)
    return n + 1


@workflow
async def chain(n: int) -> int:
    """Ten quick steps."""
    for _ in range(10):
        n = await add(n)
    return n


@workflow
async def resting_chain(n: int) -> int:
    """Ten steps that wait."""
    for _ in range(10):
        n = await rest(n)
    return n
