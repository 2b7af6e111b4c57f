"""The other side: imports the author's modules, finds a step by its name, runs one attempt and gives its outcome as text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import Any, NoReturn

from flowgraph.errors import CodecError, NotInStep
from flowgraph_compiler.reader import read
from flowgraph_compiler.source import import_file, source_of
from flowgraph_runtime.engine.inputs import StepDone, StepFailed
from flowgraph_runtime.executors.assignments import Assignment, Code, outcome_text, read_assignment
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.steps import StepRunner, encoded_error


class Performer:
    """The steps of imported modules. Raises whatever the import of a module raises."""

    def __init__(self, code: Code) -> None:
        modules = [source_of(import_file(name, file)) for name, file in code.modules]
        application, _ = read([module for module in modules if module is not None])
        self._registry = Registry(application, {})

    def perform(self, assignment: str) -> str:
        """Make the attempt; nothing that the step raises gets past here."""
        try:
            assigned = read_assignment(assignment, self._registry.types)
        except CodecError as error:  # of other code than this: somebody is deploying
            refused = RuntimeError(f"the arguments cannot be read where the step runs, by the code that is there: {error}")
            return outcome_text(StepFailed(0, 0, encoded_error(refused)))
        return outcome_text(asyncio.run(self._outcome(assigned)))

    async def _outcome(self, assigned: Assignment) -> StepDone | StepFailed:
        runner = StepRunner(self._registry.steps, _GivenClock(assigned.now), _Inline(), _OutOfReach(assigned.command.step))
        begun = runner.begin(assigned.run_id, assigned.command)
        return begun if isinstance(begun, StepDone | StepFailed) else await begun


class _GivenClock:
    """The worker's clock, as far as it is known here: its time when it gave the attempt away, and what has passed since."""

    def __init__(self, given: int) -> None:
        self._ahead = given - time.monotonic_ns() // 1000

    def now(self) -> int:
        return self._ahead + time.monotonic_ns() // 1000


class _Inline(Executor):
    """Runs a plain function at once: there is nothing else to do meanwhile."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class _OutOfReach(Mapping[type[Any], Any]):
    """The application's resources, seen from outside its process."""

    def __init__(self, step: str) -> None:
        self._step = step

    def __contains__(self, kind: object) -> bool:
        self._refuse(kind)

    def __getitem__(self, kind: type[Any]) -> Any:
        self._refuse(kind)

    def __iter__(self) -> Iterator[type[Any]]:
        return iter(())

    def __len__(self) -> int:
        return 1  # `resources or {}` keeps it

    def _refuse(self, kind: object) -> NoReturn:
        raise NotInStep(
            f"no resource {getattr(kind, '__name__', kind)}: step '{self._step}' runs outside the application's process; open"
            " what it needs in the step, or leave out 'executor='"
        )
