"""What a run consists of between two inputs: tokens, each a stack of frames, and what each of them waits for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from msgspec import Struct

from flowgraph_runtime.engine.blocks import (
    BlockProgram,
    ChildAction,
    FanOutAction,
    FunctionProgram,
    GroupAction,
    SleepAction,
    StepAction,
    UndoAction,
    WaitAction,
)
from flowgraph_runtime.engine.variables import Variables
from flowgraph_runtime.factories import list_of

UNTOUCHED, ASKED, DELIVERED = range(3)
"""Cancellation of a token: not at all; to be delivered at its next wait outside a `finally`; done."""

UNDECIDED, LOST, CANCELLED, WON = "", "lost", "cancelled", "won"


@dataclass(slots=True, eq=False)
class Frame:
    """One call: the function, the block that is next or that waits, the variables."""

    function: FunctionProgram
    block: int
    variables: Variables

    @property
    def current(self) -> BlockProgram:
        """The block that is next or that waits."""
        return self.function.blocks[self.block]


@dataclass(slots=True, eq=False)
class Token:
    """One thread of control. A branch belongs to a `group`, where it has an `index`; it has no frames while its own action
    is a step, a sleep, a wait or a group. A `watch` waits beside the main token for an event that cancels the run. `scopes` are
    those that it is in, innermost last; `expired` those of them whose `Cancelled` is still to be delivered, oldest first."""

    id: int
    group: GroupPending | None = None
    index: int = 0
    frames: list[Frame] = field(default_factory=list_of(Frame))
    pending: Pending | None = None
    cancel: int = UNTOUCHED
    watch: bool = False
    scopes: list[OpenScope] | tuple[()] = ()
    expired: list[TimeoutScope] | tuple[()] = ()

    def shields(self) -> int:
        """How many `finally` bodies it is in."""
        return sum(frame.function.blocks[frame.block].shields for frame in self.frames)


@dataclass(slots=True, eq=False)
class TimeoutScope:
    """The block of a timeout of `length` microseconds. `shields`: the `finally` bodies around it, which do not hold up its own
    deadline; `fired`: it has passed; `delivered`: `Cancelled` was raised."""

    token: Token
    serial: int
    length: int
    shields: int
    fired: bool = False
    delivered: bool = False


@dataclass(slots=True)
class Completed:
    """A call that a saga may have to undo: its compensation, the journal row of its end, copies of its arguments."""

    undo: StepAction
    order: int
    arguments: tuple[Any, ...]
    keywords: dict[str, Any] | None


@dataclass(slots=True, eq=False)
class SagaScope:
    """The block of a saga, with the calls that completed in it, in their order."""

    done: list[Completed] = field(default_factory=list["Completed"])


OpenScope: TypeAlias = TimeoutScope | SagaScope


class StepPending(Struct, eq=False):
    """A step that executes, or whose retry waits until `due`. `abandoned`: its attempt may finish, nobody uses the outcome.
    `tried`: attempts before the run was retried by hand, which gave the step all its retries anew."""

    serial: int
    token: Token
    since: int
    action: StepAction
    visit: int
    arguments: tuple[Any, ...]
    keywords: dict[str, Any] | None
    attempt: int = 1
    executing: bool = True
    abandoned: bool = False
    due: int = 0
    tried: int = 0


class SleepPending(Struct, eq=False):
    """A sleep until `due`."""

    serial: int
    token: Token
    since: int
    action: SleepAction
    due: int


class WaitPending(Struct, eq=False):
    """An open wait. `frozen`: the variables that its residual reads. `due`: its deadline or None."""

    serial: int
    token: Token
    since: int
    action: WaitAction
    frozen: Variables
    due: int | None


class ChildPending(Struct, eq=False):
    """A child run. `abandoned`: it was asked to cancel."""

    serial: int
    token: Token
    since: int
    action: ChildAction
    run_id: str
    abandoned: bool = False


@dataclass(slots=True, eq=False)
class GroupPending:
    """A group whose branches run. `children`: the live ones by index; `waiting`: the payloads of those not started yet.

    `outcome` is empty while nothing is decided, then `lost` (a branch failed), `won` (a race, by `winner` or `failure`) or
    `cancelled`; the group ends when its last branch has. `references[i]`: the journal row that holds result i, or None."""

    serial: int
    token: Token
    since: int
    action: GroupAction | FanOutAction | UndoAction
    results: list[Any]
    references: list[int | None]
    children: dict[int, Token] = field(default_factory=dict[int, Token])
    waiting: deque[tuple[int, Any]] = field(default_factory=deque[tuple[int, Any]])
    outcome: str = UNDECIDED
    winner: Any = None
    failure: BaseException | None = None
    others: list[BaseException] = field(default_factory=list[BaseException])


Pending: TypeAlias = StepPending | SleepPending | WaitPending | ChildPending | GroupPending
