"""The deterministic simulator: the real worker, engine and storage on a virtual clock, with faults drawn from a seed.

Injected are the clock, the executor's time (steps take virtual time), randomness, and the fate of every commit. A crash drops
the worker with everything in its memory; a zombie goes on working after another worker has taken its runs over. When the faults
stop, all work that was acknowledged must end, with the results that plain Python gives, and every invariant must hold.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any

from sqlalchemy import text

from flowgraph.codec import dumps
from flowgraph.virtual import VirtualLoop, run_virtual
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import load
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.intake import Intake, Posted
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.schedules import Schedule, schedules_of
from flowgraph_runtime.steps import StepRunner
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import SimulatedCrash, StorageError
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.storage.writer import Fate
from flowgraph_runtime.timers import Timers
from flowgraph_runtime.worker import Worker, WorkerOptions
from tests.simulation import workload
from tests.simulation.limits_watch import CHORES, LIMITED_SEEDS, LimitWatch, Mark

STARTABLE = ("chain", "forked", "sleepy", "caught", "patient")
_UNWATCHED = workload.work_hook
PATIENCE = 3 * 3600.0
"""Virtual seconds in which everything must end once the faults have stopped: the longest wait takes one hour."""
ENDED = ("completed", "failed", "cancelled", "crashed")


WAITS: dict[str, tuple[int, Callable[[int], str], Callable[[int], str]]] = {
    "patient": (3600, lambda _: dumps("got"), lambda _: dumps("none")),
    "kicked": (1800, lambda n: dumps(n + 2), lambda n: dumps(n + 1)),
}
"""Seconds from the start in which an event must be taken, and the results with and without it."""
_OUTCOMES = text(
    "SELECT j.site, j.visit FROM fg_journal j JOIN fg_run r ON r.number = j.run WHERE r.id = :run AND j.kind = 'done'"
)
_SCHEDULES = text("SELECT number, last_at, due FROM fg_schedule")
_STARTED = text("SELECT scheduled_at FROM fg_run WHERE schedule = :schedule")
_SKIPPED = text("SELECT scheduled_at, until, count FROM fg_skip WHERE schedule = :schedule")


class Violation(AssertionError):
    """A promise that did not hold."""


@cache
def compilation() -> Compilation:
    """The workload, compiled once."""
    result = compile_application(load([workload.__name__]).modules)
    assert not [found for found in result.diagnostics if found.severity.value == "error"], result.diagnostics
    return result


@cache
def expected(workflow: str, n: int) -> str:
    """What the workflow returns under plain Python, as codec text."""
    given = workload.Chore(n=n) if workflow in CHORES else n
    return dumps(run_virtual(getattr(workload, workflow)(given)))


class LoopClock:
    """The loop's virtual time as the engine's clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._start = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> int:
        return round(
            ((self._start - datetime(1970, 1, 1, tzinfo=UTC)) + timedelta(seconds=self._loop.time())).total_seconds() * 1e6
        )


class LoopAlarm:
    """Rings by the loop's own timers."""

    def __init__(self, clock: LoopClock, interval: float = 60.0) -> None:
        self._clock = clock
        self._interval = interval
        self._armed: asyncio.TimerHandle | None = None
        self._rung: set[asyncio.Task[None]] = set()
        self._net: asyncio.Task[None] | None = None
        self._ring: Callable[[], Awaitable[None]] | None = None

    def start(self, ring: Callable[[], Awaitable[None]]) -> None:
        self._ring = ring
        self._net = asyncio.ensure_future(self._again())

    async def _again(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._once()

    async def _once(self) -> None:
        assert self._ring is not None
        with suppress(SimulatedCrash):  # the whole process is about to be dropped
            await self._ring()

    def set(self, due: int) -> None:
        if self._armed is not None:
            self._armed.cancel()
        self._armed = asyncio.get_running_loop().call_later(max(0.0, (due - self._clock.now()) / 1e6), self._now)

    def _now(self) -> None:
        task = asyncio.ensure_future(self._once())
        self._rung.add(task)
        task.add_done_callback(self._rung.discard)

    def stop(self) -> None:
        for waiting in (self._net, self._armed):
            if waiting is not None:
                waiting.cancel()


class SlowStore:
    """The store with a delay before and after each call, drawn from the seed, so that calls overtake each other."""

    def __init__(self, store: Store, random_: random.Random) -> None:
        self._store = store
        self._random = random_

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in ("schedules", "slots"):
            return SlowStore(method, self._random)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def delayed(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(self._random.random() * 0.01)
            result = await method(*args, **kwargs)
            await asyncio.sleep(self._random.random() * 0.01)
            return result

        return delayed


@dataclass
class Tally:
    """How often each kind of thing happened: a simulation in which nothing went wrong proves nothing."""

    counts: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> int:
        return self.counts[name]


@dataclass
class Process:
    """One life of a worker."""

    worker: Worker
    timers: Timers
    task: asyncio.Task[None]
    mark: Mark


class Simulation:
    """One seed. `run()` raises `Violation` with the seed in its text."""

    def __init__(self, seed: int, actions: int = 12) -> None:
        self.seed = seed
        self.actions = actions
        self.random = random.Random(seed)
        self.fault_rate = self.random.choice([0.0, 0.02, 0.1, 0.25])
        self.calm = True
        self.crashing = asyncio.Event()
        self.tally = Tally()
        self.loop = VirtualLoop(datetime(2026, 1, 1, tzinfo=UTC))
        self.clock = LoopClock(self.loop)
        self.runs: dict[str, tuple[str, int]] = {}
        self.cancelled: set[str] = set()
        self.events: dict[str, int] = {}
        self.ended: list[Any] = []
        self.received: dict[str, tuple[int, int]] = {}
        self.broken: str | None = None
        self.process: Process | None = None
        self.zombies: list[Process] = []
        self.schedules: dict[int, Schedule] = {}
        self.limits = LimitWatch(lambda: None if self.process is None else self.process.mark)

    # --- the run of a simulation

    def run(self) -> Tally:
        workload.STARTED.clear()
        workload.work_hook = self._work
        self.limits.install()
        try:
            self.loop.run_until_complete(self._main())
        finally:
            self._close_loop()
            self.limits.remove()
            workload.work_hook = _UNWATCHED
        for run in self.ended:
            self.tally.counts[run.status] += 1
            self._check_end(run, *self.runs[run.id])
        return self.tally

    def _close_loop(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def _main(self) -> None:
        self.store = Store.open("sqlite://", clock=self.clock, inline=True, fate=self._fate)
        self.limits.store = self.store
        self.slow: Any = SlowStore(self.store, self.random)
        self.registry = Registry.from_compilation(compilation())
        await self._deploy()
        self.store.on_commit = self._heard
        keeper = asyncio.ensure_future(self._keep_alive())
        self.calm = False
        await self._load()
        self.calm = True
        await self._until_all_ended()
        if self.tally.counts["chores"]:
            await asyncio.sleep(60)  # the slots of the last attempts are given back
        keeper.cancel()
        for process in [self.process, *self.zombies]:
            if process is not None:
                await self._kill(process)
        await self._verify()
        self.store.close()

    async def _deploy(self) -> None:
        self.deployed = self.clock.now()
        for fingerprint, machine in self.registry.machines.items():
            await self.store.save_machine(
                fingerprint,
                machine.workflow,
                self.registry.texts[fingerprint],
                "{}",
                [(path.event, path.path) for path in machine.key_paths],
            )
            schedules = schedules_of(machine) if self.seed % 3 == 1 else []  # a third of the seeds, for the sake of time
            numbers = await self.store.schedules.serve(machine.workflow, fingerprint, schedules)
            self.schedules.update(zip(numbers, schedules, strict=True))

    # --- faults

    def _fate(self) -> Fate:
        if self.calm or self.random.random() >= self.fault_rate:
            return Fate.OK
        fate = self.random.choice([Fate.REJECTED, Fate.APPLIED_ERROR, Fate.CRASH_BEFORE, Fate.CRASH_AFTER])
        self.tally.counts[fate.value] += 1
        if fate in (Fate.CRASH_BEFORE, Fate.CRASH_AFTER):
            self.crashing.set()
        return fate

    async def _keep_alive(self) -> None:
        """Starts a worker whenever there is none; kills or abandons it as the seed says."""
        while True:
            if self.process is None:
                await self._start()
                continue
            waits = [asyncio.ensure_future(self.crashing.wait()), self.process.task]
            pause = 3600.0 if self.calm else self.random.expovariate(1 / 300)
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            waits[0].cancel()
            await self._interfere()

    async def _interfere(self) -> None:
        process = self.process
        assert process is not None
        if self.crashing.is_set() or process.task.done():
            self.crashing.clear()
            self.tally.counts["crashes"] += 1
            await self._kill(process)
            self.process = None
        elif not self.calm and self.fault_rate:
            self.tally.counts["zombies"] += 1
            self.zombies.append(process)  # goes on, and does not know that it was taken over
            self.process = None

    async def _start(self) -> None:
        try:
            epoch = await self.store.open_epoch("simulated")
            await self.store.take_over(epoch)
            timers = Timers(self.slow, LoopAlarm(self.clock), list(self.schedules))
            await timers.start()
        except (StorageError, SimulatedCrash):
            self.crashing.clear()
            await asyncio.sleep(0.5)
            return
        distribution = Distribution(self.registry, self._ids(), self.clock)
        mark = Mark()
        runner = StepRunner(self.registry.steps, self.clock, None, {Mark: mark})
        options = WorkerOptions(slots=8, poll_interval=30.0)
        worker = Worker(self.slow, self.registry, distribution, runner, self.clock, epoch, options)
        self.tally.counts["workers"] += 1
        self.process = Process(worker, timers, asyncio.ensure_future(worker.run()), mark)

    async def _kill(self, process: Process) -> None:
        process.timers.stop()
        process.task.cancel()
        await asyncio.gather(process.task, return_exceptions=True)

    def _heard(self, news: Any) -> None:
        for process in [self.process, *self.zombies]:
            if process is not None and not process.task.done():
                process.worker.announce(news.inbox_runs, claimable=bool(news.ready or news.created))
                process.worker.heard_slots(news.slots)

    def _ids(self) -> Identifiers:
        return Identifiers(self.clock, self.random.randbytes)

    async def _work(self, run_id: str, key: str, seconds: float) -> None:
        self.tally.counts["attempts"] += 1
        if f"{run_id}:chain/" in key:
            self._check_predecessors(run_id, key)
        await asyncio.sleep(self.random.choice([0, 0, 0.01, 1, 20]))

    def _check_predecessors(self, run_id: str, key: str) -> None:
        """In a sequence, a step may begin only when the outcomes of all steps before it are stored."""
        stored = self.store.read(lambda connection: connection.execute(_OUTCOMES, {"run": run_id}).all())
        done = {f"{run_id}:{site}:{visit}" for site, visit in stored}
        for run, earlier, _ in workload.STARTED:
            if run == run_id and earlier != key and earlier not in done:
                self.broken = f"{key} began before the outcome of {earlier} was stored"

    # --- load

    async def _load(self) -> None:
        intake = Intake(self.slow, self.registry, Distribution(self.registry, self._ids(), self.clock), self._ids(), self.clock)
        kinds = [self._begin, self._begin, self._ping, self._kick, self._cancel]
        kinds += [self._chore] * 4 if self.seed % 3 == LIMITED_SEEDS else []
        for number in range(self.actions):
            await asyncio.sleep(self.random.choice([0, 0.005, 1, 30, 300]))
            await self.random.choice(kinds)(intake, number)

    async def _insist(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """What a careful client does: repeats the request, with the same id, until it is acknowledged."""
        while True:
            try:
                return await call()
            except (StorageError, SimulatedCrash):
                self.tally.counts["repeated"] += 1
                await asyncio.sleep(0.2)

    async def _begin(self, intake: Intake, number: int) -> None:
        workflow, n = self.random.choice(STARTABLE), self.random.randint(0, 5)
        run_id, _ = await self._insist(lambda: intake.start(workflow, {"n": n}, idempotency_key=f"start {number}"))
        self.runs[run_id] = (workflow, n)
        self.tally.counts["runs"] += 1

    async def _ping(self, intake: Intake, number: int) -> None:
        n = self.random.randint(0, 5)
        (result,) = await self._insist(lambda: intake.send([Posted("ping", {"n": n}, id=f"ping {number}")]))
        self.events[result.event_id] = n
        self.tally.counts["events"] += 1

    async def _kick(self, intake: Intake, number: int) -> None:
        n = self.random.randint(0, 5)
        (result,) = await self._insist(lambda: intake.send([Posted("kick", {"n": n}, id=f"kick {number}")]))
        self.events[result.event_id] = n
        if len(result.run_ids) != 1:
            raise Violation(self._text(f"one kick started {len(result.run_ids)} runs"))
        self.runs[result.run_ids[0]] = ("kicked", n)

    async def _chore(self, intake: Intake, number: int) -> None:
        n = self.random.randint(0, 5)
        (result,) = await self._insist(lambda: intake.send([Posted("chore", {"n": n}, id=f"chore {number}")]))
        self.events[result.event_id] = n
        for run_id in result.run_ids:
            self.runs[run_id] = ((await self.store.run(run_id)).workflow, n)
        self.tally.counts["chores"] += 1

    async def _cancel(self, intake: Intake, number: int) -> None:
        if self.runs and self.random.random() < 0.5:
            run_id = self.random.choice(sorted(self.runs))
            self.cancelled.add(run_id)  # also when the answer is lost: the request may have been stored
            await self._insist(lambda: self.store.ask_cancel(run_id, "simulated"))
            self.tally.counts["cancels"] += 1

    # --- verdict

    async def _until_all_ended(self) -> None:
        deadline = self.loop.time() + PATIENCE
        for run_id in self.runs:
            while (run := await self.store.run(run_id)).status not in ENDED:
                if self.loop.time() > deadline:
                    raise Violation(self._text(f"{run_id} ({run.workflow}) is still {run.status} after the faults have stopped"))
                await asyncio.sleep(30)
        await self._until_ticks_ended(self.clock.now(), deadline)

    async def _until_ticks_ended(self, created_by: int, deadline: float) -> None:
        """Schedules start runs for ever: wait for those that were there when everything else had ended."""
        for workflow in ("every", "beat"):
            rows, _ = await self.store.runs(workflow=workflow, limit=1000)
            for found in rows:
                row: Any = found
                while row.created_at <= created_by and row.status not in ENDED:
                    if self.loop.time() > deadline:
                        raise Violation(self._text(f"{row.id} ({workflow}) is still {row.status}"))
                    await asyncio.sleep(30)
                    row = await self.store.run(row.id)
                self._check_tick(row)

    def _check_tick(self, row: Any) -> None:
        self.tally.counts["ticks"] += 1
        if row.status not in ENDED or (row.status == "crashed" and self.tally.counts["workers"] > 3):
            return
        if row.status != "completed" and (row.workflow, row.status) != ("beat", "cancelled"):
            raise Violation(self._text(f"{row.workflow} {row.id} ended {row.status}: {row.error}"))
        at = json.loads(row.input)[0]["$datetime"] if row.workflow == "every" else None
        if row.status == "completed" and row.result != dumps(2 if at is None else at):
            raise Violation(self._text(f"{row.workflow} {row.id} returned {row.result}"))

    def _check_schedules(self) -> None:
        """Each tick since the deployment has a run or is among the skipped ones, once."""
        for number, last_at, due in self._read(_SCHEDULES):
            schedule = self.schedules[number]
            if due < self.clock.now() - 120 * 10**6:
                raise Violation(self._text(f"{schedule} was due at {due}"))
            told = [tick for (tick,) in self._read(_STARTED, schedule=number)]
            for first, last, count in self._read(_SKIPPED, schedule=number):
                ticks = list(takewhile(lambda tick, last=last: tick <= last, schedule.after(first - 1)))
                if len(ticks) != count:
                    raise Violation(self._text(f"{count} skipped ticks from {first} to {last} of {schedule}"))
                told += ticks
                self.tally.counts["skipped"] += count
            due_since = list(
                takewhile(lambda tick, last=last_at: last is not None and tick <= last, schedule.after(self.deployed))
            )
            if sorted(told) != due_since:
                raise Violation(self._text(f"{schedule} had {sorted(told)}, was due at {due_since}"))

    def _read(self, query: Any, **given: Any) -> Any:
        return self.store.read(lambda connection: connection.execute(query, given).all())

    async def _verify(self) -> None:
        found = violations(self.store)
        if found:
            raise Violation(self._text(f"invariants: {found}"))
        self._check_schedules()
        for broken in (self.broken, self.limits.broken, self.limits.left()):
            if broken is not None:
                raise Violation(self._text(broken))
        for event_id, n in self.events.items():
            page = await self.store.event(event_id)
            if page is None:
                raise Violation(self._text(f"the acknowledged event {event_id} is gone"))
            self.received[event_id] = (n if page.event.name == "ping" else -1, page.event.received_at)
        self.ended = [await self.store.run(run_id) for run_id in self.runs]
        again = Counter(workload.STARTED)
        self.tally.counts["repeated attempts"] = sum(count - 1 for count in again.values())

    def _check_end(self, run: Any, workflow: str, n: int) -> None:
        if run.status == "cancelled" and run.id in self.cancelled:
            return
        if run.status == "crashed" and "workers in a row" in run.error and self.tally.counts["workers"] > 3:
            return  # the parking of a run that took its owners down is a promise too
        if run.status != "completed":
            raise Violation(self._text(f"{workflow}({n}) {run.id} ended {run.status}: {run.error}"))
        if workflow in WAITS:
            seconds, got, none = WAITS[workflow]
            came = any(
                ping == n and run.received_at <= at <= run.started_at + seconds * 10**6 for ping, at in self.received.values()
            )
            allowed = {got(n)} if came else {got(n), none(n)}
        else:
            allowed = {expected(workflow, n)}
        if workflow == "sleepy" and run.ended_at - run.started_at < 600 * 10**6:
            raise Violation(self._text(f"{run.id} slept for less than 10 minutes"))
        if run.result not in allowed:
            raise Violation(self._text(f"{workflow}({n}) {run.id} returned {run.result}, Python returns {allowed}"))

    def _text(self, what: str) -> str:
        return f"seed {self.seed}: {what} (reproduce: python -m tests.simulation.simulator {self.seed})"


if __name__ == "__main__":
    import sys

    for given in sys.argv[1:]:
        print(given, dict(Simulation(int(given)).run().counts))
