"""Abstract runs: tokens as the engine has them, with facts in the place of values.

A `Run` is worked on; its `frozen()` form is what exploration compares and keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flowgraph_compiler import machine as m
from flowgraph_compiler.explore.monitors import Answers, Status
from flowgraph_compiler.explore.plan import Place, Plan
from flowgraph_compiler.explore.values import Error, Facts, Value

UNTOUCHED, ASKED, DELIVERED = range(3)
"""Cancellation of a token, as in the engine: not at all; at its next wait outside a `finally`; done."""

Frozen: TypeAlias = tuple[Any, ...]


@dataclass(slots=True, eq=False)
class Frame:
    """One call: function, block, and what is known."""

    function: str
    block: int
    facts: Facts


@dataclass(slots=True, eq=False)
class Leaf:
    """A token waits for the action by itself. `begun` is False until the branch's first suspension is reached. `abandoned`: its
    outcome is not used. `unseen`: no invariant tells anything of what the branch does, so that only its end counts; `others`: how
    many more such branches of the group it stands for."""

    action: m.Action
    place: Place
    begun: bool = True
    abandoned: bool = False
    unseen: bool = False
    others: int = 0


@dataclass(slots=True, eq=False)
class GroupWait:
    """A token waits for its branches. `children` that have ended are None; `queued`: branches that wait for the limit."""

    action: m.Group | m.FanOutGroup
    place: Place
    children: list[Token | None]
    queued: int = 0
    outcome: str = ""
    failed: bool = False
    failure: Value = None

    @property
    def kind(self) -> str:
        """`parallel`, `fan_out`, `settle` or `race`."""
        return self.action.kind

    @property
    def running(self) -> list[Token]:
        """The branches that have begun and not ended."""
        return [child for child in self.children if child is not None]


@dataclass(slots=True, eq=False)
class Token:
    """One thread of control; `often`: it stands for two branches or more; `done`: it has ended so, and its group does not know
    yet."""

    frames: list[Frame] = field(default_factory=list[Frame])
    pending: Leaf | GroupWait | None = None
    cancel: int = UNTOUCHED
    often: bool = False
    done: tuple[bool, Value] | None = None
    parent: Token | None = None
    index: int = 0

    def shielded(self, plan: Plan) -> bool:
        """Whether it is inside a `finally`."""
        return any(block_of(frame, plan).shields for frame in self.frames)

    def frozen(self) -> Frozen:
        """Its comparable form."""
        frames = tuple((frame.function, frame.block, frame.facts) for frame in self.frames)
        return frames, _frozen_pending(self.pending), self.cancel, self.often, self.done

    def live(self) -> Iterator[Token]:
        """The token and those of its branches that have not ended, in order."""
        yield self
        if isinstance(self.pending, GroupWait):
            for child in self.pending.children:
                if child is not None:
                    yield from child.live()


@dataclass(slots=True, eq=False)
class Run:
    """A run: `phase` is `body`, `failure`, `cancel` (in a handler) or `ended`; `answers` is its history."""

    main: Token
    answers: Answers
    phase: str = "body"
    cancelled: bool = False
    status: Status = "running"

    def frozen(self) -> Frozen:
        """Its comparable form."""
        main = () if self.phase == "ended" else self.main.frozen()
        return main, self.answers, self.phase, self.cancelled, self.status


def block_of(frame: Frame, plan: Plan) -> m.Block:
    """The block that is next or that waits."""
    return plan.functions[frame.function].blocks[frame.block]


# --- freezing and thawing


class ActionRef:
    """Stands for an action in frozen forms: compared by what it is, hashed by where it was found."""

    __slots__ = ("action",)

    def __init__(self, action: m.Action) -> None:
        self.action = action

    def __hash__(self) -> int:
        return id(self.action)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionRef) and other.action is self.action


def _frozen_pending(pending: Leaf | GroupWait | None) -> Frozen | None:
    match pending:
        case Leaf():
            return ActionRef(pending.action), pending.place, pending.begun, pending.abandoned, pending.unseen, pending.others
        case GroupWait():
            children = tuple(None if child is None else child.frozen() for child in pending.children)
            decided = pending.outcome, pending.failed, pending.failure
            return ActionRef(pending.action), pending.place, children, pending.queued, decided
        case None:
            return None


def thawed(frozen: Frozen) -> Run:
    """A run to work on."""
    main, answers, phase, cancelled, status = frozen
    return Run(_thawed(main, None, 0) if main else Token(), answers, phase, cancelled, status)


def _thawed(frozen: Frozen, parent: Token | None, index: int) -> Token:
    frames, pending, cancel, often, done = frozen
    token = Token([Frame(*frame) for frame in frames], None, cancel, often, done, parent, index)
    if pending is not None:
        is_leaf = isinstance(pending[2], bool)
        token.pending = Leaf(pending[0].action, *pending[1:]) if is_leaf else _thawed_group(pending, token)
    return token


def _thawed_group(frozen: Frozen, token: Token) -> GroupWait:
    ref, place, children, queued, decided = frozen
    thawn = [None if child is None else _thawed(child, token, index) for index, child in enumerate(children)]
    return GroupWait(ref.action, place, thawn, queued, *decided)


def is_ordinary(error: Value) -> bool:
    """Whether `except Exception` takes it: all but `Cancelled`; what is not known is taken for a step's error."""
    return not isinstance(error, Error) or error.names is None or "Exception" in error.names
