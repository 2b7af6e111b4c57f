"""Branches of a direct run: where each one is suspended, and how a cancellation reaches it.

A branch is what a token is in a machine: the body, or one call of a group. Cancelling never throws into running code: it is
asked of a branch, and raised as `Cancelled` at the branch's wait, unless the branch is cleaning up.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType
from typing import Any, Literal, Protocol, TypeVar

from flowgraph.errors import Cancelled, NotInRun
from flowgraph.finally_lines import running_in_finally, suspended_in_finally

T = TypeVar("T")
Waiting = Literal["wait", "step", "children"]

_BRANCH: ContextVar[Branch | None] = ContextVar("flowgraph_branch", default=None)
_BOUNDARIES: set[CodeType] = set()


class Request:
    """One cancellation asked of a branch.

    With `interrupt` a running async attempt is stopped at its next await, else it is let finish. A `final` one ends the branch
    (a timeout's ends only its block): after it no timeout counts, and once it has been delivered nothing more can be asked.
    `shields`: the clean-ups around that block, which do not hold it up.
    """

    def __init__(self, *, interrupt: bool, final: bool = True) -> None:
        self.interrupt = interrupt
        self.final = final
        self.shields = 0
        self.delivered = False


class Children(Protocol):
    """What a branch that waits for children can do about them."""

    def cancel(self, *, interrupt: bool) -> None:
        """Ask it of every child."""


class Branch:
    """One line of execution in a direct run."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.shields = 0
        self.resumed = False
        self.coroutine: Any = None
        self._kind: Waiting = "wait"
        self._future: Future[Any] | None = None
        self._children: Children | None = None

    async def run(self, call: Awaitable[T]) -> T:
        """Await `call` as this branch, in a task of its own."""
        self.coroutine = call
        _BRANCH.set(self)
        return await call

    async def suspend(self, future: Future[T], kind: Waiting, children: Children | None = None) -> T:
        """Await `future`; a cancellation that was asked before or meanwhile is raised instead of what the future brings."""
        self._deliver_or(future.cancel)
        self._kind, self._future, self._children = kind, future, children
        try:
            result = await future
        except BaseException:
            self.deliver()
            raise
        finally:
            self._future = self._children = None
            self.resumed = True
        self.deliver()
        return result

    def ask(self, request: Request) -> None:
        """Ask the branch to end: its children first, then at its own wait; later when it is cleaning up."""
        if any(known.final and (known.delivered or not request.final) for known in self.requests):
            return
        self.requests.append(request)
        if self._future is None or self.shields + suspended_in_finally(self.coroutine) > request.shields:
            return
        if self._kind == "children" and self._children is not None:
            self._children.cancel(interrupt=request.interrupt)
        elif self._kind == "wait" or request.interrupt:
            self._future.cancel()

    def deliver(self) -> None:
        """Raise `Cancelled` for the oldest request that has not been delivered and that no clean-up holds up."""
        asked = [request for request in self.requests if not request.delivered]
        if not asked:
            return
        shields = self.cleaning_up()
        request = next((request for request in asked if shields <= request.shields), None)
        if request is None:
            return
        for known in self.requests if request.final else [request]:
            known.delivered = known.delivered or known.final or known is request
        raise Cancelled

    def cleaning_up(self) -> int:
        """Return how many clean-ups the branch, which is running, is in."""
        return self.shields + running_in_finally(frozenset(_BOUNDARIES))

    def _deliver_or(self, give_up: Any) -> None:
        try:
            self.deliver()
        except Cancelled:
            give_up()
            raise

    @contextmanager
    def shielded(self) -> Generator[None, None, None]:
        """Let the block, a clean-up, run to its end whatever is asked."""
        self.shields += 1
        try:
            yield
        finally:
            self.shields -= 1


def boundary(code: CodeType) -> None:
    """Declare a function in which a branch's own code begins, for the look outwards."""
    _BOUNDARIES.add(code)


boundary(Branch.run.__code__)


def current_branch(what: str) -> Branch:
    """Return the running branch. Raises `NotInRun`, naming `what` was called, outside a run."""
    branch = _BRANCH.get()
    if branch is None:
        raise NotInRun(f"{what} is called outside a workflow run: call it in the body of a @workflow or @subflow")
    return branch


@contextmanager
def branch_scope(branch: Branch | None) -> Generator[None, None, None]:
    """Make `branch` the running one for the block; None hides it, as inside a step."""
    token = _BRANCH.set(branch)
    try:
        yield
    finally:
        _BRANCH.reset(token)


async def pause(branch: Branch, seconds: float) -> None:
    """Suspend `branch` for a time, at once when it is not positive."""
    loop = asyncio.get_running_loop()
    future: Future[None] = loop.create_future()
    timer = loop.call_later(max(seconds, 0), _resolve, future)
    try:
        await branch.suspend(future, "wait")
    finally:
        timer.cancel()


def _resolve(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)
