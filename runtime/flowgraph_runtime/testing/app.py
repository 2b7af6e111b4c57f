"""An engine for a test, and what a test does with it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import ModuleType
from typing import Any, ParamSpec, TypeAlias, TypeVar

from flowgraph import Duration, Event, Step, Workflow
from flowgraph.codec import loads
from flowgraph.context import current_resources
from flowgraph.durations import parse_duration
from flowgraph_compiler import Compilation
from flowgraph_runtime.app import compiled
from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.moments import microseconds, moment
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.testing.fakes import Fakes, Recorder
from flowgraph_runtime.testing.runs import Run, Surroundings
from flowgraph_runtime.testing.surroundings import untouched
from flowgraph_runtime.testing.time import HandAlarm, Time
from flowgraph_runtime.typed import event_data, start_input

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)
Target: TypeAlias = str | ModuleType | Workflow[..., Any]
PATIENCE = 30.0
"""Real seconds that the steps of a test may take between two calls of it."""


class App:
    """Workflows that are served to a test. Every call returns when the engine has come to rest: all has happened that can happen
    before the time passes."""

    def __init__(self, service: Service, clock: ManualClock, time: Time, recorder: Recorder, *, skip_time: bool) -> None:
        self._service, self._clock, self._time, self._recorder = service, clock, time, recorder
        self._around = Surroundings(service, time, skip_time, lambda: recorder.types(service.registry.types))

    async def start(self, workflow: Workflow[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Run[R]:
        """Start a run with the arguments of the workflow. Raises `InputRejected`, `UnknownWorkflow`, TypeError."""
        run_id, _ = await self._service.intake.start(workflow.name, start_input(workflow, args, kwargs))
        await self._time.rest()
        return Run(run_id, self._around)

    async def send(self, event: Event, *, id: str | None = None) -> list[Run[Any]]:
        """Send an event: return the runs that it has started; waits that it fits have got it. `id`: the sender's own, of which a
        second event does nothing. Raises `InputRejected`."""
        (accepted,) = await self._service.intake.send([Posted(event.event_name, event_data(event), id)])
        await self._time.rest()
        return [Run(run_id, self._around) for run_id in accepted.run_ids]

    async def advance(self, by: Duration) -> None:
        """Let time pass: sleeps, deadlines, retries and schedules that are due on the way happen each at its moment."""
        await self._time.pass_until(self._clock.now() + parse_duration(by) // timedelta(microseconds=1))

    async def advance_to(self, when: datetime) -> None:
        """Let the time be `when`, an aware moment that is not in the past (ValueError)."""
        until = microseconds(when)
        if until < self._clock.now():
            raise ValueError(f"it is {self.now} already: time does not go back to {when}")
        await self._time.pass_until(until)

    async def settle(self) -> None:
        """Wait until nothing happens any more by itself: after work that the test has started behind the engine's back."""
        await self._time.rest()

    @property
    def now(self) -> datetime:
        """The time, aware, in UTC."""
        return moment(self._clock.now())

    def calls(self, step: Step[..., Any]) -> list[tuple[Any, ...]]:
        """Return the arguments of every attempt of the step so far, in the order of its parameters, defaults filled in.

        Raises LookupError for a step that no served workflow has."""
        return self._recorder.calls(step)

    async def runs(self, workflow: Workflow[..., R]) -> list[Run[R]]:
        """Return the runs of a workflow, oldest first: also those that events, schedules or other runs have started."""
        rows, _ = await self._service.store.runs(workflow=(workflow.name, *workflow.aliases), limit=1000)
        return [Run(row.id, self._around) for row in reversed(rows)]

    async def events(self, event: type[E]) -> list[E]:
        """Return the events of this class, sent by the test or by workflows, oldest first."""
        rows, _ = await self._service.store.events(name=event.event_name, limit=1000)
        return [loads(row.payload, self._service.registry.types) for row in reversed(rows)]


@asynccontextmanager
async def engine(
    targets: Compilation | Target | Sequence[Target],
    *,
    steps: Fakes | None = None,
    resources: Mapping[type[Any], Any] | None = None,
    start: datetime | None = None,
    skip_time: bool = False,
    on_schedule: bool = True,
    patience: float = PATIENCE,
) -> AsyncGenerator[App]:
    """Serve workflows to a test, with nothing stored and no time passing by itself.

    `targets`: a module, workflows, or names as on the command line. `steps`: see `Fakes`. `resources`: for `resource(Type)`.
    `start`: the aware moment at which the clock stands (now). `skip_time`: whether an awaited result lets the time pass.
    `on_schedule`: whether cron triggers start runs. `patience`: real seconds that steps may take between two calls.
    Raises `CompilationRefused` with the report of a module that has errors."""
    registry = Registry.from_compilation(_compilation(targets))
    recorder = Recorder(registry, steps or {})
    clock = ManualClock(microseconds(start or datetime.now(UTC)))
    alarm = HandAlarm()
    settings = Settings(db="sqlite://", host="127.0.0.1", worker=True, durability="normal", grace=0.0)
    provided = {**current_resources(), **(resources or {})}
    store = open_store(settings, clock)
    try:
        service = Service(registry, store, settings, provided, on_schedule=on_schedule, alarm=alarm, in_process=True)
        with untouched():
            async with service.running():
                time = Time(service, clock, alarm, patience)
                await time.rest()
                yield App(service, clock, time, recorder, skip_time=skip_time)
    finally:
        store.close()


def run(
    workflow: Workflow[..., R],
    /,
    *args: Any,
    events: Sequence[Event] = (),
    steps: Fakes | None = None,
    resources: Mapping[type[Any], Any] | None = None,
    start: datetime | None = None,
) -> R:
    """Run a workflow to its end and return its result, or raise what it failed with; for tests that are no coroutines.

    `events` are sent, in order, once the run has started; then the time passes, as fast as the steps allow. The other workflows
    of the module are served, too, but not on schedule. The remaining arguments are those of `engine`, and so are the errors;
    `NotEnded` for a run that waits for an event which is not among `events`."""

    async def scenario() -> R:
        module = sys.modules[workflow.fn.__module__]
        served = engine(module, steps=steps, resources=resources, start=start, skip_time=True, on_schedule=False)
        async with served as app:
            started = await app.start(workflow, *args)
            for event in events:
                await app.send(event)
            return await started.result()

    return asyncio.run(scenario())


def _compilation(targets: Compilation | Target | Sequence[Target]) -> Compilation:
    if isinstance(targets, Compilation):
        return targets
    return _compiled((targets,) if isinstance(targets, str | ModuleType | Workflow) else tuple(targets))


@lru_cache(maxsize=64)
def _compiled(targets: tuple[Target, ...]) -> Compilation:
    """Once per test session: modules do not change while tests run."""
    return compiled(targets)
