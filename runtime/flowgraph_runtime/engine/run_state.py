"""The state of a run between two inputs: what `decide` updates in place and a snapshot stores."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.engine.tokens import ChildPending, GroupPending, Pending, StepPending, TimeoutScope, Token, WaitPending
from flowgraph_runtime.engine.values import copied_call

BODY, FAILURE_HANDLER, CANCEL_HANDLER, ENDED = "body", "on_failure", "on_cancel", "ended"
"""Phases of a run: its body, then a handler where there is one."""


class RunState:
    """All that is known about a run between two inputs.

    `seq` numbers the journal rows from 1, 0 is the start; `at` is the time of the last input; `visits` counts the calls per site;
    `attempt` counts the retries of the whole run, from 1;
    `timeouts` are the open `async with timeout(...)` blocks of all tokens, by the serials of their timers;
    `trigger` is the codec text of the arguments, kept for the handlers; `error` is what a handler was called for."""

    __slots__ = (
        "at", "attempt", "backing_off", "cancel_reason", "error", "event_id", "executing", "main", "next_serial", "next_token",
        "pending", "phase", "run_id", "seq", "started", "started_at", "status", "timeouts", "trigger", "visits", "waiting",
        "watches",
    )  # fmt: skip

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.seq = 0
        self.at = 0
        self.attempt = 1
        self.next_serial = 1
        self.next_token = 1
        self.visits: dict[str, int] = {}
        self.phase = BODY
        self.cancel_reason: str | None = None
        self.trigger = "[]"
        self.error: BaseException | None = None
        self.started = False
        self.started_at = 0
        self.event_id: str | None = None
        self.main = Token(0)
        self.watches: list[Token] = []
        self.pending: dict[int, Pending] = {}
        self.timeouts: dict[int, TimeoutScope] = {}
        self.executing = 0
        self.backing_off = 0
        self.waiting = 0
        self.status = "queued"

    @classmethod
    def new(cls, run_id: str) -> RunState:
        """Return the state of a run that has not started."""
        return cls(run_id)

    def new_serial(self) -> int:
        """Return the number of the next suspension."""
        serial = self.next_serial
        self.next_serial = serial + 1
        return serial

    def new_token(self, group: GroupPending, index: int) -> Token:
        """Return a token for a branch."""
        token = Token(self.next_token, group, index)
        self.next_token += 1
        group.children[index] = token
        return token

    def new_watch(self) -> Token:
        """Return a token that waits for an event which cancels the run."""
        token = Token(self.next_token, watch=True)
        self.next_token += 1
        self.watches.append(token)
        return token

    def suspend(self, pending: Pending) -> None:
        """Let the token wait."""
        self.pending[pending.serial] = pending
        pending.token.pending = pending
        self.count(pending, 1)

    def release(self, pending: Pending) -> None:
        """The token waits no longer."""
        del self.pending[pending.serial]
        pending.token.pending = None
        self.count(pending, -1)

    def release_step(self, pending: StepPending) -> None:
        """The attempt has ended and is not made again."""
        del self.pending[pending.serial]
        pending.token.pending = None
        self.executing -= 1

    def count(self, pending: Pending, change: int) -> None:
        """Keep the numbers that the status is made of."""
        if isinstance(pending, StepPending):
            if pending.executing:
                self.executing += change
            else:
                self.backing_off += change
        elif isinstance(pending, WaitPending | ChildPending) and not pending.token.watch:
            self.waiting += change

    def current_status(self) -> str:
        """Return the run's status while it is not over (architecture page, "Statuses")."""
        if self.cancel_reason is not None:
            return "cancelling"
        if self.executing or self.backing_off:
            return "running"
        return "waiting" if self.waiting else "sleeping"

    def outstanding(self) -> list[RunStep]:
        """Return the attempts that were executing when the state was stored: whoever takes the run over runs them."""
        waiting = self.pending.values()
        return [run_step(pending) for pending in waiting if isinstance(pending, StepPending) and pending.executing]

    def tokens(self) -> Iterator[Token]:
        """All live tokens, parents first, in the order of their branches."""
        stack = [self.main]
        while stack:
            token = stack.pop()
            yield token
            if isinstance(token.pending, GroupPending):
                stack.extend(reversed(token.pending.children.values()))


def run_step(pending: StepPending) -> RunStep:
    """Return the command that runs the current attempt: with copies of the arguments, made together, that nobody else holds."""
    action, step = pending.action, pending.action.step
    arguments, keywords = copied_call(pending.arguments, pending.keywords, step)
    token, visit, attempt = pending.token.id, pending.visit, pending.attempt
    return RunStep(pending.serial, token, action.site, step, visit, attempt, arguments, keywords, action.timeout)
