"""One function of the graph to blocks: control flow, the handler table, `finally` with a completion record.

::

    try:                          b0: suspend f() -> b1                      handler b2 in $exc1
        await f()                 b1: $done1 = ("next",); goto b3
    finally:                      b2: $done1 = ("raise", $exc1); goto b3
        await g()                 b3: suspend g() -> b4                      shielded
                                  b4: resume $done1 normal b5

The `finally` body stands once. Whatever leaves the `try` writes the record first: `("next",)`, `("raise", exception)`,
`("return", value)`, or `("jump", n)` for the n-th `break` or `continue` target. A `break` through several of them is a
chain: the `jumps[n]` block of the inner one writes the record of the outer one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from flowgraph_compiler import graph
from flowgraph_compiler.expressions import Compare, Const, Expr, Local, Matches, New, Subscript, TupleOf
from flowgraph_compiler.graph import AnyNode, Body
from flowgraph_compiler.lower.cursors import cursor
from flowgraph_compiler.lower.drafts import Drafts
from flowgraph_compiler.lower.errors import NotLowerable
from flowgraph_compiler.lower.native import native
from flowgraph_compiler.machine import (
    Action,
    Advance,
    Choose,
    CloseScope,
    Fail,
    Finish,
    OpenScope,
    Reraise,
    Resume,
    Suspend,
    Test,
    Way,
)
from flowgraph_compiler.patterns import is_irrefutable
from flowgraph_compiler.spans import Span
from flowgraph_compiler.statements import Assign

RETURN = "$return"
"""Where `Resume` puts the value of a `return` that a `finally` has held up."""


@dataclass(eq=False, slots=True)
class Loop:
    """A loop being lowered: where `break` and `continue` go."""

    leave: int
    again: int


@dataclass(eq=False, slots=True)
class Final:
    """A `try` with a `finally` being lowered: entry of the final body, its record, and who has to be served at its end."""

    entry: int
    record: str
    normal: bool = False
    returns: bool = False
    jumps: list[tuple[Loop, str]] = field(default_factory=list[tuple[Loop, str]])

    def jump(self, loop: Loop, kind: str) -> int:
        """The number of a jump in the record."""
        if (loop, kind) not in self.jumps:
            self.jumps.append((loop, kind))
        return self.jumps.index((loop, kind))


@dataclass(frozen=True, slots=True)
class Handling:
    """What a bare `raise` means: the exception in `variable`; with `final`, only if that completion record holds one."""

    variable: str
    final: str | None = None
    outer: Handling | None = None


class Flow:
    """Lowers the body of one function. `action` makes the action of a suspending node."""

    def __init__(self, action: Callable[[AnyNode], Action]) -> None:
        self.blocks = Drafts()
        self._action = action
        self._around: list[Loop | Final] = []
        self._handling: Handling | None = None
        self._numbers = count(1)

    def function(self, body: Body) -> Drafts:
        """All blocks of the function."""
        self.body(body)
        if self.blocks.open:
            self.blocks.end(Finish(None))
        return self.blocks

    def body(self, body: Body) -> None:
        """Nodes one after another; what follows a jump is dropped."""
        for node in body:
            if self.blocks.open:
                self._node(node)

    def _node(self, node: AnyNode) -> None:
        statement = None if _raises(node) else native(node)
        if statement is not None:
            self.blocks.op(statement)
        elif isinstance(node, graph.SUSPENSIONS):
            self._suspend(node)
        else:
            self._control(node)

    def _suspend(self, node: graph.Suspension) -> None:
        then = self.blocks.label()
        self.blocks.end(Suspend(self._action(node), node.result, then, ()), node.id, node.span.line)
        self.blocks.enter(then)

    def _control(self, node: AnyNode) -> None:
        match node:
            case graph.Branch():
                self._branch(node)
            case graph.Match():
                self._match(node)
            case graph.While():
                self._while(node)
            case graph.For():
                self._for(node)
            case graph.Try():
                self._try(node)
            case graph.Return(value=value):
                self._leave(value, node)
            case graph.Raise():
                self._raise(node)
            case graph.Break():
                self._jump(self._loop(), "break", node.span)
            case graph.Continue():
                self._jump(self._loop(), "continue", node.span)
            case graph.Scope():
                self._scope(node)
            case _:
                raise NotLowerable(
                    node.span, f"'{type(node).__name__}' is not in this version", "write it with if, while and try"
                )

    # --- ways

    def _test(self, test: Expr, then: int, orelse: int, node: str, span: Span) -> None:
        if isinstance(test, Const):
            self.blocks.goto(then if test.value else orelse)
        else:
            self.blocks.end(Test(test, then, orelse), node, span.line)

    def _branch(self, node: graph.Branch) -> None:
        then, after = self.blocks.label(), self.blocks.label()
        orelse = self.blocks.label() if node.orelse else after
        self._test(node.test, then, orelse, node.id, node.span)
        self._part(then, node.then, after)
        if node.orelse:
            self._part(orelse, node.orelse, after)
        self.blocks.enter_if_wanted(after)

    def _match(self, node: graph.Match) -> None:
        after = self.blocks.label()
        ways = tuple(Way(case.pattern, case.guard, self.blocks.label()) for case in node.cases)
        last = node.cases[-1]
        orelse = None if last.guard is None and is_irrefutable(last.pattern) else after
        self.blocks.end(Choose(node.subject, ways, orelse), node.id, node.span.line)
        for way, case in zip(ways, node.cases, strict=True):
            self._part(way.block, case.body, after)
        self.blocks.enter_if_wanted(after)

    def _part(self, entry: int, body: Body, after: int) -> None:
        self.blocks.enter_if_wanted(entry)
        self.body(body)
        self.blocks.goto(after)

    # --- loops

    def _while(self, node: graph.While) -> None:
        head, inner, done, leave = (self.blocks.label() for _ in range(4))
        self.blocks.enter(head)
        self.body(node.before)
        if self.blocks.open:
            self._test(node.test, inner, done, node.id, node.span)
        self._rounds(Loop(leave, head), inner, node.body)
        self._part(done, node.orelse, leave)
        self.blocks.enter_if_wanted(leave)

    def _for(self, node: graph.For) -> None:
        variable = f"$it{next(self._numbers)}"
        head, inner, done, leave = (self.blocks.label() for _ in range(4))
        self._set(variable, cursor(node.iterable), node.span)
        self.blocks.enter(head)
        self.blocks.end(Advance(variable, node.target, inner, done), node.id, node.span.line)
        self._rounds(Loop(leave, head), inner, node.body)
        self._part(done, node.orelse, leave)
        self.blocks.enter_if_wanted(leave)

    def _rounds(self, loop: Loop, inner: int, body: Body) -> None:
        with self._within(loop):
            self._part(inner, body, loop.again)

    # --- try

    def _try(self, node: graph.Try) -> None:
        if not node.final:
            self._handlers(node)
            return
        number = next(self._numbers)
        caught = f"$exc{number}"
        final = Final(self.blocks.label(), f"$done{number}")
        self._guarded(node, final, caught, lambda: self._handlers(node))
        self._finally(node, final, caught, lambda: self.body(node.final))

    def _scope(self, node: graph.Scope) -> None:
        """A `finally` whose body closes the scope; the scope is opened outside the guard, where a bad duration raises."""
        number = next(self._numbers)
        site, caught, opened = self._action(node).site, f"$exc{number}", self.blocks.label()
        final = Final(self.blocks.label(), f"$done{number}")
        self.blocks.end(Suspend(OpenScope(site, node.kind, node.duration), None, opened, ()), node.id, node.span.line)
        self.blocks.enter(opened)
        self._guarded(node, final, caught, lambda: self.body(node.body))
        self._finally(node, final, caught, lambda: self._close(node, site, final))

    def _close(self, node: graph.Scope, site: str, final: Final) -> None:
        then = self.blocks.label()
        action = CloseScope(site, node.kind, Local(final.record, node.span))
        self.blocks.end(Suspend(action, None, then, ()), node.id, node.span.line)
        self.blocks.enter(then)

    def _guarded(self, node: graph.Try | graph.Scope, final: Final, caught: str, inside: Callable[[], None]) -> None:
        """What stands before `finally`, under a guard that writes the record on an exception."""
        failed = self.blocks.label()
        outer = self.blocks.guarded(replace(self.blocks.guard, handler=failed, caught=caught))
        with self._within(final):
            inside()
            final.normal = self.blocks.open
            self._complete(final, node.span, Const("next"))
        self.blocks.guarded(outer)
        self.blocks.enter(failed)
        self._complete(final, node.span, Const("raise"), Local(caught))

    def _finally(self, node: graph.Try | graph.Scope, final: Final, caught: str, inside: Callable[[], None]) -> None:
        guard = self.blocks.guard
        outer = self.blocks.guarded(replace(guard, shields=guard.shields + 1))
        self.blocks.enter(final.entry)
        with self._handled(Handling(caught, final.record, self._handling)):
            inside()
        after = self.blocks.label() if final.normal else None
        returns = self.blocks.label() if final.returns else None
        jumps = tuple(self.blocks.label() for _ in final.jumps)
        if self.blocks.open:
            self.blocks.end(Resume(final.record, after, returns, jumps), node.id, node.span.end_line)
        self.blocks.guarded(outer)
        if returns is not None and self._reach(returns):
            self._leave(Local(RETURN), node)
        for label, (loop, kind) in zip(jumps, final.jumps, strict=True):
            if self._reach(label):
                self._jump(loop, kind, node.span)
        if after is not None:
            self.blocks.enter_if_wanted(after)

    def _reach(self, label: int) -> bool:
        self.blocks.enter_if_wanted(label)
        return self.blocks.open

    def _handlers(self, node: graph.Try) -> None:
        """`try/except/else`: the body under a guard that goes to a chain of tests, which ends by raising again."""
        if not node.handlers:
            self.body(node.body + node.orelse)
            return
        caught = f"$exc{next(self._numbers)}"
        tests, after = self.blocks.label(), self.blocks.label()
        outer = self.blocks.guarded(replace(self.blocks.guard, handler=tests, caught=caught))
        self.body(node.body)
        self.blocks.guarded(outer)
        self.body(node.orelse)
        self.blocks.goto(after)
        self.blocks.enter(tests)
        for handler in node.handlers:
            self._handler(handler, caught, after, node)
        if self.blocks.open:
            self.blocks.end(Reraise(caught), node.id, node.span.line)
        self.blocks.enter_if_wanted(after)

    def _handler(self, handler: graph.Handler, caught: str, after: int, node: graph.Try) -> None:
        if not self.blocks.open:
            return
        inner, other = self.blocks.label(), self.blocks.label()
        everything = "BaseException" in handler.names
        test: Expr = Const(True) if everything else Matches(caught, handler.names, handler.span)
        self._test(test, inner, other, node.id, handler.span)
        self.blocks.enter(inner)
        if handler.variable is not None:
            self._set(handler.variable, Local(caught), handler.span)
        with self._handled(Handling(caught, None, self._handling)):
            self.body(handler.body)
        self.blocks.goto(after)
        self.blocks.enter_if_wanted(other)

    # --- ways out

    def _leave(self, value: Expr | None, node: AnyNode) -> None:
        """Return from the function, by way of the innermost `finally` around."""
        final = next((around for around in reversed(self._around) if isinstance(around, Final)), None)
        if final is None:
            self.blocks.end(Finish(value), node.id, node.span.line)
            return
        final.returns = True
        self._complete(final, node.span, Const("return"), value or Const(None))

    def _jump(self, loop: Loop, kind: str, span: Span) -> None:
        """`break` or `continue` of a loop, by way of the innermost `finally` inside it."""
        inner = self._around[self._around.index(loop) :]
        final = next((around for around in reversed(inner) if isinstance(around, Final)), None)
        if final is None:
            self.blocks.goto(loop.leave if kind == "break" else loop.again)
        else:
            self._complete(final, span, Const("jump"), Const(final.jump(loop, kind)))

    def _raise(self, node: graph.Raise) -> None:
        if node.exception is not None:
            self.blocks.end(Fail(node.exception, node.cause), node.id, node.span.line)
        else:
            self._raise_again(self._handling, node)

    def _raise_again(self, handling: Handling | None, node: graph.Raise) -> None:
        if handling is None:
            message = Const("No active exception to reraise")
            self.blocks.end(Fail(New("RuntimeError", (message,), (), node.span), None), node.id, node.span.line)
            return
        if handling.final is not None:
            held, other = self.blocks.label(), self.blocks.label()
            kind = Subscript(Local(handling.final), Const(0))
            self._test(Compare(kind, ("==",), (Const("raise"),)), held, other, node.id, node.span)
            self.blocks.enter(other)
            self._raise_again(handling.outer, node)
            self.blocks.enter(held)
        self.blocks.end(Reraise(handling.variable), node.id, node.span.line)

    # --- small parts

    def _loop(self) -> Loop:
        return next(around for around in reversed(self._around) if isinstance(around, Loop))

    def _set(self, variable: str, value: Expr, span: Span) -> None:
        self.blocks.op(Assign((Local(variable, span),), value, span))

    def _complete(self, final: Final, span: Span, *record: Expr) -> None:
        """Write the completion record and go to the final body."""
        if self.blocks.open:
            self._set(final.record, TupleOf(record, span), span)
            self.blocks.goto(final.entry)

    @contextmanager
    def _within(self, around: Loop | Final) -> Generator[None]:
        self._around.append(around)
        yield
        self._around.pop()

    @contextmanager
    def _handled(self, handling: Handling) -> Generator[None]:
        before, self._handling = self._handling, handling
        yield
        self._handling = before


def _raises(node: AnyNode) -> bool:
    """Whether a way through the node ends in `raise`: such an end is a block, so that what cannot be reached is known."""
    if isinstance(node, graph.Branch | graph.Match):
        return any(body and _raises(body[-1]) for body in graph.bodies(node))
    return isinstance(node, graph.Raise)
