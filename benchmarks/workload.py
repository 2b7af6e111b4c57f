"""The workflows that are measured: no-op steps whose results are about 100 bytes of JSON."""

from __future__ import annotations

from typing import Any

from flowgraph import step, workflow


@step
async def noop(i: int) -> dict[str, str | int | bool]:
    return {"i": i, "ok": True, "value": 42, "note": "x" * 58, "tag": "bench"}


@workflow
async def chain(steps: int) -> int:
    for i in range(steps):
        await noop(i)
    return steps


@workflow
async def single() -> int:
    await noop(0)
    return 1


Json = dict[str, Any]
