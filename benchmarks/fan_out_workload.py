"""Fan-outs that are measured: of steps, and of branches that sleep before theirs."""

from __future__ import annotations

from flowgraph import fan_out, sleep, step, subflow, workflow


@step
async def score(i: int) -> dict[str, str | int | bool]:
    return {"i": i, "ok": True, "value": 42, "note": "x" * 58, "tag": "bench"}


@subflow
async def rested(i: int) -> int:
    await sleep("1s")
    scored = await score(i)
    return len(scored)


@workflow
async def scores(items: int, limit: int | None) -> int:
    return len(await fan_out((score(i) for i in range(items)), limit=limit))


@workflow
async def rests(items: int, limit: int | None) -> int:
    return sum(await fan_out((rested(i) for i in range(items)), limit=limit))
