"""The runnable form of a machine: what `program` makes and the rest of the engine runs.

A block's `run(variables, records)` returns the payload of its action (SUSPEND), the value that the function returns (FINISH) or,
when it jumps (JUMP), the next block's number, or the number of a block behind it and what that one returns. An action holds what
is fixed about a suspension; what varies is the payload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from flowgraph_compiler.machine import Policy
from flowgraph_runtime.engine.variables import Variables

JUMP, SUSPEND, FINISH = range(3)


@dataclass(slots=True)
class StepAction:
    """Run a step under a complete policy; `timeout` in seconds per attempt; `undo`: its compensation in a saga."""

    site: str
    step: str
    policy: Policy
    retries: int
    timeout: float | None
    undo: StepAction | None = None


@dataclass(slots=True)
class FlowAction:
    """Push a frame of a function, which is set once all functions are built."""

    site: str
    name: str
    function: FunctionProgram | None = None


@dataclass(slots=True)
class ChildAction:
    """Start a run of another workflow and, when `awaited`, wait for its end. `order`: of the keywords in its input."""

    site: str
    workflow: str
    order: tuple[str, ...]
    awaited: bool


@dataclass(slots=True)
class SleepAction:
    """Sleep for a duration, or until a moment."""

    site: str
    until: bool


@dataclass(slots=True)
class WaitAction:
    """Wait for an event; `residual(frozen variables, records, event)` is the rest of `where`. `bound`: names that a fan-out
    binds and the residual reads."""

    site: str
    names: tuple[str, ...]
    paths: tuple[str, ...]
    residual: Callable[[Any, Any, Any], Any] | None
    frozen: tuple[str, ...]
    since_start: bool
    bound: tuple[str, ...] = ()


@dataclass(slots=True)
class SendAction:
    """Emit an event."""

    site: str


@dataclass(slots=True)
class GroupAction:
    """Branches written out. `kind` is `parallel`, `settle` or `race`."""

    site: str
    kind: str
    branches: tuple[AnyAction, ...]

    def branch(self, index: int) -> AnyAction:
        """Return the action of a branch."""
        return self.branches[index]


@dataclass(slots=True)
class FanOutAction:
    """One branch per element. `kind` is `fan_out` or `settle`."""

    site: str
    kind: str
    template: AnyAction

    def branch(self, _: int) -> AnyAction:
        """Return the action of a branch: it is the same for all."""
        return self.template


@dataclass(slots=True)
class OpenAction:
    """Enter a scope. `kind` is `timeout` or `saga`."""

    site: str
    kind: str


@dataclass(slots=True)
class CloseAction:
    """Leave the innermost scope. `record`: the variable with the completion record."""

    site: str
    kind: str
    record: str


@dataclass(slots=True)
class UndoAction:
    """The compensations of a saga that an exception leaves, in their order; not in a machine but made when it happens."""

    site: str
    calls: tuple[StepAction, ...]
    kind: str = "saga"

    def branch(self, index: int) -> AnyAction:
        """Return the action of a compensation."""
        return self.calls[index]


AnyAction: TypeAlias = (
    StepAction
    | FlowAction
    | ChildAction
    | SleepAction
    | WaitAction
    | SendAction
    | GroupAction
    | FanOutAction
    | OpenAction
    | CloseAction
)


@dataclass(slots=True, eq=False)
class BlockProgram:
    """A block: `kind` is JUMP, SUSPEND or FINISH; `action`, `result`, `next` and `live` belong to a suspension."""

    index: int
    kind: int
    handler: int | None
    caught: str | None
    shields: int
    node: str
    action: AnyAction | None = None
    result: str | None = None
    next: int = 0
    live: tuple[str, ...] = ()
    run: Callable[[Any, Any], Any] = id  # type: ignore[assignment]  # replaced when the code is compiled


@dataclass(slots=True, eq=False)
class FunctionProgram:
    """A function: `parameters` are all names, `positional` those that take positional arguments."""

    name: str
    kind: str
    parameters: tuple[str, ...]
    positional: tuple[str, ...]
    defaults: dict[str, Any]
    blocks: list[BlockProgram]

    def bind(self, arguments: Sequence[Any], keywords: dict[str, Any] | None) -> Variables:
        """Return the variables of a new frame. Raises TypeError as a call in Python does."""
        if not keywords and len(arguments) == len(self.parameters) == len(self.positional):
            return Variables(zip(self.parameters, arguments, strict=False))  # strict=True takes half as long again
        if len(arguments) > len(self.positional):
            raise TypeError(f"{self.name}() takes {len(self.positional)} positional arguments but {len(arguments)} were given")
        variables = Variables(zip(self.positional, arguments, strict=False))
        for name, value in (keywords or {}).items():
            if name not in self.parameters:
                raise TypeError(f"{self.name}() got an unexpected keyword argument '{name}'")
            if name in variables:
                raise TypeError(f"{self.name}() got multiple values for argument '{name}'")
            variables[name] = value
        for name in self.parameters:
            if name not in variables:
                variables[name] = self._default(name)
        return variables

    def _default(self, name: str) -> Any:
        if name not in self.defaults:
            raise TypeError(f"{self.name}() missing a required argument: '{name}'")
        return self.defaults[name]
