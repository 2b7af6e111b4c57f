"""Blocks under construction: terminators hold labels, which `tidy` turns into block numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flowgraph_compiler.jumps import successors
from flowgraph_compiler.machine import Block, Goto, Terminator
from flowgraph_compiler.statements import Statement


@dataclass(frozen=True, slots=True)
class Guard:
    """What all blocks of one stretch of code share: where an exception goes, and how many `finally` bodies they are in."""

    handler: int | None = None
    caught: str | None = None
    shields: int = 0


@dataclass(slots=True)
class Draft:
    """A block whose jumps are labels: indices into `Drafts.all`."""

    guard: Guard = Guard()
    ops: list[Statement] = field(default_factory=list[Statement])
    terminator: Terminator | None = None
    node: str = ""
    line: int = 0

    def block(self) -> Block:
        """The finished block."""
        assert self.terminator is not None
        lines = (*(op.span.line for op in self.ops), self.line)
        guard = self.guard
        return Block(tuple(self.ops), self.terminator, guard.handler, guard.caught, guard.shields, self.node, lines)


class Drafts:
    """The blocks of one function in the order in which their code stands in the source."""

    def __init__(self) -> None:
        self.all: list[Draft] = []
        self.order: list[int] = []
        self.guard = Guard()
        self._current: Draft | None = None
        self._wanted: set[int] = set()
        self.enter(self.label())

    @property
    def open(self) -> bool:
        """Whether code that comes next can be reached."""
        return self._current is not None

    def label(self) -> int:
        """A block to be, for jumps forward."""
        self.all.append(Draft())
        return len(self.all) - 1

    def enter(self, label: int) -> None:
        """Go on in the block of the label; what came before falls through to it."""
        if self.open:
            self.goto(label)
        self._current = self.all[label]
        self._current.guard = self.guard
        self.order.append(label)

    def enter_if_wanted(self, label: int) -> None:
        """Go on in the block of the label if anything jumps there; else what comes next cannot be reached."""
        if self.open or label in self._wanted:
            self.enter(label)

    def guarded(self, guard: Guard) -> Guard:
        """Put what comes next under another guard; gives the one before."""
        before, self.guard = self.guard, guard
        if self.open and guard != before:
            self.enter(self.label())
        return before

    def op(self, statement: Statement) -> None:
        """Add a statement to the current block."""
        assert self._current is not None
        self._current.ops.append(statement)

    def end(self, terminator: Terminator, node: str = "", line: int = 0) -> None:
        """Close the current block."""
        assert self._current is not None
        self._current.terminator, self._current.node, self._current.line = terminator, node, line
        self._wanted.update(successors(terminator))
        self._current = None

    def goto(self, label: int) -> None:
        """Jump, if the end of the code so far can be reached."""
        if self.open:
            self.end(Goto(label))


def edges(draft: Draft) -> Iterable[int]:
    """All ways out of a block, the handler last."""
    assert draft.terminator is not None
    yield from successors(draft.terminator)
    if draft.guard.handler is not None:
        yield draft.guard.handler
