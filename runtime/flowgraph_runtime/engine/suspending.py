"""Begins the actions of suspensions: each `begin` registers what the token waits for and says what is to be committed.

A `begin` returns `SUSPENDED`, `ENTERED` (a frame was pushed), or the value of an action that goes on at once. An exception that
it raises is raised at the await.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from flowgraph import Event
from flowgraph.codec import copy_value, dumps
from flowgraph.durations import aware, parse_duration
from flowgraph.events import EventMeta, attach_meta, meta_of
from flowgraph.fan_outs import check_fan_out
from flowgraph_runtime.engine.blocks import (
    AnyAction,
    ChildAction,
    FanOutAction,
    FlowAction,
    GroupAction,
    SendAction,
    SleepAction,
    StepAction,
    WaitAction,
)
from flowgraph_runtime.engine.commands import ClearTimer, CloseWait, EmitEvent, OpenWait, SetTimer, StartRun
from flowgraph_runtime.engine.run_state import run_step
from flowgraph_runtime.engine.tokens import (
    ChildPending,
    Frame,
    GroupPending,
    SleepPending,
    StepPending,
    Token,
    WaitPending,
)
from flowgraph_runtime.engine.turn import BEGIN, EPOCH, Turn
from flowgraph_runtime.engine.variables import Variables, captured
from flowgraph_runtime.keys import key_text

SUSPENDED = object()
ENTERED = object()

_MICROSECOND = timedelta(microseconds=1)


def begin_step(turn: Turn, token: Token, action: StepAction, payload: Any) -> object:
    """Run a step: the call's arguments are copied together for each attempt, so an attempt cannot change the next one's."""
    state, site, serial = turn.state, action.site, turn.state.next_serial
    visit = state.visits.get(site, 0) + 1
    arguments, keywords = payload
    pending = StepPending(serial, token, turn.at, action, visit, arguments, keywords)
    turn.commands.append(run_step(pending))
    state.next_serial = serial + 1
    state.visits[site] = visit
    state.pending[serial] = token.pending = pending
    state.executing += 1
    return SUSPENDED


def begin_flow(_: Turn, token: Token, action: FlowAction, payload: Any) -> object:
    """Push a frame of a subflow, with copies of the arguments."""
    arguments, keywords = copy_value(payload, by=action.name)
    assert action.function is not None
    token.frames.append(Frame(action.function, 0, action.function.bind(arguments, keywords)))
    return ENTERED


def begin_sleep(turn: Turn, token: Token, action: SleepAction, payload: Any) -> object:
    """Set a timer; one that is due already fires at once."""
    due = (aware(payload) - EPOCH) // _MICROSECOND if action.until else turn.at + parse_duration(payload) // _MICROSECOND
    pending = SleepPending(turn.state.new_serial(), token, turn.at, action, due)
    turn.state.suspend(pending)
    turn.commands.append(SetTimer(pending.serial, due, "sleep"))
    return SUSPENDED


def begin_wait(turn: Turn, token: Token, action: WaitAction, payload: Any) -> object:
    """Open a wait and, with a timeout, set its deadline."""
    values, timeout, bound = payload
    keys = tuple((path, key_text(value)) for path, value in zip(action.paths, values, strict=True))
    due = None if timeout is None else turn.at + parse_duration(timeout) // _MICROSECOND
    pending = WaitPending(turn.state.new_serial(), token, turn.at, action, _frozen(token, action, bound), due)
    turn.state.suspend(pending)
    turn.commands.append(OpenWait(pending.serial, action.names, keys, action.since_start))
    if due is not None:
        turn.commands.append(SetTimer(pending.serial, due, "deadline"))
    return SUSPENDED


def _frozen(token: Token, action: WaitAction, bound: tuple[Any, ...]) -> Variables:
    """The variables that the residual reads. Their frame waits as long as the wait is open, so nothing changes them."""
    own = {captured(name): value for name, value in zip(action.bound, bound, strict=True)}
    while not token.frames:
        assert token.group is not None
        token = token.group.token
    variables = token.frames[-1].variables
    return Variables({name: variables[name] for name in action.frozen if name in variables} | own)


def begin_send(turn: Turn, _: Token, action: SendAction, payload: Any) -> object:
    """Emit a copy of the event; nobody waits."""
    if not isinstance(payload, Event):
        raise TypeError(f"send() at '{action.site}' needs an event, not {type(payload).__name__!r}")
    turn.commands.append(EmitEvent(turn.new_id("evt_"), copy_value(payload), action.site))
    return None


def begin_child(turn: Turn, token: Token, action: ChildAction, payload: Any) -> object:
    """Start a run of another workflow."""
    state = turn.state
    run_id, text = turn.new_id("run_"), dumps(_run_input(turn, action, payload))
    if not action.awaited:
        turn.commands.append(StartRun(run_id, action.workflow, text, None, action.site))
        return run_id
    pending = ChildPending(state.new_serial(), token, turn.at, action, run_id)
    state.suspend(pending)
    turn.commands.append(StartRun(run_id, action.workflow, text, pending.serial, action.site))
    return SUSPENDED


def _run_input(turn: Turn, action: ChildAction, payload: Any) -> list[Any]:
    """The arguments, the called workflow's own. An event that nobody has received is received by the run."""
    arguments, keywords = copy_value(payload, by=action.workflow)
    given = [*arguments, *(keywords[name] for name in action.order)]
    for value in given:
        if isinstance(value, Event) and meta_of(value) is None:
            attach_meta(value, EventMeta(turn.new_id("evt_"), value.event_name, turn.now(), turn.state.run_id))
    return given


def begin_group(turn: Turn, token: Token, action: GroupAction | FanOutAction, payload: Any) -> object:
    """Make the child tokens; they begin when the tokens that are ready before them have run."""
    prepared = _prepared(action, payload)
    limit: Any
    payloads: Sequence[Any]
    limit, payloads = (None, prepared) if isinstance(action, GroupAction) else prepared[1:]
    count = len(payloads)
    if not count:
        return () if isinstance(action, GroupAction) else []
    pending = GroupPending(turn.state.new_serial(), token, turn.at, action, [None] * count, [None] * count)
    turn.state.suspend(pending)
    pending.waiting.extend(enumerate(payloads))
    for _ in range(count if limit is None else min(limit, count)):
        begin_next(turn, pending)
    return SUSPENDED


def _prepared(action: AnyAction, payload: Any) -> Any:
    """A branch's payload with the arguments of its call copied: they are evaluated, and refused, in the parent."""
    match action:
        case StepAction() | ChildAction():
            return copy_value(payload, by=action.site)
        case FlowAction():
            arguments, keywords = copy_value(payload, by=action.name)
            assert action.function is not None
            action.function.bind(arguments, keywords)
            return arguments, keywords
        case GroupAction():
            return tuple(_prepared(action.branch(index), part) for index, part in enumerate(payload))
        case FanOutAction():
            _, limit, parts = payload
            prepared = [_prepared(action.template, part) for part in parts]
            check_fan_out(len(parts), limit)
            return None, limit, prepared
        case _:
            return payload


def begin_next(turn: Turn, group: GroupPending) -> None:
    """Let the group's next branch begin."""
    index, payload = group.waiting.popleft()
    turn.ready.append((BEGIN, turn.state.new_token(group, index), payload))


def withdraw(turn: Turn, pending: SleepPending | WaitPending | StepPending) -> None:
    """Take back what a sleep, a wait or a retry has registered."""
    serial = pending.serial
    turn.state.release(pending)
    if isinstance(pending, WaitPending):
        turn.commands.append(CloseWait(serial))
    if not isinstance(pending, WaitPending) or pending.due is not None:
        turn.commands.append(ClearTimer(serial))


BEGINNERS: dict[type, Callable[[Turn, Token, Any, Any], object]] = {
    StepAction: begin_step,
    FlowAction: begin_flow,
    SleepAction: begin_sleep,
    WaitAction: begin_wait,
    SendAction: begin_send,
    ChildAction: begin_child,
    GroupAction: begin_group,
    FanOutAction: begin_group,
}
