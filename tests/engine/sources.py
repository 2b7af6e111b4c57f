"""Workflows as text, compiled by the real pipeline, and a hand on one run's inputs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from flowgraph.codec import dumps
from flowgraph_compiler.diagnostics import Level
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import from_text
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.inputs import Input, Started, StepDone, StepFailed, TimerFired
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.state import RunState
from tests.engine.driver import START, registry_of

PRELUDE = """
from __future__ import annotations
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pydantic import BaseModel
from flowgraph import Backoff, Cancelled, Event, NonRetriable, RetryAfter, now, parallel, run_info, saga, send, sleep
from flowgraph import sleep_until, step, step_context, subflow, timeout, uuid, wait_for, workflow

CALLS: list[str] = []

class Ping(Event, name="ping"):
    n: int
    text: str = ""

@step
async def note(text: str) -> str:
    CALLS.append(text)
    return text

@step
async def add(a: int, b: int = 1) -> int:
    CALLS.append(f"add {a} {b}")
    return a + b

@step(retries=0)
async def fail(text: str) -> int:
    CALLS.append(f"fail {text}")
    raise ValueError(text)

@step(retries=2)
async def flaky(succeeds_at: int) -> int:
    CALLS.append(f"flaky {step_context().attempt}")
    if step_context().attempt < succeeds_at:
        raise ValueError(f"attempt {step_context().attempt}")
    return step_context().attempt
"""

_NUMBERS = itertools.count()


def compiled(body: str) -> Compilation:
    """Compile a module of `PRELUDE` and the body, which must be clean."""
    compilation = compile_application([from_text(PRELUDE + body, f"engine_case_{next(_NUMBERS)}")])
    errors = [found for found in compilation.diagnostics if (found.level or found.rule.level) is Level.ERROR]
    assert not errors, errors
    return compilation


def calls_of(compilation: Compilation) -> list[str]:
    """What the steps of the prelude have noted."""
    return list(vars(compilation.application.modules[0].module)["CALLS"])


def members(compilation: Compilation) -> dict[str, Any]:
    """The module's names."""
    return vars(compilation.application.modules[0].module)


class Hand:
    """One run whose inputs are given one by one, a second apart."""

    def __init__(self, compilation: Compilation, workflow: str = "flow", args: Sequence[object] = ()) -> None:
        self.program = Program.load(compilation.machines[workflow], registry_of(compilation.application))
        self.state = RunState.new("run_01HAND")
        self.at = START
        self.commands: list[c.Command] = []
        self.last = self.give(Started(dumps(list(args))))

    def give(self, given: Input) -> c.Decision:
        """Decide one input."""
        self.last = decide(self.program, self.state, given, self.at)
        self.commands += self.last.commands
        self.at += 1_000_000
        return self.last

    def done(self, step: str, value: object = None) -> c.Decision:
        """Let the oldest running attempt of a step return."""
        command = self.running(step)
        return self.give(StepDone(command.serial, command.attempt, dumps(value)))

    def failed(self, step: str, error: BaseException, *, final: bool = False, retry_at: int | None = None) -> c.Decision:
        """Let the oldest running attempt of a step raise."""
        command = self.running(step)
        return self.give(StepFailed(command.serial, command.attempt, dumps(error), retry_at, final))

    def fire(self, kind: str) -> c.Decision:
        """Let the newest timer of a kind fire."""
        timers = [command for command in self.commands if isinstance(command, c.SetTimer) and command.kind == kind]
        return self.give(TimerFired(timers[-1].serial))

    def running(self, step: str) -> c.RunStep:
        """The command of the oldest running attempt of a step."""
        return next(command for command in self.state.outstanding() if command.step == step)

    def steps(self) -> list[str]:
        """The steps that execute."""
        return [command.step for command in self.state.outstanding()]
