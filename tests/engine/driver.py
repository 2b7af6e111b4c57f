"""Runs a machine to its end without a database: the machine's side of comparisons with the direct run.

After every transition the state is written as text and read back, so nothing survives that a snapshot does not hold; at the end
the journal is folded from its beginning and must lead to the same decisions and the same state.

Time is virtual. Steps take none of it: their functions are called when the command comes, their outcomes are delivered in an
order that the seed decides (in order of their start without a seed), retries come without delay, and the clock moves on to the
next sleep or deadline only when nothing else can happen. That is how the direct run behaves on a clock that jumps.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flowgraph import Event
from flowgraph.codec import TypeRegistry, dumps, loads
from flowgraph.context import StepContext, resources_scope, step_scope
from flowgraph.errors import NEVER_RETRIED, RetryAfter, StepTimeout, capture_traceback
from flowgraph.events import EventMeta, attach_meta
from flowgraph.virtual import VirtualLoop
from flowgraph_compiler.declarations import Application, StepDecl
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.pipeline import Compilation
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.folding import fold, journal_row
from flowgraph_runtime.engine.inputs import CancelAsked, EventOffered, Input, Started, StepDone, StepFailed, TimerFired
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
) -> Outcome:
    """Run a machine. `steps`: declarations, or plain functions, by name.

    `in_memory`: go on with the state itself and not with what its text says, so that what is shared by mistake shows."""
    runner = _StepCalls(steps, resources or {})
    try:
        driver = _Driver(Program.load(machine, types), runner, schedule_seed, events)
        driver.in_memory = in_memory
        driver.cancel_later(cancel_after, cancel_during)
        return driver.run(args, cancel_at, limit)
    finally:
        runner.close()


class _StepCalls:
    """Calls the author's step functions and encodes what comes of them."""

    def __init__(self, steps: Mapping[str, Any], resources: Mapping[type[Any], Any]) -> None:
        self._steps = steps
        self._resources = resources
        self._loop: VirtualLoop | None = None
        self.calls: Counter[tuple[str, str]] = Counter()

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()

    def attempt(self, run_id: str, command: c.RunStep, at: int) -> StepDone | StepFailed:
        self.calls[command.step, dumps([list(command.arguments), command.keywords])] += 1
        context = StepContext(command.attempt, f"{run_id}:{command.site}:{command.visit}", run_id, command.step)
        try:
            with resources_scope(self._resources), step_scope(context):
                return StepDone(command.serial, command.attempt, dumps(self._call(command)))
        except BaseException as error:
            return self._failed(command, error, at)

    def _call(self, command: c.RunStep) -> Any:
        declared = self._steps[command.step]
        fn = declared if callable(declared) else declared.step.fn
        result = fn(*command.arguments, **command.keywords)
        if asyncio.iscoroutine(result):
            if self._loop is None:
                self._loop = VirtualLoop()
            return self._loop.run_until_complete(_limited(result, command))
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
        raise StepTimeout(f"step '{command.step}' took longer than {command.timeout:g} s") from None


@dataclass
class _Wait:
    command: c.OpenWait
    first: int


@dataclass
class _Stream:
    """The events that the run can see, and its open waits: what the database does for a real run."""

    events: list[Event] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    waits: dict[int, _Wait] = field(default_factory=dict)
    offers: list[EventOffered] = field(default_factory=list)

    def publish(self, event: Event, event_id: str, at: int) -> None:
        own = event.model_copy()
        attach_meta(own, EventMeta(event_id, type(event).event_name, EPOCH + timedelta(microseconds=at), None))
        self.events.append(own)
        self._offer(len(self.events) - 1, tuple(self.waits))

    def open(self, opened: list[c.OpenWait]) -> None:
        """Register the waits of one transition and offer what came before."""
        for command in opened:
            self.waits[command.serial] = _Wait(command, 0 if command.since_start else len(self.events))
        for position in range(len(self.events)):
            self._offer(position, tuple(command.serial for command in opened))

    def _offer(self, position: int, serials: tuple[int, ...]) -> None:
        event = self.events[position]
        fitting = tuple(serial for serial in serials if self._fits(self.waits[serial], position, event))
        if fitting:
            self.offers.append(EventOffered(event.meta.id, fitting, dumps(event)))

    @staticmethod
    def _fits(wait: _Wait, position: int, event: Event) -> bool:
        keys = event_keys(event, [path for path, _ in wait.command.keys])
        return position >= wait.first and event.event_name in wait.command.names and keys == wait.command.keys


class _Driver:
    """One run. `ready`: outcomes and retries that can be delivered now; `timers`: (due, serial, kind)."""

    def __init__(self, program: Program, runner: _StepCalls, seed: int | None, events: Sequence[Planned]) -> None:
        self._program = program
        self._runner = runner
        self._random = None if seed is None else random.Random(seed)
        self._state = RunState.new("run_01DRIVEN")
        self._at = START
        self._stream = _Stream()
        self._ready: list[Input] = []
        self._timers: dict[int, tuple[int, str]] = {}
        self._planned: list[tuple[int, Event]] = []
        self._end: c.EndRun | None = None
        self._journal: list[JournalRow] = []
        self._snapshots: list[str] = []
        self._sent: list[Event] = []
        self.in_memory = False
        self._cancel_due: int | None = None
        self._cancel_during: Callable[[], bool] | None = None
        self._held: list[Input] = []
        for number, planned in enumerate(events):
            if isinstance(planned, tuple):
                self._planned.append((START + round(planned[0] * 1_000_000), planned[1]))
            else:
                self._stream.publish(planned, f"evt_{number}", START)
        self._planned.sort(key=lambda item: item[0])

    def cancel_later(self, seconds: float | None, during: Callable[[], bool] | None) -> None:
        """Plan to ask for the run's end, as `drive` says."""
        self._cancel_due = None if seconds is None else START + round(seconds * 1_000_000)
        self._cancel_during = during

    def run(self, args: Sequence[object], cancel_at: int | None, limit: int) -> Outcome:
        text = dumps(list(args))
        self._take(Started(text))
        for number in range(limit):
            if cancel_at == number:
                self._take(CancelAsked("asked by the test"))
            if self._end is not None:
                self._check_fold(text)
                return self._outcome(self._end)
            self._take(self._next())
        raise AssertionError(f"the run has not ended after {limit} transitions")

    # --- one transition

    def _take(self, given: Input) -> None:
        if self._end is not None:
            return
        if isinstance(given, EventOffered) and given.event_id in self._stream.taken:
            return
        decision = decide(self._program, self._state, given, self._at)
        if decision.ignored:
            return
        if not isinstance(given, Started):
            self._journal.append(journal_row(self._state.run_id, self._state.seq, self._at, given, decision))
        if decision.taken is not None:
            assert decision.taken not in self._stream.taken
            self._stream.taken.add(decision.taken)
        assert decision.parked == (not self._state.executing)
        self._store_and_load()
        self._perform(decision.commands)

    def _store_and_load(self) -> None:
        text = snapshot(self._state, self._program, by_reference=True)
        rows = {row.seq: row.payload for row in self._journal}
        restored = restore(text, self._program, lambda seqs: {seq: rows[seq] for seq in seqs})
        assert snapshot(restored, self._program, by_reference=True) == text, "the state is not what its text says"
        assert restored.status == self._state.status or self._state.phase == ENDED
        self._snapshots.append(text)
        if not self.in_memory:
            self._state = restored

    def _perform(self, commands: list[c.Command]) -> None:
        self._stream.open([command for command in commands if isinstance(command, c.OpenWait)])
        for command in commands:
            match command:
                case c.RunStep():
                    given = self._runner.attempt(self._state.run_id, command, self._at)
                    held = self._cancel_during is not None and self._cancel_during()
                    (self._held if held else self._ready).append(given)
                case c.AbandonStep(serial, True):
                    self._ready = [given for given in self._ready if _serial(given) != serial]
                case c.SetTimer(serial, _, "backoff"):
                    self._ready.append(TimerFired(serial))
                case c.SetTimer(serial, due, kind):
                    self._timers[serial] = (due, kind)
                case c.ClearTimer(serial):
                    self._timers.pop(serial, None)
                    self._ready = [given for given in self._ready if given != TimerFired(serial)]
                case c.CloseWait(serial):
                    del self._stream.waits[serial]
                case c.EmitEvent(event_id, event):
                    self._sent.append(event)
                    self._stream.publish(event, event_id, self._at)
                case c.EndRun():
                    self._end = command
                case _:
                    pass

    # --- the schedule

    def _next(self) -> Input:
        choices = len(self._ready) + bool(self._stream.offers)
        if choices:
            index = 0 if self._random is None else self._random.randrange(choices)
            if self._stream.offers and index == choices - 1:
                return self._stream.offers.pop(0)
            return self._ready.pop(index)
        if self._held and all(due > self._at for due, _ in self._timers.values()):
            self._ready, self._held, self._cancel_during = self._held, [], None
            return CancelAsked("asked while a step ran")
        return self._pass_time()

    def _pass_time(self) -> Input:
        due = min(self._timers.items(), key=lambda item: (item[1][0], item[0]), default=None)
        first = min([*([due[1][0]] if due else []), *(when for when, _ in self._planned[:1])], default=None)
        if self._cancel_due is not None and (first is None or self._cancel_due < first):
            self._at, self._cancel_due = max(self._at, self._cancel_due), None
            return CancelAsked("asked at its time")
        if self._planned and (due is None or self._planned[0][0] <= due[1][0]):
            when, event = self._planned.pop(0)
            self._at = max(self._at, when)
            self._stream.publish(event, f"evt_late_{len(self._stream.events)}", self._at)
            return self._next()
        if due is None:
            raise Stuck(f"the run waits for ever: {self._state.pending}")
        del self._timers[due[0]]
        self._at = max(self._at, due[1][0])
        return TimerFired(due[0])

    # --- the end

    def _check_fold(self, text: str) -> None:
        row = RunRow(self._state.run_id, self._program.machine.workflow, "", "running", text, START, START, started_at=START)
        folded = fold(self._program, LoadedRun(row, 0, None, self._journal))
        assert self._lasting(folded) == self._lasting(self._state), "the fold came to another state"
        assert not self._state.pending
        assert not self._stream.waits
        assert not self._timers

    def _lasting(self, state: RunState) -> str:
        """The state's text without the texts of tracebacks, which tell how often an exception was stored on its way."""
        return re.sub(r',"traceback":"(?:[^"\\]|\\.)*"', "", snapshot(state, self._program))

    def _outcome(self, end: c.EndRun) -> Outcome:
        value = loads(end.payload, self._program.types)
        completed = end.status == "completed"
        return Outcome(
            status=end.status,
            result=value if completed else None,
            error=None if completed else value,
            payload=end.payload,
            step_calls=self._runner.calls,
            inputs=Counter(row.kind for row in self._journal),
            sent=self._sent,
            journal=self._journal,
            snapshots=self._snapshots,
            ended_at=self._at,
            failed_step=end.failed_step,
            attempts=end.attempts,
        )


def _serial(given: Input) -> int | None:
    return given.serial if isinstance(given, StepDone | StepFailed | TimerFired) else None
