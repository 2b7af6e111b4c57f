"""A running engine: store, worker and timers, opened and closed together. What the server and `flowgraph run` are built on."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from flowgraph_compiler.serialize import to_json
from flowgraph_runtime.auth import Gate, KeyRing
from flowgraph_runtime.clock import Clock, SystemClock
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.endings import Endings
from flowgraph_runtime.errors import StartupRefused
from flowgraph_runtime.executors.deployment import Executors
from flowgraph_runtime.follower import Follower
from flowgraph_runtime.heartbeat import Heartbeat
from flowgraph_runtime.histories import Histories
from flowgraph_runtime.hub import Hub
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.intake import Intake
from flowgraph_runtime.meter import Meter
from flowgraph_runtime.records import NewRun, RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.retention import Retention
from flowgraph_runtime.schedules import schedules_of
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.steps import StepRunner
from flowgraph_runtime.storage import CommitNews, Notice, Store, TakeOver
from flowgraph_runtime.storage.errors import Fenced, Outage, StorageError
from flowgraph_runtime.timers import Alarm, SchedulerAlarm, Skipper, SkippingClock, Timers
from flowgraph_runtime.watchdog import Watchdog
from flowgraph_runtime.worker import Worker, WorkerOptions

_LOG = logging.getLogger("flowgraph")
T = TypeVar("T")
RESTART_AFTER = 1.0
"""Seconds between a worker's failure and the next one's start."""
SHORTEST_LOOK = 0.02
"""Seconds between looks for workers whose lease has ended."""
SWITCH_INTERVAL = 0.0005
"""Seconds of the interpreter's switch interval: with the default 5 ms a busy loop starves the writer's thread."""


class Service:
    """The parts of a running engine. Use `running()`; `failure` is what ended the worker, if anything did. `on_schedule`: whether
    cron triggers start runs; `alarm`: what wakes the timers, APScheduler when left out; `in_process`: run every step in
    this process, whatever its `executor=` says."""

    def __init__(
        self,
        registry: Registry,
        store: Store,
        settings: Settings,
        resources: Mapping[type[Any], Any] | None = None,
        *,
        on_schedule: bool = True,
        alarm: Alarm | None = None,
        in_process: bool = False,
    ) -> None:
        self.registry = registry
        self.store = store
        self.settings = settings
        self.clock = store.clock
        self.ids = Identifiers(self.clock)
        self.distribution = Distribution(registry, self.ids, self.clock)
        self.meter = Meter(registry.current, registry.steps)
        self.intake = Intake(store, registry, self.distribution, self.ids, self.clock, self.meter, self._create)
        self.hub = Hub(shared=store.fleet.shared)
        self.endings = Endings(self._row_of)
        self.follower = Follower(store, self.hub) if store.fleet.shared else None
        self.histories = Histories()
        self.keys = KeyRing(store.list_keys, self.clock)
        self.gate = Gate(self.keys, settings)
        self.worker: Worker | None = None
        self.failure: Exception | None = None
        self._resources = resources or {}
        self._on_schedule = on_schedule
        self._alarm = alarm
        self._in_process = in_process or not settings.worker
        self._executors: Executors | None = None
        self._schedules: list[int] = []
        self._timers: Timers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    # --- start-up

    async def prepare(self) -> None:
        """Save the machines, make them current and check that live runs can go on. Raises `StartupRefused`."""
        self._loop = asyncio.get_running_loop()
        self.store.on_commit = self._heard
        self._check_heartbeat()
        await self._check_keys()
        self._executors = None if self._in_process else Executors(self.registry, self.settings)
        for print_, machine in list(self.registry.machines.items()):
            paths = [(path.event, path.path) for path in machine.key_paths]
            await self.store.save_machine(print_, machine.workflow, to_json(machine), "{}", paths)
        await self._check_live_machines()
        self._schedules = []
        for workflow, print_ in self.registry.current.items():
            await self._make_current(workflow, print_)
        for event, found in (await self.store.key_paths()).items():
            self.registry.add_key_paths((event, path) for path in found)

    async def _make_current(self, workflow: str, print_: str) -> None:
        if not self._on_schedule:
            await self.store.set_current(workflow, print_)
            return
        schedules = schedules_of(self.registry.machines[print_])
        self._schedules += await self.store.schedules.serve(workflow, print_, schedules)

    def _check_heartbeat(self) -> None:
        beat, lease = self.settings.heartbeat_interval, self.settings.lease
        if self.settings.worker and self.store.fleet.shared and beat > lease / 3:
            raise StartupRefused(
                f"a heartbeat every {beat:g} s cannot keep a lease of {lease:g} s; set FLOWGRAPH_HEARTBEAT_INTERVAL to at most a"
                " third of FLOWGRAPH_LEASE"
            )

    async def _check_keys(self) -> None:
        if not self.settings.loopback and not await self.keys.live():
            raise StartupRefused(
                f"refusing to listen on {self.settings.host}: it is not a loopback address and there is no key; make one with"
                " 'flowgraph keys create', or bind to 127.0.0.1"
            )

    async def _check_live_machines(self) -> None:
        gaps: list[str] = []
        for print_, count in (await self.store.live_machines(self.registry.satisfied())).items():
            row = await self.store.machine(print_)
            missing = self.registry.add_machine(print_, row.text) if row is not None else [f"machine {print_}"]
            if missing:
                runs = f"{count} run{'' if count == 1 else 's'} of {row.workflow if row else print_} ({print_})"
                gaps.append(f"  {runs}: missing {', '.join(missing)}")
        if gaps and not self.settings.allow_missing:
            raise StartupRefused(
                "live runs need code that is not deployed:\n"
                + "\n".join(gaps)
                + "\nput it back, or start with --allow-missing to leave"
                " these runs where they are"
            )
        for gap in gaps:
            _LOG.warning("these runs stay where they are: %s", gap.strip())

    # --- running

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Service]:
        """Prepare, work inside the block, and stop in good order."""
        await self.prepare()
        _tune()
        if not self.settings.worker:
            yield self
            self.close_streams()
            return
        task = asyncio.create_task(self._work(), name="flowgraph worker")
        try:
            yield self
        finally:
            self._stopping = True
            self.close_streams()
            if self.worker is not None:
                await self.worker.stop(self.settings.grace)
            await asyncio.gather(task, return_exceptions=True)
            if self._executors is not None:
                await self._executors.close()

    async def _work(self) -> None:
        """Run workers, one epoch after the other: a fenced one drops everything and begins anew, and so does one that failed;
        meanwhile `failure` says why the server is not ready."""
        while not self._stopping:
            try:
                await self._one_epoch()
            except Fenced as fenced:
                _LOG.warning("%s; starting over with a new epoch", fenced)
            except Exception as error:
                if isinstance(error, Outage):
                    _LOG.warning("no worker while the database is away; trying again in %g s: %s", RESTART_AFTER, error)
                else:
                    _LOG.exception("the worker has ended; starting over with a new epoch in %g s", RESTART_AFTER)
                self.failure = error
                await asyncio.sleep(RESTART_AFTER)

    async def _one_epoch(self) -> None:
        epoch = await self.store.open_epoch(self.settings.node)
        await self._take_over(epoch)
        self.failure = None
        with ThreadPoolExecutor(self.settings.step_threads, thread_name_prefix="flowgraph-step") as executor:
            elsewhere = None if self._executors is None else self._executors.by_step
            runner = StepRunner(self.registry.steps, self.clock, executor, self._resources, elsewhere=elsewhere)
            if self._stopping:  # while the epoch was being opened
                await self._close(epoch)
                return
            self.worker = Worker(
                self.store,
                self.registry,
                self.distribution,
                runner,
                self.clock,
                epoch,
                self._options(),
                self.hub.started if self.follower is None else self.follower.started,
                self.meter,
            )
            with Heartbeat(self.store, epoch, self.settings.heartbeat_interval), Watchdog(runner):
                async with (
                    self._time(),
                    _background(self._take_over_for_ever(epoch)),
                    _background(self._listen()),
                    _background(self._expire()),
                ):
                    await self._until_fenced(epoch, self.worker)

    async def _until_fenced(self, epoch: int, worker: Worker) -> None:
        """Work, and end the epoch however that ends, unless it is dead already."""
        try:
            await worker.run()
        except Fenced:
            raise
        except BaseException:
            await self._close(epoch)
            raise
        await self._close(epoch)

    async def _close(self, epoch: int) -> None:
        try:
            await self.store.close_epoch(epoch)
        except StorageError as error:
            _LOG.warning("epoch %d was not closed, the next worker takes its runs over: %s", epoch, error)

    async def _take_over(self, epoch: int) -> TakeOver:
        taken = await self.store.take_over(epoch, round(self.settings.lease * 1_000_000))
        if taken.epochs:
            _LOG.warning(
                "took over %d runs of %d dead workers; crashed: %s", taken.freed, len(taken.epochs), taken.crashed or "none"
            )
        return taken

    async def _take_over_for_ever(self, epoch: int) -> None:
        """Look for workers that fell silent, just when the lease of the first one would end. On SQLite there are no others once
        the start has taken everything over."""
        pause = usual = self.settings.lease / 3
        while True:
            await asyncio.sleep(pause)
            pause = usual
            try:
                taken = await self._take_over(epoch)
                if taken.next_in is not None:
                    pause = min(usual, max(taken.next_in / 1_000_000, SHORTEST_LOOK))
            except Exception as error:
                _LOG.warning("cannot look for dead workers; trying again: %s", error)

    async def _listen(self) -> None:
        """Pass on what other processes announce."""
        async with aclosing(self.store.notices()) as notices:
            async for notice in notices:
                self._heed(notice)

    def _heed(self, notice: Notice) -> None:
        worker = self.worker
        if worker is None or notice.epoch not in (None, worker.epoch):
            return
        match notice.kind:
            case "ready":
                worker.announce([], claimable=True)
            case "inbox" if notice.names:
                worker.announce(list(notice.names), claimable=False)
            case "slots" if notice.names:
                worker.heard_slots((worker.epoch, int(ticket)) for ticket in notice.names)
            case _:
                worker.look_around()

    async def _expire(self) -> None:
        """Delete what is older than it is kept; where time is skipped nothing is."""
        if not isinstance(self.clock, SkippingClock):
            await Retention(self.store.expiry, self.clock, self.settings, self.meter).run()

    def _options(self) -> WorkerOptions:
        settings = self.settings
        return WorkerOptions(slots=settings.step_slots, claim_batch=settings.claim_batch, poll_interval=settings.poll_interval)

    @asynccontextmanager
    async def _time(self) -> AsyncGenerator[None]:
        """What wakes timers: an alarm, or with a skipping clock a jump whenever nothing else is going on."""
        if isinstance(self.clock, SkippingClock):
            async with _background(Skipper(self.store, self.clock, self._idle, schedules=self._schedules).run()):
                yield
            return
        self._timers = Timers(self.store, self._alarm or SchedulerAlarm(self.settings.poll_interval), self._schedules)
        await self._timers.start()
        try:
            yield
        finally:
            self._timers.stop()
            self._timers = None

    def _idle(self) -> bool:
        return self.worker is not None and self.worker.idle

    def close_streams(self) -> None:
        """End all event streams, and let nobody wait for a run's end any longer."""
        self.hub.close()
        self.endings.close()
        if self.follower is not None:
            self.follower.close()

    # --- new runs and news of commits

    def _row_of(self, run_id: str) -> RunRow | None:
        live = None if self.worker is None else self.worker.owned.get(run_id)
        return None if live is None else live.row

    def _create(self, runs: Sequence[NewRun], store: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """Let `store` store these runs, with an owner where the worker takes them."""
        return store() if self.worker is None else self.worker.create(runs, store)

    def _heard(self, news: CommitNews) -> None:
        """Called in whichever thread the store answers; everything else happens in the service's own loop."""
        assert self._loop is not None
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._spread(news)
        else:
            self._loop.call_soon_threadsafe(self._spread, news)

    def _spread(self, news: CommitNews) -> None:
        if self.worker is not None and (news.inbox_runs or news.ready):
            self.worker.announce(news.inbox_runs, claimable=bool(news.ready))
        if self.worker is not None and news.slots:
            self.worker.heard_slots(news.slots)
        if self._timers is not None:
            for transition in news.transitions:
                for timer in transition.timers:
                    self._timers.heard(timer.due)
        self.hub.committed(news)
        self.endings.committed(news)
        if self.worker is not None and news.owned:
            self.worker.created(news.owned)
        if self.follower is not None:
            self.follower.committed(news)


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tune() -> None:
    """Settings of the interpreter that a server needs. Thousands of live runs are garbage-collected in vain again and again
    with the default thresholds (a tenth to a third of all CPU time), and once in a while all that was imported (50 ms)."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def open_store(settings: Settings, clock: Clock | None = None) -> Store:
    """Open the database that the settings name; the folder of a SQLite file is made."""
    if settings.db.startswith("sqlite:///"):
        Path(settings.db.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return Store.open(
        settings.db,
        clock=clock or SystemClock(),
        durability=settings.durability,
        lease=settings.lease,
        reserve=settings.disk_reserve,
    )
