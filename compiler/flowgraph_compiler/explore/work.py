"""One abstract run that is worked on, and how control goes from block to block: results, exceptions, returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler.explore.effects import assign
from flowgraph_compiler.explore.monitors import Happening, Monitors
from flowgraph_compiler.explore.plan import Place, Plan
from flowgraph_compiler.explore.tokens import Frame, Run, Token, block_of
from flowgraph_compiler.explore.values import Facts, Value


class NotUnderstood(Exception):
    """The run has come to something that exploration does not know; the message says what, `place` where."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class Entry:
    """One line of a trace. `site`: the action that it is about, `outcome` what came of it (`completed`, `failed`)."""

    place: Place
    text: str
    site: str = ""
    outcome: str = ""


@dataclass(frozen=True)
class Way:
    """One of several ways on: what the trace says of it (None: nothing), and what it does to the run."""

    entry: Entry | None
    take: Callable[[], None]


@dataclass(frozen=True)
class Bounds:
    """How far exploration goes. `states`: at most so many for a workflow; `branches`: a fan-out has up to so many elements;
    `own_errors`: code of the workflow itself may fail anywhere; `apart`: branches are never taken together."""

    states: int = 20_000
    branches: int = 2
    own_errors: bool = False
    apart: bool = False


@dataclass(eq=False)
class Work:
    """A run, what it belongs to, and who listens."""

    plan: Plan
    monitors: Monitors
    bounds: Bounds
    run: Run
    listen: Callable[[Happening, Place], None]

    def tell(self, kind: str, name: str, place: Place, times: int = 1) -> None:
        """Record a happening."""
        happened = Happening(kind, name, times)
        self.run.answers = self.monitors.after(self.run.answers, happened)
        self.listen(happened, place)

    def here(self, token: Token) -> Place:
        """Where a token is."""
        if token.pending is not None:
            return token.pending.place
        frame = token.frames[-1] if token.frames else Frame(self.plan.machine.functions[0].name, 0, Facts({}))
        return self.plan.place(frame.function, frame.block)

    def goto(self, frame: Frame, block: int, facts: Facts) -> None:
        """Go on in another block."""
        frame.block, frame.facts = block, facts

    def resume(self, token: Token, value: Value) -> None:
        """Give a token what it waited for."""
        token.pending = None
        if not token.frames:
            token.done = (True, value)
            return
        frame = token.frames[-1]
        end = block_of(frame, self.plan).terminator
        assert isinstance(end, m.Suspend)
        facts = self.plan.reader.kept(frame.facts, frozenset(end.live))
        if end.result is not None:
            facts = assign(e.Local(end.result), value, facts, self.plan.reader, self.plan.read[frame.function])
        self.goto(frame, end.block, facts)

    def throw(self, token: Token, error: Value) -> None:
        """Raise an exception where a token is."""
        token.pending = None
        while token.frames:
            frame = token.frames[-1]
            block = block_of(frame, self.plan)
            if block.handler is not None:
                facts = frame.facts
                if block.caught is not None:
                    facts = self.plan.reader.without(facts, block.caught).with_(block.caught, error)
                self.goto(frame, block.handler, facts)
                return
            token.frames.pop()
        token.done = (False, error)

    def finish(self, token: Token, value: Value) -> None:
        """Return from a function."""
        token.frames.pop()
        if token.frames:
            self.resume(token, value)
        else:
            token.done = (True, value)
