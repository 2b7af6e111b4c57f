"""The workloads on LangGraph with its SQLite checkpoints, `durability="sync"`: each step is stored before the next one starts.

PYTHON -m benchmarks.peers.langgraph_peer chain|long|fan-out|call URL --size N [--steps 10] [--repeat 1]

A chain is a graph of that many nodes, ten threads at once (more made it no faster); a long run is one node that goes back to
itself; a fan-out sends to one node many times.
"""

# mypy: ignore-errors
# pyright: basic

from __future__ import annotations

import asyncio
import operator
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.gauge import WARM_UP, Gauge, answer, arguments, insist, say, spread

AT_ONCE = 10


class Line(TypedDict, total=False):
    i: int
    limit: int
    last: dict[str, Any]


class Fan(TypedDict, total=False):
    i: int
    items: int
    rows: Annotated[list[dict[str, Any]], operator.add]


async def _next(state: Line) -> dict[str, Any]:
    return {"i": state["i"] + 1, "last": answer(state["i"])}


def chain(steps: int) -> StateGraph:
    graph, before = StateGraph(Line), START
    for i in range(steps):
        graph.add_node(f"step {i}", _next)
        graph.add_edge(before, f"step {i}")
        before = f"step {i}"
    graph.add_edge(before, END)
    return graph


def loop() -> StateGraph:
    graph = StateGraph(Line)
    graph.add_node("step", _next)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: END if state["i"] >= state["limit"] else "step", ["step", END])
    return graph


async def _score(state: Fan) -> dict[str, Any]:
    return {"rows": [answer(state["i"])]}


def fan() -> StateGraph:
    graph = StateGraph(Fan)
    graph.add_node("begin", lambda _: {})
    graph.add_node("score", _score)
    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", lambda state: [Send("score", {"i": i}) for i in range(state["items"])], ["score"])
    graph.add_edge("score", END)
    return graph


class Bench:
    """Graphs on one saver; each run is a thread of its own."""

    def __init__(self, saver: AsyncSqliteSaver, given: Namespace) -> None:
        self.saver, self.given, self.threads = saver, given, 0

    async def run(self, app: Any, state: dict[str, Any], steps: int) -> dict[str, Any]:
        self.threads += 1
        config = {"configurable": {"thread_id": str(self.threads)}, "recursion_limit": steps + 10}
        return await app.ainvoke(state, config, durability="sync")

    async def chains(self, app: Any, steps: int, runs: int) -> None:
        turn = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with turn:
                insist((await self.run(app, {"i": 0}, steps))["i"], steps, "steps of a chain")

        await asyncio.gather(*(one() for _ in range(runs)))

    async def long(self, app: Any, steps: int) -> None:
        insist((await self.run(app, {"i": 0, "limit": steps}, steps))["i"], steps, "steps of a long run")

    async def fan(self, app: Any, items: int) -> None:
        insist(len((await self.run(app, {"items": items, "rows": []}, 10))["rows"]), items, "rows of a fan-out")

    async def timed(self, act: Callable[[int], Awaitable[None]], amount: int, count: int) -> dict[str, Any]:
        for _ in range(5):
            await act(10)
        gauge = Gauge()
        for _ in range(self.given.repeat):
            await act(amount)
        return gauge.sample(count * self.given.repeat)

    async def throughput(self) -> dict[str, Any]:
        size = self.given.size
        match self.given.workload:
            case "chain":
                app = chain(self.given.steps).compile(checkpointer=self.saver)
                sample = await self.timed(lambda runs: self.chains(app, self.given.steps, runs), size, size * self.given.steps)
            case "long":
                app = loop().compile(checkpointer=self.saver)
                sample = await self.timed(lambda steps: self.long(app, steps), size, size)
            case _:
                app = fan().compile(checkpointer=self.saver)
                sample = await self.timed(lambda items: self.fan(app, items), size, size)
        return sample

    async def latency(self) -> dict[str, Any]:
        app, seconds = chain(1).compile(checkpointer=self.saver), []
        for number in range(self.given.size + WARM_UP):
            if number == WARM_UP:
                gauge = Gauge()
            began = time.perf_counter()
            await self.run(app, {"i": 0}, 1)
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - began)
        return {**gauge.sample(self.given.size), **spread(seconds)}

    async def asked(self, sql: str) -> Any:
        return (await (await self.saver.conn.execute(sql)).fetchone())[0]


async def measured(given: Namespace) -> dict[str, Any]:
    async with AsyncSqliteSaver.from_conn_string(given.url.removeprefix("sqlite:///")) as saver:
        await saver.setup()
        bench = Bench(saver, given)
        sample = await (bench.latency() if given.workload == "call" else bench.throughput())
        stored = await bench.asked("SELECT COUNT(DISTINCT thread_id) FROM checkpoints")
        insist(stored, bench.threads, "threads with checkpoints in the database")
        mode, sync = await bench.asked("PRAGMA journal_mode"), await bench.asked("PRAGMA synchronous")
    return {**sample, "durability": f"journal_mode={mode} synchronous={sync}"}


def main() -> None:
    given = arguments(__doc__, ("chain", "long", "fan-out", "call"))
    say({**asyncio.run(measured(given)), "version": f"langgraph {version('langgraph')}"})


if __name__ == "__main__":
    main()
