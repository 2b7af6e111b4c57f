"""What passes between a worker and where a step runs: a header line of JSON, then the codec's text of arguments or outcome.

Data is never code: a step is named, and the other side finds it by its name in modules that it imports by theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from flowgraph.codec import dumps, loads
from flowgraph.registry import TypeRegistry
from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.engine.inputs import StepDone, StepFailed


class StepExecutor(Protocol):
    """Runs attempts elsewhere, at most `slots` at once."""

    slots: int

    async def run(self, step: str, assignment: str, started: Callable[[], None]) -> str:
        """Return the text of the outcome; call `started` when the step begins. A cancelled call ends the attempt as far as it can
        be ended. Raises `StepInterrupted` when what ran the attempt was lost."""
        ...

    async def close(self) -> None:
        """End everything that was started."""
        ...


@dataclass(frozen=True, slots=True)
class Code:
    """The modules (name, file) that declare steps and classes, and the folders where Python looks for modules."""

    modules: tuple[tuple[str, str], ...]
    path: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Code:
        """Return what `to_json` wrote."""
        tree = json.loads(text)
        return cls(tuple((name, file) for name, file in tree["modules"]), tuple(tree["path"]))


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt to be made: `now` is the worker's time, in microseconds, when it was given away."""

    run_id: str
    command: RunStep
    now: int


def assignment_text(run_id: str, command: RunStep, now: int) -> str:
    """Write an assignment. Its timeout stays behind: who gave the attempt away ends it. Raises `CodecError`."""
    header = [run_id, command.serial, command.site, command.step, command.visit, command.attempt, now]
    return json.dumps(header) + "\n" + dumps((command.arguments, command.keywords), by=command.step)


def read_assignment(text: str, types: TypeRegistry) -> Assignment:
    """Read what `assignment_text` wrote. Raises `CodecError` for arguments of classes that are not known here."""
    header, _, body = text.partition("\n")
    run_id, serial, site, step, visit, attempt, now = json.loads(header)
    arguments, keywords = loads(body, types)
    return Assignment(run_id, RunStep(serial, 0, site, step, visit, attempt, arguments, keywords), now)


def outcome_text(outcome: StepDone | StepFailed) -> str:
    """Write what became of an attempt."""
    failed = None if isinstance(outcome, StepDone) else [outcome.retry_at, outcome.final]
    return json.dumps(failed) + "\n" + outcome.payload


def read_outcome(text: str, command: RunStep) -> StepDone | StepFailed:
    """Read what `outcome_text` wrote of this command's attempt."""
    header, _, payload = text.partition("\n")
    failed = json.loads(header)
    if failed is None:
        return StepDone(command.serial, command.attempt, payload)
    return StepFailed(command.serial, command.attempt, payload, *failed)
