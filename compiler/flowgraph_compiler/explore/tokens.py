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


@dataclass(frozen=True, slots=True)
class Undo:
    """A completed call that a saga may have to undo; `often`: and others of the same site."""

    action: m.CallStep
    often: bool = False


@dataclass(slots=True, eq=False)
class Scope:
    """An `async with` that the token is in. `done`: what a saga would undo. `shields`: the `finally` bodies around a timeout;
    `fired`: its deadline has passed, `delivered`: and `Cancelled` was raised for it."""

    kind: str
    place: Place
    shields: int = 0
    done: tuple[Undo, ...] = ()
    fired: bool = False
    delivered: bool = False

    def add(self, undo: Undo) -> None:
        """Keep one more call. Of one site two are kept, the newer for all that came after."""
        same = [known for known in self.done if known.action is undo.action]
        if len(same) > 1:
            self.done = tuple(known for known in self.done if known is not same[-1])
            undo = Undo(undo.action, often=True)
        self.done = (*self.done, undo)

    def frozen(self) -> Frozen:
        """Its comparable form."""
        done = tuple((ActionRef(undo.action), undo.often) for undo in self.done)
        return self.kind, self.place, self.shields, done, self.fired, self.delivered


@dataclass(slots=True, eq=False)
class GroupWait:
    """A token waits for its branches. `kind` is that of the action, or `undo` for the compensations of a saga. `children` that
    have ended are None; `queue`: branches that wait for the limit, or for the one before."""

    kind: str
    place: Place
    children: list[Token | None]
    queue: list[tuple[m.Action, bool]] = field(default_factory=list[tuple[m.Action, bool]])
    outcome: str = ""
    failed: bool = False
    failure: Value = None

    @property
    def running(self) -> list[Token]:
        """The branches that have begun and not ended."""
        return [child for child in self.children if child is not None]


@dataclass(slots=True, eq=False)
class Token:
    """One thread of control; `often`: it stands for two branches or more; `done`: it has ended so, and its group does not know
    yet. `scopes` are those that it is in, innermost last; `expired`: the indexes of those whose `Cancelled` is to come."""

    frames: list[Frame] = field(default_factory=list[Frame])
    pending: Leaf | GroupWait | None = None
    cancel: int = UNTOUCHED
    often: bool = False
    done: tuple[bool, Value] | None = None
    scopes: list[Scope] = field(default_factory=list[Scope])
    expired: tuple[int, ...] = ()
    parent: Token | None = None
    index: int = 0

    def shields(self, plan: Plan) -> int:
        """How many `finally` bodies it is in."""
        return sum(block_of(frame, plan).shields for frame in self.frames)

    def frozen(self) -> Frozen:
        """Its comparable form."""
        scopes = tuple(scope.frozen() for scope in self.scopes)
        frames = tuple((frame.function, frame.block, frame.facts) for frame in self.frames)
        return frames, _frozen_pending(self.pending), self.cancel, self.often, self.done, scopes, self.expired

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
            queue = tuple((ActionRef(action), often) for action, often in pending.queue)
            return pending.kind, pending.place, children, queue, decided
        case None:
            return None


def thawed(frozen: Frozen) -> Run:
    """A run to work on."""
    main, answers, phase, cancelled, status = frozen
    return Run(_thawed(main, None, 0) if main else Token(), answers, phase, cancelled, status)


def _thawed(frozen: Frozen, parent: Token | None, index: int) -> Token:
    frames, pending, cancel, often, done, scopes, expired = frozen
    opened = [_thawed_scope(scope) for scope in scopes]
    token = Token([Frame(*frame) for frame in frames], None, cancel, often, done, opened, expired, parent, index)
    if pending is not None:
        is_leaf = isinstance(pending[2], bool)
        token.pending = Leaf(pending[0].action, *pending[1:]) if is_leaf else _thawed_group(pending, token)
    return token


def _thawed_group(frozen: Frozen, token: Token) -> GroupWait:
    kind, place, children, queue, decided = frozen
    thawn = [None if child is None else _thawed(child, token, index) for index, child in enumerate(children)]
    return GroupWait(kind, place, thawn, [(ref.action, often) for ref, often in queue], *decided)


def _thawed_scope(frozen: Frozen) -> Scope:
    kind, place, shields, done, fired, delivered = frozen
    return Scope(kind, place, shields, tuple(Undo(ref.action, often) for ref, often in done), fired, delivered)


# --- symmetry


def canonical(frozen: Frozen) -> Frozen:
    """The same for states that differ only in which of several like branches has come how far: what invariants are asked about
    are steps, not the places where they are called."""
    main, *rest = frozen
    return (canonical_token(main) if main else main, *rest)


def canonical_token(token: Frozen | None) -> Frozen | None:
    """The canonical form of one token; None is a branch that has ended."""
    if token is None or token[1] is None:
        return token
    frames, pending, *rest = token
    if isinstance(pending[2], bool):
        return frames, (_kind_of(pending[0].action), *pending[2:]), *rest
    kind, place, children, *others = pending
    likes = tuple(sorted(map(canonical_token, children), key=hash))
    return frames, (kind, place, likes, *others), *rest


def _kind_of(action: m.Action) -> object:
    if not isinstance(action, m.CallStep):
        return ActionRef(action)
    undo = action.compensation
    return action.step, action.policy.timeout is None, None if undo is None else undo.step


def is_ordinary(error: Value) -> bool:
    """Whether `except Exception` takes it: all but `Cancelled`; what is not known is taken for a step's error."""
    return not isinstance(error, Error) or error.names is None or "Exception" in error.names
