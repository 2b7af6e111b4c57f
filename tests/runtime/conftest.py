"""Real engines for the runtime's tests: in this process on SQLite, or a server in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flowgraph_compiler import Compilation, compile_module
from flowgraph_runtime.clock import SystemClock
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import ENDED, Store
from flowgraph_runtime.timers import SkippingClock
from tests.runtime import orders
from tests.runtime.server import Server


@cache
def compilation() -> Compilation:
    """The machines of `orders`."""
    return compile_module(orders)


@pytest.fixture
def stage() -> orders.Stage:
    """A fresh stage for the steps of `orders`."""
    orders.STAGE = orders.Stage()
    return orders.STAGE


@asynccontextmanager
async def engine(
    url: str = "sqlite://",
    *,
    skip_time: bool = True,
    resources: dict[type[Any], Any] | None = None,
    compiled: Compilation | None = None,
    **settings: Any,
) -> AsyncIterator[Service]:
    """A service on `url` whose sleeps, deadlines and delays are skipped."""
    clock = SkippingClock(SystemClock()) if skip_time else SystemClock()
    store = Store.open(url, clock=clock)
    chosen = Settings(**{"db": url, "poll_interval": 0.05, "grace": 1.0, **settings})
    try:
        async with Service(Registry.from_compilation(compiled or compilation()), store, chosen, resources).running() as service:
            yield service
    finally:
        store.close()


async def until(holds: Callable[[], bool], patience: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(patience):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


async def ended(service: Service, run_id: str, patience: float = 10.0) -> RunRow:
    """Wait for the end of a run."""
    async with asyncio.timeout(patience):
        while True:
            row = await service.store.run(run_id)
            assert row is not None
            if row.status in ENDED:
                return row
            assert service.failure is None, service.failure
            await asyncio.sleep(0.005)


async def reaches(service: Service, run_id: str, status: str, patience: float = 10.0) -> None:
    """Wait for a status of a run."""
    async with asyncio.timeout(patience):
        while True:
            row = await service.store.run(run_id)
            if row is not None and row.status == status:
                return
            await asyncio.sleep(0.005)


@pytest.fixture
def run() -> Callable[[Awaitable[Any]], Any]:
    """Run a coroutine to its end."""
    return lambda coroutine: asyncio.run(_within(coroutine))


async def _within(coroutine: Awaitable[Any]) -> Any:
    async with asyncio.timeout(30):
        return await coroutine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server in a process of its own, on a SQLite file."""
    with Server(tmp_path) as started:
        yield started
