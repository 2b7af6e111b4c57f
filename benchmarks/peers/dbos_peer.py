"""The workloads on DBOS Transact, in its own defaults, on SQLite or PostgreSQL.

PYTHON -m benchmarks.peers.dbos_peer chain|long|fan-out|call URL --size N [--steps 10] [--repeat 1]

Workflows are started directly, all at once, without a queue: the fastest of its ways that were tried. `call` is a one-step
workflow started and awaited inside the process.
"""

# mypy: ignore-errors
# pyright: basic

from __future__ import annotations

import asyncio
import os
import time
from argparse import Namespace
from importlib.metadata import version
from typing import Any

import sqlalchemy
from dbos import DBOS

from benchmarks.gauge import WARM_UP, Gauge, answer, arguments, insist, say, spread


@DBOS.step()
async def noop(i: int) -> dict[str, Any]:
    return answer(i)


@DBOS.workflow()
async def chain(steps: int) -> int:
    for i in range(steps):
        await noop(i)
    return steps


@DBOS.workflow()
async def scores(items: int) -> int:
    return len(await asyncio.gather(*(noop(i) for i in range(items))))


async def _all(flow: Any, amount: int, runs: int) -> None:
    handles = await asyncio.gather(*(DBOS.start_workflow_async(flow, amount) for _ in range(runs)))
    insist([await handle.get_result() for handle in handles], [amount] * runs, "results")


async def throughput(given: Namespace, flow: Any, amount: int, runs: int) -> dict[str, Any]:
    await _all(flow, 10, WARM_UP)
    gauge = Gauge(given.postmaster)
    for _ in range(given.repeat):
        await _all(flow, amount, runs)
    sample = gauge.sample(amount * runs * given.repeat)
    wanted = (WARM_UP + runs * given.repeat, WARM_UP * 10 + amount * runs * given.repeat)
    insist(_rows(given.url), wanted, "completed workflows and steps in the database")
    return sample


async def latency(calls: int, postmaster: int | None, url: str) -> dict[str, Any]:
    seconds: list[float] = []
    for number in range(calls + WARM_UP):
        if number == WARM_UP:
            gauge = Gauge(postmaster)
        began = time.perf_counter()
        await (await DBOS.start_workflow_async(chain, 1)).get_result()
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    sample = gauge.sample(calls)
    insist(_rows(url), (calls + WARM_UP, calls + WARM_UP), "completed workflows and steps in the database")
    return {**sample, **spread(seconds)}


def _asked(url: str, sql: str) -> Any:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        return tuple(connection.execute(sqlalchemy.text(sql)).one())


def _rows(url: str) -> tuple[int, int]:
    schema = "dbos." if url.startswith("postgresql") else ""
    done = f"SELECT COUNT(*) FROM {schema}workflow_status WHERE status = 'SUCCESS'"
    return _asked(url, f"SELECT ({done}), (SELECT COUNT(*) FROM {schema}operation_outputs)")


def _durability(url: str) -> str:
    if url.startswith("postgresql"):
        found = _asked(url, "SELECT current_setting('synchronous_commit'), current_setting('fsync')")
        return f"synchronous_commit={found[0]} fsync={found[1]}"
    from dbos._dbos import _get_dbos_instance

    with _get_dbos_instance()._sys_db.engine.connect() as connection:
        mode, sync = (connection.execute(sqlalchemy.text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous"))
    return f"journal_mode={mode} synchronous={sync}"


async def measured(given: Namespace) -> dict[str, Any]:
    match given.workload:
        case "chain":
            return await throughput(given, chain, given.steps, given.size)
        case "long":
            return await throughput(given, chain, given.size, 1)
        case "fan-out":
            return await throughput(given, scores, given.size, 1)
        case _:
            return await latency(given.size, given.postmaster, given.url)


def main() -> None:
    given = arguments(__doc__, ("chain", "long", "fan-out", "call"))
    DBOS(config={"name": "bench", "system_database_url": given.url, "run_admin_server": False, "log_level": "ERROR"})
    DBOS.launch()
    sample = asyncio.run(measured(given))
    say({**sample, "version": f"dbos {version('dbos')}", "durability": _durability(given.url)})
    os._exit(0)  # its threads would be waited for


if __name__ == "__main__":
    main()
