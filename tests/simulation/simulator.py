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
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
from flowgraph_runtime.intake import Intake
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
from tests.simulation.client import Client, Told
from tests.simulation.clockwork import LoopAlarm, LoopClock, SlowStore
from tests.simulation.limits_watch import CHORES, LIMITED_SEEDS, LimitWatch, Mark

STARTABLE = ("chain", "forked", "sleepy", "caught", "patient", "fanned", "undone", "hurried", "outer", "attentive")
_UNWATCHED = workload.work_hook
PATIENCE = 3 * 3600.0
"""Virtual seconds in which everything must end once the faults have stopped: the longest wait takes one hour."""
HEED = 900 * 10**6
"""Microseconds after which a run that was asked to end and has gone on can only have forgotten it."""
ENDED = ("completed", "failed", "cancelled", "crashed")


WAITS: dict[str, tuple[int, Callable[[int], str], Callable[[int], str]]] = {
    "patient": (3600, lambda _: dumps("got"), lambda _: dumps("none")),
    "kicked": (1800, lambda n: dumps(n + 2), lambda n: dumps(n + 1)),
}
"""Seconds from the start in which an event must be taken, and the results with and without it."""
_OUTCOMES = text(
    "SELECT j.site, j.visit FROM fg_journal j JOIN fg_run r ON r.number = j.run WHERE r.id = :run AND j.kind = 'done'"
)
_LEFT = text("SELECT id, status FROM fg_run WHERE ended_at IS NULL AND schedule IS NULL")
_ROOTS = text("SELECT id FROM fg_run WHERE parent IS NULL AND schedule IS NULL")
_PARKED = text("SELECT p.id FROM fg_run c JOIN fg_run p ON p.number = c.parent WHERE c.status = 'crashed'")
_SCHEDULES = text("SELECT number, last_at, due FROM fg_schedule")
_INBOX = text("SELECT position FROM fg_inbox")
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
def registry() -> Registry:
    """What all simulations serve."""
    return Registry.from_compilation(compilation())


@cache
def expected(workflow: str, n: int) -> str:
    """What the workflow returns under plain Python, as codec text."""
    given = workload.Chore(n=n) if workflow in CHORES else n
    return dumps(run_virtual(getattr(workload, workflow)(given)))


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
        self.starts_at_workers = seed % 2 == 1
        self.started = 0
        self.crashing = asyncio.Event()
        self.tally = Tally()
        self.loop = VirtualLoop(datetime(2026, 1, 1, tzinfo=UTC))
        self.clock = LoopClock(self.loop)
        self.told = Told()
        self.ended: list[Any] = []
        self.received: dict[str, tuple[int, int]] = {}
        self.parked: Counter[str] = Counter()
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
            self._check_end(run, *self.told.runs[run.id])
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
        self.registry = registry()
        await self._deploy()
        distribution = Distribution(self.registry, self._ids(), self.clock)
        intake = Intake(self.slow, self.registry, distribution, self._ids(), self.clock, create=self._create)
        self.client = Client(self.store, intake, self.clock, self.told, self.tally.counts)
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
        options = WorkerOptions(slots=8, poll_interval=120.0)
        worker = Worker(self.slow, self.registry, distribution, runner, self.clock, epoch, options)
        self.tally.counts["workers"] += 1
        self.process = Process(worker, timers, asyncio.ensure_future(worker.run()), mark)

    async def _kill(self, process: Process) -> None:
        process.timers.stop()
        process.task.cancel()
        await asyncio.gather(process.task, return_exceptions=True)

    def _heard(self, news: Any) -> None:
        moved = [position for transition in news.transitions if transition.rows for position in transition.inbox]
        if moved and (stayed := set(moved).intersection(position for (position,) in self._read(_INBOX))):
            self.broken = f"inbox rows {stayed} are in the journal and stay"
        for process in [self.process, *self.zombies]:
            if process is not None and not process.task.done():
                process.worker.announce(news.inbox_runs, claimable=bool(news.ready))
                process.worker.heard_slots(news.slots)
                process.worker.created(news.owned)

    async def _create(self, runs: Any, store: Any) -> Any:
        """Where starts come to workers, each comes to one of the processes, one that was taken over perhaps."""
        processes = [process for process in [self.process, *self.zombies] if process is not None]
        if not self.starts_at_workers or not processes:
            return await store()
        self.started += 1
        result = await processes[self.started % len(processes)].worker.create(runs, store)
        self.tally.counts["owned from the start"] += sum(run.owner is not None for run in runs)
        return result

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
        kinds = [self._begin, self._begin, self._ping, self._kick, self._cancel]
        kinds += [self._chore] * 4 if self.seed % 3 == LIMITED_SEEDS else []
        for number in range(self.actions):
            await asyncio.sleep(self.random.choice([0, 0.005, 1, 30, 300]))
            await self.random.choice(kinds)(number)

    async def _begin(self, number: int) -> None:
        await self.client.start(number, self.random.choice(STARTABLE), self.random.randint(0, 5))

    async def _ping(self, number: int) -> None:
        await self.client.send(number, "ping", self.random.randint(0, 5))
        self.tally.counts["events"] += 1

    async def _kick(self, number: int) -> None:
        started = await self.client.send(number, "kick", self.random.randint(0, 5))
        if len(started) != 1:
            raise Violation(self._text(f"one kick started {len(started)} runs"))

    async def _chore(self, number: int) -> None:
        await self.client.send(number, "chore", self.random.randint(0, 5))
        self.tally.counts["chores"] += 1

    async def _cancel(self, number: int) -> None:
        del number
        if self.told.runs and self.random.random() < 0.5:
            await self.client.cancel(self.random.choice(sorted(self.told.runs)))

    # --- verdict

    async def _until_all_ended(self) -> None:
        deadline = self.loop.time() + PATIENCE
        while left := self._read(_LEFT):
            if self.loop.time() > deadline:
                raise Violation(self._text(f"{left} have not ended after the faults have stopped"))
            await asyncio.sleep(30)
        await self._until_ticks_ended(self.clock.now(), deadline)

    async def _until_ticks_ended(self, created_by: int, deadline: float) -> None:
        """Schedules start runs for ever: wait for those that were there when everything else had ended."""
        for workflow in ("every", "beat") if self.schedules else ():
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
        for event_id, n in self.told.events.items():
            page = await self.store.event(event_id)
            if page is None:
                raise Violation(self._text(f"the acknowledged event {event_id} is gone"))
            self.received[event_id] = (n if page.event.name == "ping" else -1, page.event.received_at)
        roots = {run_id for (run_id,) in self._read(_ROOTS)}
        if roots != self.told.runs.keys():
            raise Violation(self._text(f"runs that nobody was told of: {roots - self.told.runs.keys()}"))
        self.parked.update(parent for (parent,) in self._read(_PARKED))
        self.ended = [await self.store.run(run_id) for run_id in self.told.runs]
        again = Counter(workload.STARTED)
        self.tally.counts["repeated attempts"] = sum(count - 1 for count in again.values())

    def _check_end(self, run: Any, workflow: str, n: int) -> None:
        if run.status == "cancelled" and run.id in self.told.cancelled:
            return
        asked = self.told.cancelled.get(run.id)
        if asked is not None and run.ended_at > asked + HEED:
            raise Violation(
                self._text(f"{run.id} went on for {(run.ended_at - asked) / 1e6:.0f} s after its cancel and {run.status}")
            )
        if run.status == "crashed" and "workers in a row" in run.error and self.tally.counts["workers"] > 3:
            return  # the parking of a run that took its owners down is a promise too
        if run.status != "completed":
            raise Violation(self._text(f"{workflow}({n}) {run.id} ended {run.status}: {run.error}"))
        if workflow == "outer" and self._explains(run, expected(workflow, n)):
            return
        if workflow == "attentive":
            self._check_heard(run, n)
            return
        if workflow in WAITS:
            seconds, got, none = WAITS[workflow]
            came = any(
                ping == n and run.received_at <= at <= run.started_at + seconds * 10**6 for ping, at in self.received.values()
            )
            allowed = {got(n)} if came else {got(n), none(n)}
        else:
            allowed = {expected(workflow, n)}
        if workflow == "undone":
            self._check_undone(run.id)
        if workflow == "sleepy" and run.ended_at - run.started_at < 600 * 10**6:
            raise Violation(self._text(f"{run.id} slept for less than 10 minutes"))
        if run.result not in allowed:
            raise Violation(self._text(f"{workflow}({n}) {run.id} returned {run.result}, Python returns {allowed}"))

    def _check_heard(self, run: Any, n: int) -> None:
        """Two waits in a row take as many events as came, each of them once."""
        came = [at for ping, at in self.received.values() if ping == n and run.received_at <= at <= run.ended_at]
        heard = json.loads(run.result)
        at_once = any(at <= run.started_at + 1200 * 10**6 for at in came)
        if sum(heard) > len(came) or at_once > heard[0]:
            raise Violation(self._text(f"{run.id} heard {heard} of {len(came)} events"))

    def _explains(self, run: Any, wanted: str) -> bool:
        """Whether children that were parked, because they took their owners down, explain what the parent has in their place."""
        pairs = list(zip(json.loads(run.result), json.loads(wanted), strict=True))
        return 0 < sum(got != want for got, want in pairs) <= self.parked[run.id] and all(
            got in (want, -1) for got, want in pairs
        )

    def _check_undone(self, run_id: str) -> None:
        undone = {key for run, key, _ in workload.STARTED if run == run_id and "$undo" in key}
        if len(undone) != 2:
            raise Violation(self._text(f"{run_id} has given back {sorted(undone)}, had taken twice"))

    def _text(self, what: str) -> str:
        return f"seed {self.seed}: {what} (reproduce: python -m tests.simulation.simulator {self.seed})"


if __name__ == "__main__":
    import sys

    for given in sys.argv[1:]:
        print(given, dict(Simulation(int(given)).run().counts))
