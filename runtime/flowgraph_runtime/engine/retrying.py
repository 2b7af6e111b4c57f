"""When a failed attempt is made again."""

from __future__ import annotations

from zlib import crc32

from flowgraph_compiler.backoffs import delay
from flowgraph_compiler.machine import Policy
from flowgraph_runtime.engine.commands import SetTimer
from flowgraph_runtime.engine.inputs import StepFailed
from flowgraph_runtime.engine.run_state import run_step
from flowgraph_runtime.engine.tokens import StepPending
from flowgraph_runtime.engine.turn import Turn

_SECOND = 1_000_000


def may_retry(pending: StepPending, given: StepFailed) -> bool:
    """Whether the policy allows another attempt after this one."""
    return not given.final and given.attempt - pending.tried <= pending.action.retries


def back_off(turn: Turn, pending: StepPending, given: StepFailed) -> None:
    """Set the timer of the next attempt: `RetryAfter`'s moment, else the policy's delay with jitter."""
    state = turn.state
    due = given.retry_at
    if due is None:
        chance = crc32(f"{state.run_id}/{pending.serial}/{given.attempt}".encode()) / 2**32
        due = turn.at + round(delay_before(pending.action.policy, given.attempt - pending.tried, chance) * _SECOND)
    state.count(pending, -1)
    pending.executing = False
    state.count(pending, 1)
    pending.since, pending.due = turn.at, max(due, turn.at)
    turn.commands.append(SetTimer(pending.serial, pending.due, "backoff"))


def next_attempt(turn: Turn, pending: StepPending) -> None:
    """Run the step again, with fresh copies of its arguments."""
    state = turn.state
    state.count(pending, -1)
    pending.executing = True
    state.count(pending, 1)
    pending.attempt += 1
    pending.since = turn.at
    turn.commands.append(run_step(pending))


def delay_before(policy: Policy, retry: int, chance: float) -> float:
    """Return the seconds before retry number `retry` (from 1); `chance` in [0, 1) spreads it by +- `jitter` of itself."""
    spread = 1 + (policy.jitter or 0.0) * (2 * chance - 1)
    return min(delay(policy, retry) * spread, policy.max or 0.0)
