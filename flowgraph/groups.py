"""Groups of a direct run: `parallel`, `fan_out`, `settle`, `race`, and a child run as a group of one."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from asyncio import Future, Task
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from typing import Any, Literal

from flowgraph.branches import Branch, Request
from flowgraph.errors import Cancelled, add_other_failure
from flowgraph.outcomes import Err, Ok

Rule = Literal["all", "each", "first"]


class Group:
    """Calls that run at the same time, as branches of `parent`.

    The rule says what an outcome means: with `all` the first failure stops the rest, with `each` nothing does, with `first`
    any outcome does. Without a limit every branch reaches its first suspension before an outcome is looked at: the loop runs
    tasks in the order of their creation.
    """

    def __init__(self, calls: Sequence[Awaitable[Any]], rule: Rule, limit: int | None = None) -> None:
        self._calls = calls
        self._rule = rule
        self._limit = len(calls) if limit is None else limit
        self._context = contextvars.copy_context()
        self._running: dict[int, tuple[Branch, Task[Any]]] = {}
        self._started = 0
        self._decided = False
        self._ended: list[int] = []
        self._outcomes: dict[int, Task[Any]] = {}
        self._over: Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, parent: Branch) -> None:
        """Run the calls to their end, clean-up of cancelled ones included."""
        try:
            self._fill()
            await parent.suspend(self._over, "children", self)
        finally:
            self._abandon()

    def cancel(self, *, interrupt: bool) -> None:
        """Drop the branches not started and ask the others to end."""
        self._drop_unstarted()
        for branch, _ in list(self._running.values()):
            branch.ask(Request(interrupt=interrupt))
        self._finish_if_over()

    def results(self) -> list[Any]:
        """Return the results in argument order, or raise the first failure with the others as notes."""
        failures = [error for error in (_failure(self._outcomes[index]) for index in self._ended) if error is not None]
        if failures:
            raise _first_with_notes(failures)
        return [self._outcomes[index].result() for index in range(len(self._calls))]

    def settled(self) -> list[Ok[Any] | Err]:
        """Return every outcome in argument order."""
        return [_settled(self._outcomes[index]) for index in range(len(self._calls))]

    def winner(self) -> Any:
        """Return the result of the branch that ended first, or raise its error with those of the others as notes."""
        first = self._outcomes[self._ended[0]]
        return first.result() if _failure(first) is None else self.results()

    def _fill(self) -> None:
        while self._started < len(self._calls) and len(self._running) < self._limit:
            index, self._started = self._started, self._started + 1
            branch = Branch()
            task = asyncio.get_running_loop().create_task(self._run(index, branch), context=self._context.copy())
            self._running[index] = (branch, task)
            task.add_done_callback(functools.partial(self._end, index))
        self._finish_if_over()

    async def _run(self, index: int, branch: Branch) -> Any:
        """Run a call. An end after a suspension decides now, before what others are to hear at the same moment; one without any
        decides when all have begun."""
        try:
            result = await branch.run(self._calls[index])
        except BaseException as error:
            if branch.resumed:
                self._decide(index, error)
            raise
        if branch.resumed:
            self._decide(index, None)
        return result

    def _end(self, index: int, task: Task[Any]) -> None:
        del self._running[index]
        self._ended.append(index)
        self._outcomes[index] = task
        self._decide(index, _failure(task))  # looked at in any case: asyncio complains about failures that nobody reads
        self._fill()

    def _decide(self, index: int, error: BaseException | None) -> None:
        """Stop the others when the end of a branch decides, which the first does that may."""
        if self._decided or not self._decides(error):
            return
        self._decided = True
        self._drop_unstarted()
        for other, (branch, _) in list(self._running.items()):
            if other != index:
                branch.ask(Request(interrupt=self._rule == "first"))

    def _decides(self, error: BaseException | None) -> bool:
        return self._rule == "first" or (error is not None and (self._rule == "all" or not isinstance(error, Exception)))

    def _drop_unstarted(self) -> None:
        while self._started < len(self._calls):
            close(self._calls[self._started])
            self._started += 1

    def _finish_if_over(self) -> None:
        if not self._running and self._started == len(self._calls) and not self._over.done():
            self._over.set_result(None)

    def _abandon(self) -> None:
        """Stop what still runs when the group is left by a cancellation from outside asyncio."""
        self._drop_unstarted()
        for _, task in self._running.values():
            task.cancel()


def _failure(task: Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _settled(task: Task[Any]) -> Ok[Any] | Err:
    error = _failure(task)
    if error is None:
        return Ok(task.result())
    if isinstance(error, Exception):
        return Err(error)
    raise error


def _first_with_notes(failures: list[BaseException]) -> BaseException:
    first, *others = failures
    for other in others:
        if not isinstance(other, Cancelled):
            add_other_failure(first, other)
    return first


def close(call: Awaitable[Any]) -> None:
    """Drop a call that will not be made."""
    if isinstance(call, Task):
        call.cancel()
    elif isinstance(call, Coroutine):
        call.close()


def collect(calls: Iterable[Awaitable[Any]]) -> list[Awaitable[Any]]:
    """Make all calls of a generator (their arguments are evaluated now); when one fails, drop the others."""
    made: list[Awaitable[Any]] = []
    try:
        for call in calls:
            made.append(call)  # noqa: PERF402  # the ones made so far are dropped on an error
    except BaseException:
        for call in made:
            close(call)
        raise
    return made
