"""One run to its end in this process: the engine of a server, without the server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from flowgraph_compiler.pipeline import Compilation
from flowgraph_runtime.cli.progress import ENDED, Row
from flowgraph_runtime.clock import SystemClock
from flowgraph_runtime.hub import Subscription
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.timers import SkippingClock
from flowgraph_runtime.views import run_view

Watcher = Callable[[Row, Sequence[Row]], None]

_PAUSE = 0.05  # seconds at least between two looks at a run
_QUIET = 0.5  # seconds after which to look although nothing was announced
_SETTLED = 4  # looks in a row that find nothing under way


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: a workflow with its input, and the events (name, data) that are in the stream at its start."""

    workflow: str
    given: object
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    skip_time: bool = False


class Stuck(Exception):
    """The run waits for something that nobody can send."""


class Interrupted(Exception):
    """Ctrl-C."""


async def run_to_end(compiled: Compilation, order: Order, settings: Settings, watch: Watcher) -> tuple[RunRow, Registry]:
    """Run the order to its end, and with it every run of the compilation that it starts.

    Raises what the intake raises for an input that does not fit, `Stuck`, and `Interrupted` after Ctrl-C."""
    registry = Registry.from_compilation(compiled)
    clock = SkippingClock(SystemClock()) if order.skip_time else SystemClock()
    store = open_store(settings, clock)
    try:
        service = Service(registry, store, settings, on_schedule=False)
        await service.prepare()
        run_id, _ = await service.intake.start(order.workflow, order.given)
        accepted = await service.intake.send([Posted(name, data) for name, data in order.events]) if order.events else []
        aside = {started for result in accepted for started in result.run_ids}
        async with interruptible() as interrupted, service.running():
            await _follow(service, run_id, watch, interrupted)
            await _others(service, interrupted, aside)
        row = await store.run(run_id)
        assert row is not None
        return row, registry
    finally:
        store.close()


@asynccontextmanager
async def interruptible() -> AsyncGenerator[asyncio.Event, None]:
    """An event that Ctrl-C sets, so that the engine stops in good order; a second Ctrl-C ends the process at once."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        interrupted.set()
        loop.remove_signal_handler(signal.SIGINT)

    with suppress(NotImplementedError):  # an event loop on another thread or system
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)


async def _follow(service: Service, run_id: str, watch: Watcher, interrupted: asyncio.Event) -> None:
    quiet = 0
    with service.hub.subscribe(run_id) as news:
        while True:
            ended, spent = await _look(service, run_id, watch)
            if ended:
                return
            quiet = quiet + 1 if await nothing_can_happen(service) else 0
            _check(service, interrupted, quiet)
            await asyncio.sleep(max(_PAUSE, 5 * spent))
            await _next(news, interrupted, _PAUSE if quiet else _QUIET)


async def _look(service: Service, run_id: str, watch: Watcher) -> tuple[bool, float]:
    """Show the run as it is; whether it has ended, and how many seconds the look has cost."""
    begun = asyncio.get_running_loop().time()
    row = await service.store.run(run_id)
    assert row is not None
    watch(as_json(run_view(row, service.registry.types)), await step_rows(service, row))
    return row.status in ENDED, asyncio.get_running_loop().time() - begun


async def _next(news: Subscription, interrupted: asyncio.Event, most: float) -> None:
    """Wait for news of the run or Ctrl-C, for at most so many seconds; drop what else has queued up, one look covers it."""
    tasks = [asyncio.ensure_future(news.queue.get()), asyncio.ensure_future(interrupted.wait())]
    await asyncio.wait(tasks, timeout=most, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    while not news.queue.empty():
        news.queue.get_nowait()


def _check(service: Service, interrupted: asyncio.Event, quiet: int) -> None:
    if interrupted.is_set():
        raise Interrupted
    if service.failure is not None:
        raise service.failure
    if quiet >= _SETTLED:
        raise Stuck(
            "the run waits without a deadline for an event that nobody sends; give it with --event, or the wait a timeout"
        )


async def nothing_can_happen(service: Service) -> bool:
    """Whether neither code nor time can bring this process any further."""
    idle = service.worker is not None and service.worker.idle
    return idle and await service.store.next_timer() is None


async def _others(service: Service, interrupted: asyncio.Event, aside: set[str]) -> None:
    """Wait for the runs that this one started or sent events to, as far as they can get; not for those that `--event` started."""
    quiet = 0
    while quiet < _SETTLED and not interrupted.is_set() and service.failure is None:
        rows, _ = await service.store.runs(limit=200)
        if all(row.status in ENDED or row.id in aside for row in rows):
            return
        quiet = quiet + 1 if await nothing_can_happen(service) else 0
        await asyncio.sleep(_PAUSE)


async def step_rows(service: Service, row: RunRow) -> list[Row]:
    """The steps of a run as the API shows them."""
    return [as_json(step) for step in (await history_of(row, service)).steps()]


def as_json(shape: Any) -> dict[str, Any]:
    """A shape of the API as JSON-able data."""
    data: dict[str, Any] = shape.model_dump(mode="json")
    return data
