"""Runs a machine to its end without a database: the machine's side of comparisons with the direct run.

After every transition the state is written as text and read back, so nothing survives that a snapshot does not hold; at the end
the journal is folded from its beginning and must lead to the same decisions and the same state.

Time is virtual. Steps take none of it: their functions are called when the command comes, their outcomes are delivered in an
order that the seed decides (in order of their start without a seed), retries come without delay, and the clock moves on to the
next sleep or deadline only when nothing else can happen. That is how the direct run behaves on a clock that jumps.

Child runs and started ones run beside their parent, each with a state and a journal of its own; a cancel reaches a child at once.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from flowgraph import Event
from flowgraph.calls import left_coroutine
from flowgraph.codec import TypeRegistry, dumps, loads
from flowgraph.context import StepContext, resources_scope, step_scope
from flowgraph.errors import NEVER_RETRIED, RetryAfter, StepTimeout, capture_traceback
from flowgraph.events import EventMeta, attach_meta
from flowgraph.virtual import VirtualLoop
from flowgraph_compiler.declarations import Application, StepDecl
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.pipeline import Compilation
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.commands import Decision
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.folding import fold, journal_row
from flowgraph_runtime.engine.inputs import (
    CancelAsked,
    ChildEnded,
    EventOffered,
    Input,
    Started,
    StepDone,
    StepFailed,
    TimerFired,
)
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import ENDED
from flowgraph_runtime.engine.state import RunState, restore, snapshot
from flowgraph_runtime.engine.turn import EPOCH
from flowgraph_runtime.keys import event_keys
from flowgraph_runtime.records import JournalRow, LoadedRun, RunRow

START = 1_750_000_000_000_000
"""Virtual time at which runs start, in microseconds since 1970."""

Planned = Event | tuple[float, Event]
"""An event that is in the stream from the start, or comes so many seconds later."""


class Keeper(Protocol):
    """Keeps a run somewhere else, and may build its state anew from there, with a machine that it has read there."""

    program: Program

    def begin(self, text: str, at: int) -> str:
        """The run starts with this input; answers its id."""

    def keep(self, state: RunState, row: JournalRow | None, decision: Decision, at: int) -> RunState | None:
        """Take a transition; answers the state to go on with, or None."""


class Stuck(AssertionError):
    """The run has not ended and nothing can happen any more."""


@dataclass
class Outcome:
    """What a run came to. `result` or `error` is decoded, `payload` their stored text; `step_calls` counts (step, arguments as
    text) per attempt; `inputs` counts the kinds of journal rows; `sent` are the emitted events."""

    status: str
    result: Any
    error: BaseException | None
    payload: str
    step_calls: Counter[tuple[str, str]]
    inputs: Counter[str]
    sent: list[Event]
    journal: list[JournalRow]
    snapshots: list[str]
    ended_at: int
    failed_step: str | None = None
    attempts: int | None = None
    others: list[tuple[str, str]] = field(default_factory=list)  # workflow and status of the runs that it started


def registry_of(app: Application) -> TypeRegistry:
    """The classes that stored values may name."""
    types = TypeRegistry()
    for cls in {**app.classes, **app.events}.values():
        types.register(cls)
    return types


def drive(
    compilation: Compilation,
    workflow: str,
    args: Sequence[object] = (),
    *,
    schedule_seed: int | None = None,
    events: Sequence[Planned] = (),
    cancel_at: int | None = None,
    cancel_after: float | None = None,
    cancel_during: Callable[[], bool] | None = None,
    resources: Mapping[type[Any], Any] | None = None,
    limit: int = 20_000,
    in_memory: bool = False,
    in_time: bool = False,
    programs: Programs | None = None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Run a compiled workflow to its end. `cancel_at`: ask it to cancel after that many transitions (0: after its start);
    `cancel_after`: so many seconds later; `cancel_during`: asked after each step call, the first one for which it is true has
    no outcome before everything else has come to rest and the cancel was asked.

    Raises `Stuck` when it waits for something that never comes, AssertionError when it takes more than `limit` transitions."""
    app = compilation.application
    return drive_machine(
        compilation.machines[workflow],
        registry_of(app),
        {name: step for step in app.steps.values() for name in (step.name, *step.aliases)},
        args,
        schedule_seed=schedule_seed,
        events=events,
        cancel_at=cancel_at,
        cancel_after=cancel_after,
        cancel_during=cancel_during,
        resources=resources,
        limit=limit,
        in_memory=in_memory,
        in_time=in_time,
        others=compilation.machines,
        programs=programs,
        keeper=keeper,
    )


def drive_machine(
    machine: Machine,
    types: TypeRegistry,
    steps: Mapping[str, StepDecl | Any],
    args: Sequence[object] = (),
    *,
    schedule_seed: int | None = None,
    events: Sequence[Planned] = (),
    cancel_at: int | None = None,
    cancel_after: float | None = None,
    cancel_during: Callable[[], bool] | None = None,
    resources: Mapping[type[Any], Any] | None = None,
    limit: int = 20_000,
    in_memory: bool = False,
    in_time: bool = False,
    others: Mapping[str, Machine] | None = None,
    programs: Programs | None = None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Run a machine. `steps`: declarations, or plain functions, by name; `others`: the machines of workflows that it calls;
    `programs`: all of them, loaded before; `keeper`: is told every transition of the run (not of those that it starts).

    `in_memory`: go on with the state itself and not with what its text says, so that what is shared by mistake shows.
    `in_time`: an attempt takes as long as its function sleeps."""
    runner = _StepCalls(steps, resources or {}, in_time=in_time)
    try:
        machines = {**(others or {}), machine.workflow: machine}
        driver = _Driver(programs or Programs(machines, types), machine.workflow, runner, schedule_seed, events)
        driver.in_memory, driver.keeper = in_memory, keeper
        driver.cancel_later(cancel_after, cancel_during)
        return driver.run(args, cancel_at, limit)
    finally:
        runner.close()


class _StepCalls:
    """Calls the author's step functions and encodes what comes of them."""

    def __init__(self, steps: Mapping[str, Any], resources: Mapping[type[Any], Any], *, in_time: bool) -> None:
        self._steps = steps
        self._in_time = in_time
        self._resources = resources
        self._loop: VirtualLoop | None = None
        self.calls: Counter[tuple[str, str]] = Counter()
        self.took = 0  # microseconds of the last call

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()

    def attempt(self, run_id: str, command: c.RunStep, at: int) -> StepDone | StepFailed:
        self.calls[command.step, dumps([list(command.arguments), command.keywords])] += 1
        self.took = 0
        context = StepContext(command.attempt, f"{run_id}:{command.site}:{command.visit}", run_id, command.step)
        try:
            with resources_scope(self._resources), step_scope(context):
                return StepDone(command.serial, command.attempt, dumps(self._call(command), by=f"result of {command.step}"))
        except BaseException as error:
            return self._failed(command, left_coroutine(error), at)

    def _call(self, command: c.RunStep) -> Any:
        declared = self._steps[command.step]
        fn = declared if callable(declared) else declared.step.fn
        result = fn(*command.arguments, **command.keywords)
        if asyncio.iscoroutine(result):
            if self._loop is None:
                self._loop = VirtualLoop()
            begun = self._loop.time()
            try:
                return self._loop.run_until_complete(_limited(result, command))
            finally:
                self.took = round((self._loop.time() - begun) * 1_000_000) if self._in_time else 0
        return result

    def _failed(self, command: c.RunStep, error: BaseException, at: int) -> StepFailed:
        final = not isinstance(error, Exception) or isinstance(error, NEVER_RETRIED)
        capture_traceback(error)
        retry_at = None
        if isinstance(error, RetryAfter) and isinstance(error.delay, timedelta):
            retry_at = at + error.delay // timedelta(microseconds=1)
        return StepFailed(command.serial, command.attempt, dumps(error), retry_at, final)


async def _limited(coroutine: Any, command: c.RunStep) -> Any:
    if command.timeout is None:
        return await coroutine
    try:
        async with asyncio.timeout(command.timeout):
            return await coroutine
    except TimeoutError:
        raise StepTimeout.of(command.step, timedelta(seconds=command.timeout)) from None


class Programs:
    """The machines of one compilation, loaded when they are needed and kept."""

    def __init__(self, machines: Mapping[str, Machine], types: TypeRegistry) -> None:
        self._machines = machines
        self._types = types
        self._loaded: dict[str, Program] = {}

    def of(self, workflow: str) -> Program:
        if workflow not in self._loaded:
            self._loaded[workflow] = Program.load(self._machines[workflow], self._types)
        return self._loaded[workflow]


@dataclass
class _Wait:
    command: c.OpenWait
    first: int


@dataclass
class _Stream:
    """The events that a run can see, from position `start` of those of all on, and its open waits: what the database does for a
    real run."""

    events: list[Event]
    start: int = 0
    taken: set[str] = field(default_factory=set)
    waits: dict[int, _Wait] = field(default_factory=dict)
    offers: list[EventOffered] = field(default_factory=list)

    def open(self, command: c.OpenWait) -> None:
        """Register a wait and offer what came before."""
        self.waits[command.serial] = _Wait(command, self.start if command.since_start else len(self.events))
        for position in range(len(self.events)):
            self.offer(position, (command.serial,))

    def offer(self, position: int, serials: tuple[int, ...]) -> None:
        event = self.events[position]
        fitting = tuple(serial for serial in serials if self._fits(self.waits[serial], position, event))
        if fitting:
            self.offers.append(EventOffered(event.meta.id, fitting, dumps(event)))

    @staticmethod
    def _fits(wait: _Wait, position: int, event: Event) -> bool:
        keys = event_keys(event, [path for path, _ in wait.command.keys])
        return position >= wait.first and event.event_name in wait.command.names and keys == wait.command.keys


@dataclass(eq=False)
class _Run:
    """One run: its state, its journal, what it waits for. `timers`: (due, kind) by serial; `waiter`: the run and the suspension
    that its end is told."""

    program: Program
    state: RunState
    payload: str
    stream: _Stream
    started_at: int
    waiter: tuple[_Run, int] | None = None
    timers: dict[int, tuple[int, str]] = field(default_factory=dict)
    journal: list[JournalRow] = field(default_factory=list)
    snapshots: list[str] = field(default_factory=list)
    end: c.EndRun | None = None
    moved: tuple[str, int] | None = None  # the state with which another machine took over, and how many rows came before

    def decide(self, given: Input, at: int) -> Decision | None:
        """Take an input, journal it and check what its text keeps; None when nobody waited for it."""
        if self.end is not None or (isinstance(given, EventOffered) and given.event_id in self.stream.taken):
            return None
        decision = decide(self.program, self.state, given, at)
        if decision.ignored:
            return None
        if not isinstance(given, Started):
            self.journal.append(journal_row(self.state.run_id, self.state.seq, at, given, decision))
        if decision.taken is not None:
            assert decision.taken not in self.stream.taken
            self.stream.taken.add(decision.taken)
        assert decision.parked == (not self.state.executing)
        return decision

    def store_and_load(self, *, in_memory: bool) -> None:
        text = snapshot(self.state, self.program, by_reference=True)
        rows = {row.seq: row.payload for row in self.journal}
        restored = restore(text, self.program, lambda seqs: {seq: rows[seq] for seq in seqs})
        assert snapshot(restored, self.program, by_reference=True) == text, "the state is not what its text says"
        assert restored.status == self.state.status or self.state.phase == ENDED
        self.snapshots.append(text)
        if not in_memory:
            self.state = restored

    def check_fold(self) -> None:
        """The journal leads to the same state; nothing is left over."""
        at, workflow = self.started_at, self.program.machine.workflow
        row = RunRow(self.state.run_id, workflow, "", "running", self.payload, at, at, started_at=at)
        text, rows = self.moved or (None, 0)
        folded = fold(self.program, LoadedRun(row, 0, text, self.journal[rows:]))
        assert self._lasting(folded) == self._lasting(self.state), "the fold came to another state"
        assert not self.state.pending
        assert not self.stream.waits
        assert not self.timers

    def _lasting(self, state: RunState) -> str:
        """The state's text without the texts of tracebacks, which tell how often an exception was stored on its way."""
        return re.sub(r',"traceback":"(?:[^"\\]|\\.)*"', "", snapshot(state, self.program))


class _Driver:
    """A run with those that it starts. `ready`: outcomes, retries and ends of children that can be delivered now."""

    def __init__(
        self, programs: Programs, workflow: str, runner: _StepCalls, seed: int | None, events: Sequence[Planned]
    ) -> None:
        self._programs = programs
        self._runner = runner
        self._random = None if seed is None else random.Random(seed)
        self._at = START
        self._events: list[Event] = []
        self._runs: list[_Run] = []
        self._ready: list[tuple[_Run, Input]] = []
        self._planned: list[tuple[int, Event]] = []
        self._sent: list[Event] = []
        self.in_memory = False
        self.keeper: Keeper | None = None
        self._attempts: set[tuple[str, str, int, int]] = set()
        self._cancel_due: int | None = None
        self._cancel_during: Callable[[], bool] | None = None
        self._held: list[tuple[_Run, Input]] = []
        self._busy: list[tuple[int, _Run, Input]] = []  # outcomes of attempts that take time, with their moments
        self._workflow = workflow
        for number, planned in enumerate(events):
            if isinstance(planned, tuple):
                self._planned.append((START + round(planned[0] * 1_000_000), planned[1]))
            else:
                self._publish(planned, f"evt_{number}")
        self._planned.sort(key=lambda item: item[0])

    def cancel_later(self, seconds: float | None, during: Callable[[], bool] | None) -> None:
        """Plan to ask for the run's end, as `drive` says."""
        self._cancel_due = None if seconds is None else START + round(seconds * 1_000_000)
        self._cancel_during = during

    def run(self, args: Sequence[object], cancel_at: int | None, limit: int) -> Outcome:
        text = dumps(list(args))
        id = "run_01DRIVEN" if self.keeper is None else self.keeper.begin(text, START)
        main = self._begin(id, self._workflow, text, None, sees_all=True)
        self._take(main, Started(text))
        for number in range(limit):
            if cancel_at == number:
                self._take(main, CancelAsked("asked by the test"))
            if all(run.end is not None for run in self._runs):
                for run in self._runs:
                    run.check_fold()
                assert main.end is not None
                return self._outcome(main, main.end)
            self._take(*self._next())
        raise AssertionError(f"the run has not ended after {limit} transitions")

    def _begin(self, id: str, workflow: str, payload: str, waiter: tuple[_Run, int] | None, *, sees_all: bool = False) -> _Run:
        stream = _Stream(self._events, 0 if sees_all else len(self._events))
        run = _Run(self._programs.of(workflow), RunState.new(id), payload, stream, self._at, waiter)
        self._runs.append(run)
        return run

    def _publish(self, event: Event, event_id: str) -> None:
        own = event.model_copy()
        attach_meta(own, EventMeta(event_id, type(event).event_name, EPOCH + timedelta(microseconds=self._at), None))
        self._events.append(own)
        for run in self._runs:
            run.stream.offer(len(self._events) - 1, tuple(run.stream.waits))

    # --- one transition

    def _take(self, run: _Run, given: Input) -> None:
        decision = run.decide(given, self._at)
        if decision is not None:
            run.store_and_load(in_memory=self.in_memory)
            if self.keeper is not None and run is self._runs[0]:
                self._keep(self.keeper, run, None if isinstance(given, Started) else run.journal[-1], decision)
            self._perform(run, decision.commands)

    def _keep(self, keeper: Keeper, run: _Run, row: JournalRow | None, decision: Decision) -> None:
        rebuilt = keeper.keep(run.state, row, decision, self._at)
        if rebuilt is not None:
            if keeper.program.fingerprint != run.program.fingerprint:
                run.moved = snapshot(rebuilt, keeper.program), len(run.journal)
            run.state, run.program = rebuilt, keeper.program

    def _perform(self, run: _Run, commands: list[c.Command]) -> None:
        """Carry out commands in order; runs that they start or cancel hear of it afterwards."""
        told: list[tuple[_Run, Input]] = []
        for command in commands:
            match command:
                case c.RunStep():
                    self._check_key(run, command)
                    given = self._runner.attempt(run.state.run_id, command, self._at)
                    held = self._cancel_during is not None and self._cancel_during()
                    if self._runner.took and not held:
                        self._busy.append((self._at + self._runner.took, run, given))
                    else:
                        (self._held if held else self._ready).append((run, given))
                case c.AbandonStep(serial, True):
                    self._ready = [each for each in self._ready if each[0] is not run or _serial(each[1]) != serial]
                    self._busy = [each for each in self._busy if each[1] is not run or _serial(each[2]) != serial]
                case c.SetTimer(serial, _, "backoff"):
                    self._ready.append((run, TimerFired(serial)))
                case c.SetTimer(serial, due, kind):
                    run.timers[serial] = (due, kind)
                case c.ClearTimer(serial):
                    run.timers.pop(serial, None)
                    self._ready = [each for each in self._ready if each != (run, TimerFired(serial))]
                case c.OpenWait() | c.CloseWait() | c.EmitEvent():
                    self._perform_on_stream(run, command)
                case _:
                    told += self._perform_on_runs(run, command)
        for other, given in told:
            self._take(other, given)

    def _perform_on_stream(self, run: _Run, command: c.OpenWait | c.CloseWait | c.EmitEvent) -> None:
        match command:
            case c.OpenWait():
                run.stream.open(command)
            case c.CloseWait(serial):
                del run.stream.waits[serial]
            case c.EmitEvent(event_id, event):
                self._sent.append(event)
                self._publish(event, event_id)

    def _check_key(self, run: _Run, command: c.RunStep) -> None:
        attempt = (run.state.run_id, command.site, command.visit, command.attempt)
        assert attempt not in self._attempts, f"two attempts have the idempotency key of {attempt}"
        self._attempts.add(attempt)

    def _perform_on_runs(self, run: _Run, command: c.Command) -> Iterator[tuple[_Run, Input]]:
        match command:
            case c.StartRun(run_id, workflow, payload, serial):
                started = self._begin(run_id, workflow, payload, None if serial is None else (run, serial))
                yield started, Started(payload)
            case c.CancelRun(run_id, reason):
                (child,) = (each for each in self._runs if each.state.run_id == run_id)
                yield child, CancelAsked(reason)
            case c.EndRun(status, payload):
                run.end = command
                if run.waiter is not None:
                    parent, serial = run.waiter
                    self._ready.append((parent, ChildEnded(serial, status, payload)))
            case _:
                pass

    # --- the schedule

    def _next(self) -> tuple[_Run, Input]:
        offering = next((run for run in self._runs if run.stream.offers), None)
        choices = len(self._ready) + (offering is not None)
        if choices:
            index = 0 if self._random is None else self._random.randrange(choices)
            if offering is not None and index == choices - 1:
                return offering, offering.stream.offers.pop(0)
            return self._ready.pop(index)
        if self._held and all(due > self._at for run in self._runs for due, _ in run.timers.values()):
            self._ready, self._held, self._cancel_during = self._held, [], None
            return self._runs[0], CancelAsked("asked while a step ran")
        return self._pass_time()

    def _pass_time(self) -> tuple[_Run, Input]:
        timers = [(due, number, serial) for number, run in enumerate(self._runs) for serial, (due, _) in run.timers.items()]
        ends = min(self._busy, key=lambda each: each[0], default=None)
        moments = [*(due for due, _, _ in timers), *(when for when, _ in self._planned[:1]), *(due for due, _, _ in self._busy)]
        first = min(moments, default=None)
        if self._cancel_due is not None and (first is None or self._cancel_due < first):
            self._at, self._cancel_due = max(self._at, self._cancel_due), None
            return self._runs[0], CancelAsked("asked at its time")
        if self._planned and self._planned[0][0] == first:
            when, event = self._planned.pop(0)
            self._at = max(self._at, when)
            self._publish(event, f"evt_late_{len(self._events)}")
            return self._next()
        if ends is not None and ends[0] == first:
            self._busy.remove(ends)
            self._at = max(self._at, ends[0])
            return ends[1:]
        if not timers:
            raise Stuck(f"the run waits for ever: {self._runs[0].state.pending}")
        due, number, serial = min(timers)
        del self._runs[number].timers[serial]
        self._at = max(self._at, due)
        return self._runs[number], TimerFired(serial)

    # --- the end

    def _outcome(self, main: _Run, end: c.EndRun) -> Outcome:
        value = loads(end.payload, main.program.types)
        completed = end.status == "completed"
        return Outcome(
            status=end.status,
            result=value if completed else None,
            error=None if completed else value,
            payload=end.payload,
            step_calls=self._runner.calls,
            inputs=Counter(row.kind for row in main.journal),
            sent=self._sent,
            journal=main.journal,
            snapshots=main.snapshots,
            ended_at=self._at,
            failed_step=end.failed_step,
            attempts=end.attempts,
            others=[(run.program.machine.workflow, run.state.status) for run in self._runs[1:]],
        )


def _serial(given: Input) -> int | None:
    return given.serial if isinstance(given, StepDone | StepFailed | TimerFired) else None
