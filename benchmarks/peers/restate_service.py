"""The workloads as a Restate service: `hypercorn benchmarks.peers.restate_service:app`."""

# mypy: ignore-errors
# pyright: basic

from __future__ import annotations

from typing import Any

import restate

from benchmarks.gauge import answer

bench = restate.Service("Bench")


async def noop(i: int) -> dict[str, Any]:
    return answer(i)


@bench.handler()
async def chain(ctx: restate.Context, steps: int) -> int:
    for i in range(steps):
        await ctx.run_typed("step", noop, i=i)
    return steps


@bench.handler()
async def scores(ctx: restate.Context, items: int) -> int:
    futures = [ctx.run_typed("step", noop, i=i) for i in range(items)]
    await restate.gather(*futures)
    return len([await future for future in futures])


app = restate.app([bench])
