"""The worker: owner of an epoch and of the runs that it has claimed.

    claim -> load, or a fresh state -> decide -> one transition -> commit -> act on the commands -> outcomes -> decide ...

Everything here runs in one event loop and takes turns between awaits, so a run's state needs no lock. No clock, executor or
random source but the injected ones, and no threads: a simulator runs this very code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from flowgraph.errors import LimitExceeded, StepInterrupted
from flowgraph_runtime.clock import Clock
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.engine.commands import AbandonStep, Command, RunStep
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.folding import fold, input_of, journal_row
from flowgraph_runtime.engine.inputs import Input, Started, StepDone, StepFailed
from flowgraph_runtime.engine.run_state import RunState, run_step
from flowgraph_runtime.engine.state import snapshot
from flowgraph_runtime.engine.tokens import StepPending
from flowgraph_runtime.errors import KeyRefused
from flowgraph_runtime.limits import RunLimits
from flowgraph_runtime.meter import OTHER, Meter
from flowgraph_runtime.records import Completed, InboxRow, JournalRow, LoadedRun, RunRow, Transition
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.steps import Outcome, StepRunner, encoded_error
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import Fenced, NotOwner, OutcomeUnknown
from flowgraph_runtime.worker.admission import Admission
from flowgraph_runtime.worker.claims import Claimer
from flowgraph_runtime.worker.committer import Committer, Entry
from flowgraph_runtime.worker.lanes import Lanes, pool_of
from flowgraph_runtime.worker.leaving import Leaving
from flowgraph_runtime.worker.life import Life, Part
from flowgraph_runtime.worker.live import Attempt, LiveRun
from flowgraph_runtime.worker.loader import Loader
from flowgraph_runtime.worker.lookout import Lookout
from flowgraph_runtime.worker.options import WorkerOptions
from flowgraph_runtime.worker.pool import StepPool
from flowgraph_runtime.worker.pump import InboxPump
from flowgraph_runtime.worker.resting import Resting
from flowgraph_runtime.worker.slots import SlotQueue
from flowgraph_runtime.worker.starts import Starts
from flowgraph_runtime.worker.writing import ROW_OVERHEAD, Writer, only_steps

_LOG = logging.getLogger("flowgraph.worker")

REFUSALS = 5
"""How often the database may refuse a run's transition, reloads between, before the run is parked `crashed`."""
POLITE = 0.0005
MOST_POLITE = 0.02
"""Seconds that a worker of several waits before a claim: for each attempt that it has, and at most."""
SETTLING = 2.0
"""Seconds beyond its grace that a stopping worker gives the database."""


class Worker:
    """Runs the workflows of one epoch. `run()` until `stop()`; raises `Fenced` when another worker has taken the epoch over."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        distribution: Distribution,
        runner: StepRunner,
        clock: Clock,
        epoch: int,
        options: WorkerOptions | None = None,
        on_started: Callable[[str, RunStep, int], None] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._registry, self._runner, self._clock = registry, runner, clock
        self.epoch, self.options = epoch, options or WorkerOptions()
        self.owned: dict[str, LiveRun] = {}
        self._on_started, self._meter = on_started, meter or Meter()
        self._refused: dict[str, int] = {}
        self._stopping, self._life = False, Life()
        self._pool = pool_of(self.options.slots, runner.elsewhere, self._attempt, self._step_ended)
        commit, again = map(self._meter.timed, (partial(store.commit, epoch), partial(store.commit, epoch, again=True)))
        self._committer = Committer(commit, self._committed, again, partial(_grows, store, self._pool))
        self._pool.emptied = self._committer.look
        self._slots = SlotQueue(store.slots, epoch, self._pool.submit)
        self._admission = Admission(store.slots, registry, epoch, self._unusable)
        self._pump = InboxPump(store.inbox, self._deliver)
        self._loader = Loader(store, registry, self._resume, self._unusable)
        lookout = Lookout(store, registry, epoch, self.owned, self._pump, self._loader, self._slots.look, self._life.end)
        resting = Resting(self.owned, self.options.live_runs, clock, lookout.look, self._committer.add)
        self._writer = Writer(registry, distribution, _snapshot_of, resting.has_room)
        batch, interval = self.options.claim_batch, self.options.poll_interval
        self._claimer = Claimer(
            lookout.claim, self._adopt, self._room, resting.look, batch, interval, partial(_pause, store, self._pool)
        )
        starts = Starts(store, registry, epoch, self._claimer, self._pool, self._room, lookout.unclear, self._meter)
        self.create, self.created = starts.create, partial(starts.created, self.owned, self._begin, self._unusable)
        release = partial(store.hand_over, epoch)
        self._leaving = Leaving(self.owned, self._pool, self._writer.save, self._committer, self._life.until, release)
        self.look_around, self.heard_slots = self._claimer.look_soon, self._slots.heard
        twice = (self._committer, self._committer)
        self._parts: Sequence[Part] = (*twice, self._pump, self._loader, self._claimer, self._slots, self._admission)

    # --- life

    async def run(self) -> None:
        """Work until stopped. Raises `Fenced`, and whatever else ends the worker."""
        if self._stopping:
            return
        try:
            await self._life.run([part.run() for part in self._parts], self._pool.close)
        finally:
            self.owned.clear()

    async def stop(self, grace: float = 0.0) -> None:
        """Finish the attempts that are running, for at most `grace` seconds, hand all runs over, each as soon as it can be, and
        end `run()`. A database that is away is not waited for any longer."""
        self._stopping = True
        self._claimer.stop()
        self._pool.hold()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace + SETTLING):
                await self._leaving.leave(grace)
        self._life.end()

    @property
    def idle(self) -> bool:
        """Whether nothing is queued, running, being written or loaded: only time or somebody else can bring work."""
        return not self._pool.busy and all(part.idle for part in self._parts)

    def announce(self, with_inbox: list[str], claimable: bool) -> None:
        """Hear of a commit: runs with new inbox rows, and whether runs may have become claimable."""
        mine = [run_id for run_id in with_inbox if run_id in self.owned]
        self._pump.look(mine)
        if claimable or len(mine) < len(with_inbox):
            self._claimer.wake()

    # --- claiming and loading

    def _room(self) -> int:
        return self.options.live_runs - len(self.owned)

    async def _adopt(self, rows: list[RunRow]) -> None:
        for row in rows:
            if row.status != "queued" or row.takeovers:
                self._loader.load(row.id)
            else:
                self._admission.ask(row, partial(self._admitted, row), partial(self._loader.load, row.id))
        self._pump.look(row.id for row in rows if row.id in self.owned)

    def _admitted(self, row: RunRow) -> None:
        self._begin(row)
        if row.id in self.owned and self._registry.limits(row.machine) is not None:
            self._pump.look([row.id])  # for what came while it was asked for

    def _begin(self, row: RunRow, inbox: Sequence[InboxRow] = ()) -> None:
        """Start a run that has no history. Its inputs' times begin with `started_at`, so that a fold repeats the start. What is
        in its `inbox` is decided before a step of it runs: a cancel that was answered comes first."""
        at = row.started_at if row.started_at is not None else self._clock.now()
        live = LiveRun(row.id, row, self._registry.program(row.machine), RunState.new(row.id), at, row.status)
        self.owned[row.id] = live
        try:
            live.limits = _limits_of(self._registry, row)
            decision = decide(live.program, live.state, Started(row.input), at)
            if decision.commands and only_steps(decision):
                # nothing to write: the first outcome's transition says `running`
                if inbox:
                    self._deliver_then_run(live, inbox)
                else:
                    self._act(live, decision.commands)
                return
            transition = self._writer.transition(live, decision, [], [])
            if transition.snapshot is None and not live.closed:
                self._writer.save(live, transition)  # its presence tells a later owner that these commands are in force
        except Exception as error:
            self._give_up(live, error)
            return
        self._committer.add(Entry(live, transition, decision.commands))
        for waiting in inbox:
            self._deliver(waiting)

    def _resume(self, loaded: LoadedRun, branch_results: dict[int, str]) -> None:
        """Go on with a run that has a history, when it may live."""
        if loaded.run.epoch == self.epoch and loaded.run.ended_at is None:
            go = partial(self._go_on, loaded, branch_results)
            self._admission.ask(loaded.run, go, called=go)

    def _go_on(self, loaded: LoadedRun, branch_results: dict[int, str]) -> None:
        row = loaded.run
        if (earlier := self.owned.get(row.id)) is not None:
            earlier.claimed_again = earlier.closed
            return
        if loaded.snapshot is None and not loaded.journal:
            self._begin(row, loaded.inbox)
        else:
            self._continue(loaded, branch_results)
        self._pump.look([row.id])  # for what came after it was read and before it was owned

    def _continue(self, loaded: LoadedRun, branch_results: dict[int, str]) -> None:
        row = loaded.run
        program = self._registry.program(row.machine)
        state = fold(program, loaded, lambda rows: {seq: branch_results[seq] for seq in rows})
        live = LiveRun(row.id, row, program, state, state.at, row.status)
        live.has_snapshot(len(loaded.snapshot or ""), sum(len(entry.payload) + ROW_OVERHEAD for entry in loaded.journal))
        live.limits = _limits_of(self._registry, row)
        self.owned[row.id] = live
        self._deliver_then_run(live, loaded.inbox)

    def _deliver_then_run(self, live: LiveRun, inbox: Sequence[InboxRow]) -> None:
        """Decide what waits in the inbox, a cancel above all; then run the attempts that were under way before and still are.
        The outcome of an abandoned one is of no use to anybody, so it is not run again: the engine only has to hear that it is
        over."""
        under_way = [pending for pending in live.state.pending.values() if isinstance(pending, StepPending) and pending.executing]
        for row in inbox:
            self._deliver(row)
        for pending in under_way:
            if live.closed or live.state.pending.get(pending.serial) is not pending:
                continue
            if pending.abandoned:
                self._unwanted(live, pending.serial, pending.attempt, "the worker went down")
            else:
                self._act(live, [run_step(pending)])

    def _unwanted(self, live: LiveRun, serial: int, attempt: int, why: str) -> None:
        """An attempt is not made, because nobody would use its outcome: the engine only has to hear that it is over."""
        error = encoded_error(StepInterrupted(f"{why}; nobody waits for this attempt any more"))
        self._take(live, StepFailed(serial, attempt, error, final=True), at=max(self._clock.now(), live.at))

    def _unusable(self, row: RunRow, error: BaseException) -> None:
        """A run that cannot be loaded (its fold disagrees, its machine is broken) is parked, visibly."""
        _LOG.error("run %s cannot go on: %s", row.id, error)
        self._committer.add(Entry(None, crash(row.id, error, self._clock.now()), []))

    # --- inputs

    def _take(self, live: LiveRun, given: Input, at: int, started_at: int | None = None, position: int | None = None) -> None:
        """Decide about an input and hand the transition over."""
        inbox = [] if position is None else [position]
        live.at = at
        try:
            decision = decide(live.program, live.state, given, at)
            if decision.ignored:
                if inbox:
                    self._committer.add(Entry(live, Transition(live.id, inbox=inbox), []))
                return
            row = journal_row(live.id, live.state.seq, at, given, decision, started_at)
            written = self._writer.written(live, decision, row, inbox)
        except Exception as error:
            self._give_up(live, error)
            return
        self._committer.add(Entry(live, written, decision.commands))

    def _give_up(self, live: LiveRun, error: Exception) -> None:
        """What the engine cannot decide or store (its own fault, or a state that is no data) parks this run and no other."""
        _LOG.error("run %s cannot go on", live.id, exc_info=error)
        self._drop(live)
        self._committer.add(Entry(None, crash(live.id, error, self._clock.now()), []))

    def _deliver(self, row: InboxRow) -> None:
        live = self.owned.get(row.run_id)
        if live is None or live.closed or row.position in live.positions or row.position in live.spent:
            return
        live.positions.add(row.position)
        self._take(live, input_of(row), at=max(self._clock.now(), live.at, row.at), position=row.position)

    def _attempt(self, attempt: Attempt) -> Outcome | Coroutine[Any, Any, Outcome]:
        run_id, command, tell = attempt.live.id, attempt.command, self._on_started
        attempt.started_at = now = self._clock.now()
        if tell is not None:
            tell(run_id, command, now)
        return self._runner.begin(run_id, command, attempt.hold)

    def _step_ended(self, attempt: Attempt, outcome: Outcome) -> None:
        live, now, started = attempt.live, self._clock.now(), attempt.started_at
        self._meter.attempted(attempt.command.step, type(outcome) is StepDone, attempt.queued_at, started or now, now)
        if not live.closed:
            self._take(live, outcome, now if now > live.at else live.at, started)

    # --- after the commit

    def _committed(self, entry: Entry, error: BaseException | None) -> None:
        live = entry.live
        if error is None and live is not None and not self._refused:
            if type(entry.written) is JournalRow and not live.closed:  # nearly always: steps alone
                submit = self._pool.submit if live.limits is None else self._slots.submit
                for step in entry.commands:
                    submit(Attempt(live, step, live.at))  # type: ignore[arg-type]
                return
            if type(entry.written) is Completed:
                self._meter.moved(live.row.workflow, live.status)
                self._leave(live)
                return
        transition = entry.transition
        if live is None:
            if error is not None:
                _LOG.error("run %s cannot be parked: %s", transition.run_id, error)
            else:
                self._meter.moved(OTHER, transition.status or OTHER)
            return
        live.spend(transition.inbox)
        if error is not None:
            self._refuse(live, error)
            return
        self._refused.pop(live.id, None)
        if transition.status is not None:
            self._meter.moved(live.row.workflow, transition.status)
        if not live.discarded:
            self._act(live, entry.commands)
        if live.closed:
            self._leave(live)

    def _leave(self, live: LiveRun) -> None:
        """The database has heard that the run is parked or over."""
        if self.owned.get(live.id) is live:
            self._drop(live)
            if live.claimed_again:
                self._loader.load(live.id)

    def _act(self, live: LiveRun, commands: list[Command]) -> None:
        for command in commands:
            if type(command) is RunStep and not live.closed:  # a later decision of the same group may have ended the run
                submit = self._pool.submit if live.limits is None else self._slots.submit
                submit(Attempt(live, command, live.at))
            elif type(command) is AbandonStep and (attempt := live.attempts.get(command.serial)) is not None:
                self._abandon(attempt, interrupt=command.interrupt)

    def _abandon(self, attempt: Attempt, *, interrupt: bool) -> None:
        if not self._slots.withdraw(attempt):
            self._pool.abandon(attempt, interrupt=interrupt)
        elif not interrupt:
            self._unwanted(attempt.live, attempt.command.serial, attempt.command.attempt, "it waited for a slot of a limit")

    def _refuse(self, live: LiveRun, error: BaseException) -> None:
        """Nothing of the transition was stored: what was decided since is void, the database's version counts."""
        if isinstance(error, Fenced):
            self._life.end(error)
            return
        if live.discarded:
            return
        live.discarded = True
        self._drop(live)
        if isinstance(error, NotOwner):
            return
        blamed = not isinstance(error, OutcomeUnknown)
        count = self._refused[live.id] = self._refused.get(live.id, 0) + blamed
        _LOG.warning("run %s: transition refused (%d): %s", live.id, count, error)
        if count < REFUSALS:
            self._loader.load(live.id)
        elif count == REFUSALS:
            self._unusable(live.row, error)

    def _drop(self, live: LiveRun) -> None:
        live.closed = True
        if self.owned.get(live.id) is live:
            del self.owned[live.id]
        for attempt in list(live.attempts.values()):
            self._abandon(attempt, interrupt=True)
        if not self._stopping and self._room() == 1:
            self._claimer.wake()


def _pause(store: Store, pool: StepPool | Lanes) -> float:
    """Seconds to wait before a claim: of several workers the least busy one goes first."""
    return min(POLITE * (1 + pool.busy), MOST_POLITE) if store.fleet.workers > 1 else 0.0


def _grows(store: Store, pool: StepPool | Lanes) -> bool:
    """Whether a group of decisions that waits is about to become larger, and worth it."""
    return pool.has_queued and not store.is_waited_for


def _limits_of(registry: Registry, row: RunRow) -> RunLimits | None:
    limits = registry.limits(row.machine)
    return None if limits is None else limits.of_run(row.input)


def _snapshot_of(live: LiveRun) -> str:
    return snapshot(live.state, live.program, by_reference=True)


def crash(run_id: str, error: BaseException, at: int) -> Transition:
    """Return the transition that parks a run as `crashed`; one that has outgrown a limit, or whose own code gives
    no key, has `failed`."""
    reason = f"{type(error).__name__}: {error}"
    status = "failed" if isinstance(error, LimitExceeded | KeyRefused) else "crashed"
    values: dict[str, Any] = {"status": status, "error": encoded_error(error), "reason": reason[:2000]}
    return Transition(run_id, ended_at=at, release=True, frees_slots=True, **values)
