"""Forward analysis over the structured tree: what holds before and after each node, on every path.

An analysis says what a simple node, a test, a loop target and a handler do to its state; this walker knows the control flow:
loops run to a fixpoint, a handler starts from any point of its `try` body, and a `finally` body is walked once for each way of
entering it, so that what holds on the normal way is not blurred by the exceptional ones. A state of None: not reachable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from flowgraph_compiler.expressions import Expr
from flowgraph_compiler.graph import (
    AnyNode,
    Body,
    Branch,
    Break,
    Case,
    Continue,
    FanOut,
    For,
    Handler,
    Match,
    Parallel,
    Raise,
    Return,
    Scope,
    Try,
    While,
    walk,
)

S = TypeVar("S")
_Round: TypeAlias = Callable[[S], tuple[S | None, S | None]]
ROUNDS = 8
"""Rounds of a loop before `widen` is asked to give up on what still changes."""


@dataclass
class Exits(Generic[S]):
    """The joined states that leave a body by each way other than its end."""

    broken: S | None = None
    continued: S | None = None
    returned: S | None = None
    raised: S | None = None


class Forward(ABC, Generic[S]):
    """Subclass it with the `abstract` transfer functions, then call `run`.

    A round of a loop before its fixpoint may record what does not hold: `mark` says how that is taken back."""

    def __init__(self) -> None:
        self.exits: Exits[S] = Exits()
        self.reached: set[str] = set()

    def mark(self) -> Callable[[], None]:
        """What takes back all that will have been recorded from here on; by default nothing is recorded."""
        return _nothing

    @abstractmethod
    def join(self, left: S, right: S) -> S:
        """What holds where two paths meet."""

    @abstractmethod
    def simple(self, node: AnyNode, state: S) -> S | None:
        """The effect of a node without bodies of its own, `Return` and `Raise` included; None when it never goes on."""

    @abstractmethod
    def test(self, node: Branch | While, expr: Expr, state: S) -> tuple[S | None, S | None]:
        """The states where a condition holds and where it does not."""

    @abstractmethod
    def subject(self, node: Match, state: S) -> S:
        """The effect of evaluating the subject of a `match`, once."""

    @abstractmethod
    def case(self, node: Match, case: Case, state: S) -> tuple[S | None, S | None]:
        """The states where a case is taken and where the next one is tried: its pattern failed, or only its guard."""

    @abstractmethod
    def bind(self, node: For, state: S) -> S:
        """The effect of taking an item: the loop's targets are assigned."""

    @abstractmethod
    def caught(self, handler: Handler, state: S) -> S:
        """The state at the start of a handler."""

    def widen(self, before: S, after: S) -> S:  # noqa: ARG002  (a lattice of finite height needs nothing)
        """Give up on what still changes after `ROUNDS` rounds."""
        return after

    def iterable(self, node: For, state: S) -> S:  # noqa: ARG002  (few analyses care)
        """The effect of evaluating the iterable of a `for`, once."""
        return state

    def after_branch(self, node: Branch, then: S | None, orelse: S | None) -> S | None:  # noqa: ARG002
        """The state after an `if`, from the ends of its two sides."""
        return self.either(then, orelse)

    def exhausted(self, node: Match, state: S | None) -> S | None:  # noqa: ARG002
        """The state where no case of a `match` was taken; None when types say that one always is."""
        return state

    def either(self, left: S | None, right: S | None) -> S | None:
        """`join` for states that may be unreachable."""
        if left is None or right is None:
            return right if left is None else left
        return self.join(left, right)

    def run(self, body: Body, state: S) -> S | None:
        """Analyse a function's body; the state at its end, None when every path leaves it before."""
        return self.walk(body, state)

    def walk(self, body: Body, state: S | None) -> S | None:
        """The state after a body."""
        for node in body:
            if state is None:
                return None
            self.reached.add(node.id)
            state = self.visit(node, state)
        return state

    def visit(self, node: AnyNode, state: S) -> S | None:
        """The state after one node."""
        match node:
            case Branch():
                return self._branch(node, state)
            case Match():
                return self._match(node, state)
            case While():
                return self._while(node, state)
            case For():
                return self._for(node, state)
            case Try():
                return self._try(node, state)
            case Scope():
                return self.walk(node.body, self._leaf(node, state))
            case _:
                return self._leaf(node, state)

    def _leaf(self, node: AnyNode, state: S) -> S | None:
        self.exits.raised = self.either(self.exits.raised, state)
        if isinstance(node, Parallel | FanOut):
            self.reached.update(inner.id for inner in walk((node,)))
        after = self.simple(node, state)
        match node:
            case Break():
                self.exits.broken = self.either(self.exits.broken, after)
            case Continue():
                self.exits.continued = self.either(self.exits.continued, after)
            case Return():
                self.exits.returned = self.either(self.exits.returned, after)
            case Raise():
                self.exits.raised = self.either(self.exits.raised, after)
            case _:
                return after
        return None

    def _branch(self, node: Branch, state: S) -> S | None:
        self.exits.raised = self.either(self.exits.raised, state)
        holds, fails = self.test(node, node.test, state)
        return self.after_branch(node, self.walk(node.then, holds), self.walk(node.orelse, fails))

    def _match(self, node: Match, state: S) -> S | None:
        self.exits.raised = self.either(self.exits.raised, state)
        left: S | None = self.subject(node, state)
        end: S | None = None
        for case in node.cases:
            if left is None:
                break
            taken, left = self.case(node, case, left)
            self.exits.raised = self.either(self.exits.raised, self.either(taken, left))
            end = self.either(end, self.walk(case.body, taken))
        return self.either(end, self.exhausted(node, left))

    # --- loops

    def _while(self, node: While, entry: S) -> S | None:
        def round_(head: S) -> tuple[S | None, S | None]:
            state = self.walk(node.before, head)
            if state is None:
                return None, None
            self.exits.raised = self.either(self.exits.raised, state)
            holds, fails = self.test(node, node.test, state)
            return self.walk(node.body, holds), fails

        return self._loop(node, entry, round_)

    def _for(self, node: For, entry: S) -> S | None:
        self.exits.raised = self.either(self.exits.raised, entry)

        def round_(head: S) -> tuple[S | None, S | None]:
            return self.walk(node.body, self.bind(node, head)), head

        return self._loop(node, self.iterable(node, entry), round_)

    def _loop(self, node: While | For, entry: S, round_: _Round[S]) -> S | None:
        outer, head, exhausted = self.exits, entry, None
        for count in range(ROUNDS * 2 + 1):
            take_back = self.mark()
            self.exits = Exits(returned=outer.returned, raised=outer.raised)
            end, exhausted = round_(head)
            new = self.either(entry, self.either(end, self.exits.continued))
            if new is None or new == head or count == ROUNDS * 2:
                break
            take_back()
            head = new if count < ROUNDS else self.widen(head, new)
        inner = self.exits
        outer.raised, outer.returned = inner.raised, inner.returned
        self.exits = outer
        return self.either(self.walk(node.orelse, exhausted), inner.broken)

    # --- try

    def _try(self, node: Try, state: S) -> S | None:
        outer = self.exits
        body = self.exits = Exits(raised=state)
        end = self.walk(node.body, state)
        rest = self.exits = Exits()
        ends = self.walk(node.orelse, end)
        for handler in node.handlers:
            start = None if body.raised is None else self.caught(handler, body.raised)
            ends = self.either(ends, self.walk(handler.body, start))
        self.exits = outer
        leaving = Exits(
            self.either(body.broken, rest.broken),
            self.either(body.continued, rest.continued),
            self.either(body.returned, rest.returned),
            rest.raised if catches_all(node) else self.either(body.raised, rest.raised),
        )
        self._leave(node, leaving)
        return self.walk(node.final, ends)

    def _leave(self, node: Try, leaving: Exits[S]) -> None:
        """Send each way of leaving the `try` through its `finally` body, then on to the enclosing statement."""
        for way in ("broken", "continued", "returned", "raised"):
            after = self.walk(node.final, getattr(leaving, way))
            setattr(self.exits, way, self.either(getattr(self.exits, way), after))


def _nothing() -> None:
    pass


def catches_all(node: Try) -> bool:
    """Whether some handler takes every exception."""
    return any("BaseException" in handler.names for handler in node.handlers)
