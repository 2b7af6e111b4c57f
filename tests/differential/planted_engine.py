"""Mistakes of the engine, planted: see `planted`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from flowgraph_runtime.engine import cancelling, cursors, decide, ending, groups, names, retrying, running, state, suspending
from flowgraph_runtime.engine.blocks import FlowAction, SleepAction, StepAction, WaitAction
from flowgraph_runtime.engine.commands import OpenWait
from flowgraph_runtime.engine.inputs import EventOffered, StepFailed
from flowgraph_runtime.engine.tokens import GroupPending, WaitPending
from flowgraph_runtime.engine.turn import Turn

Patch = pytest.MonkeyPatch


# --- steps


def retries_are_one_too_few(patch: Patch) -> None:
    """`retries=2` makes two attempts."""

    def fewer(pending: Any, given: StepFailed) -> bool:
        return not given.final and given.attempt < pending.action.retries

    patch.setattr(decide, "may_retry", fewer)


def final_failures_are_retried(patch: Patch) -> None:
    """`NonRetriable` is retried like any exception."""
    patch.setattr(decide, "may_retry", lambda pending, given: given.attempt <= pending.action.retries)


def attempts_are_forgotten(patch: Patch) -> None:
    """The number of an attempt is not stored, so each is the first."""
    step = state._Reader.step

    def first(self: Any, token: Any, parts: list[Any]) -> Any:
        pending = step(self, token, parts)
        if not pending.executing:
            pending.attempt = 1
        return pending

    patch.setitem(state._READERS, "step", first)


def visits_begin_again(patch: Patch) -> None:
    """The visit numbers of steps are not stored: a loop uses an idempotency key twice."""
    read = state._Reader.read

    def forgetful(self: Any, document: Any) -> Any:
        return read(self, {**document, "visits": {}})

    patch.setattr(state._Reader, "read", forgetful)


def failures_name_no_step(patch: Patch) -> None:
    """`error.flowgraph` does not say which step failed."""
    attach = decide.attach_failure
    patch.setattr(decide, "attach_failure", lambda error, step, attempts, run_id: attach(error, None, 0, run_id))


def branches_share_their_arguments(patch: Patch) -> None:
    """The arguments of a branch are not copied when the group begins."""
    prepared = suspending._prepared

    def shared(action: Any, payload: Any) -> Any:
        return payload if isinstance(action, StepAction | FlowAction) else prepared(action, payload)

    patch.setattr(suspending, "_prepared", shared)


def arguments_are_copied_one_by_one(patch: Patch) -> None:
    """What two arguments of a call share is two things in the subflow."""
    copy = suspending.copy_value

    def apart(value: Any, by: str = "") -> Any:
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], tuple):
            return tuple(copy(each, by=by) for each in value[0]), {k: copy(v, by=by) for k, v in (value[1] or {}).items()}
        return copy(value, by=by)

    patch.setattr(suspending, "copy_value", apart)


# --- records


def uuids_repeat(patch: Patch) -> None:
    """`uuid()` gives the same twice in one transition."""
    patch.setattr(Turn, "uuid", lambda self: UUID(int=self.state.seq))


def times_go_on(patch: Patch) -> None:
    """`now()` is not what the journal holds: it is later each time it is asked."""
    now = Turn.now
    asked: list[int] = []

    def later(self: Any) -> Any:
        asked.append(1)
        return now(self).replace(microsecond=999_999 - len(asked) % 1000)

    patch.setattr(Turn, "now", later)


# --- waits and events


def early_events_are_lost(patch: Patch) -> None:
    """A wait is offered only what comes after it was opened."""
    patch.setattr(suspending, "OpenWait", lambda serial, names_, keys, since_start: OpenWait(serial, names_, keys, False))


def since_now_is_ignored(patch: Patch) -> None:
    """`since="now"` is offered what came before, too."""
    patch.setattr(suspending, "OpenWait", lambda serial, names_, keys, since_start: OpenWait(serial, names_, keys, True))


def events_are_taken_twice(patch: Patch) -> None:
    """An event that a wait took is offered to the next one."""
    offered = decide._event_offered

    def untaken(turn: Any, given: Any, decision: Any) -> bool:
        heard = offered(turn, given, decision)
        decision.taken = None
        return heard

    patch.setitem(decide._HANDLERS, EventOffered, untaken)


def younger_waits_come_first(patch: Patch) -> None:
    """Of several waits that an event fits the newest takes it."""
    offered = decide._event_offered

    def backwards(turn: Any, given: Any, decision: Any) -> bool:
        return offered(turn, EventOffered(given.event_id, given.serials[::-1], given.payload), decision)

    patch.setitem(decide._HANDLERS, EventOffered, backwards)


def predicates_always_hold(patch: Patch) -> None:
    """The part of `where` that the index cannot answer is not asked."""
    patch.setattr(decide, "_accepts", lambda turn, pending, event: (True, None))


def keys_are_ignored(patch: Patch) -> None:
    """The equalities of `where` are not asked."""
    begin = suspending.begin_wait

    def keyless(turn: Any, token: Any, action: Any, payload: Any) -> object:
        first = len(turn.commands)
        outcome = begin(turn, token, action, payload)
        turn.commands[first] = OpenWait(turn.commands[first].serial, action.names, (), action.since_start)
        return outcome

    patch.setitem(running.BEGINNERS, WaitAction, keyless)


def failing_predicates_say_no(patch: Patch) -> None:
    """An error in `where` is not raised at the wait."""
    accepts = decide._accepts
    patch.setattr(decide, "_accepts", lambda turn, pending, event: (accepts(turn, pending, event)[0], None))


def deadlines_are_twice_as_long(patch: Patch) -> None:
    """A wait hears what comes after its deadline."""
    begin, parse = suspending.begin_wait, suspending.parse_duration

    def long(turn: Any, token: Any, action: Any, payload: Any) -> object:
        values, timeout, bound = payload
        return begin(turn, token, action, (values, None if timeout is None else parse(timeout) * 30, bound))

    patch.setitem(running.BEGINNERS, WaitAction, long)


def sleeps_are_short(patch: Patch) -> None:
    """Sleeps take a minute at most."""
    begin, parse = suspending.begin_sleep, suspending.parse_duration

    def short(turn: Any, token: Any, action: Any, payload: Any) -> object:
        return begin(turn, token, action, payload if action.until else parse(payload) / 60)

    patch.setitem(running.BEGINNERS, SleepAction, short)


def predicates_read_nothing(patch: Patch) -> None:
    """The variables that `where` reads are not stored with the wait."""
    wait = state._Writer.wait
    patch.setitem(state._WRITERS, WaitPending, lambda self, x: [*wait(self, x)[:4], {}])


# --- groups


def groups_end_with_their_first(patch: Patch) -> None:
    """The parent goes on when one branch has ended."""
    ended = groups.branch_ended

    def first(turn: Any, token: Any, ok: bool, value: Any, reference: Any) -> None:
        group = token.group
        ended(turn, token, ok, value, reference)
        if group.children and group.outcome == "" and group.token.pending is group:
            groups._end(turn, group)

    patch.setattr(decide, "branch_ended", first)


def the_last_failure_is_raised(patch: Patch) -> None:
    """A group raises the failure that came last."""
    patch.setattr(groups, "_with_notes", lambda error, others: others[-1] if others else error)


def later_failures_are_dropped(patch: Patch) -> None:
    """Failures after the first one are not noted."""
    patch.setattr(groups, "_with_notes", lambda error, others: error)


def results_of_groups_are_lists(patch: Patch) -> None:
    """`parallel` gives a list."""
    end = groups._end

    def as_list(turn: Any, group: Any) -> None:
        end(turn, group)
        what, token, value = turn.ready.pop()
        turn.ready.append((what, token, list(value) if isinstance(value, tuple) else value))

    patch.setattr(groups, "_end", as_list)


def branches_begin_backwards(patch: Patch) -> None:
    """The last branch begins first."""

    def begin(turn: Any, group: Any) -> None:
        index, payload = group.waiting.pop()
        turn.ready.append((suspending.BEGIN, turn.state.new_token(group, index), payload))

    patch.setattr(suspending, "begin_next", begin)


def limits_count_what_has_ended(patch: Patch) -> None:
    """A limited fan-out begins no branch after its first ones."""
    patch.setattr(groups, "begin_next", lambda turn, group: group.waiting.clear() or (group.children or groups._end(turn, group)))


def outcomes_of_groups_are_lost(patch: Patch) -> None:
    """A stored group does not know that a branch has failed."""
    write = state._Writer.group

    def forgetful(self: Any, x: Any) -> list[Any]:
        written = write(self, x)
        return [*written[:3], "", None, [], *written[6:]]

    patch.setitem(state._WRITERS, GroupPending, forgetful)


def noted_failures_are_lost(patch: Patch) -> None:
    """A stored group forgets the failures after the first."""
    write = state._Writer.group
    patch.setitem(state._WRITERS, GroupPending, lambda self, x: [*(w := write(self, x))[:5], [], *w[6:]])


def results_refer_to_the_wrong_row(patch: Patch) -> None:
    """The result of a branch is looked up one row before."""
    result = state._Reader._result

    def other(self: Any, group: Any, index: int, found: Any) -> None:
        if found is not None and found[0] is not None:
            others = sorted(self._payloads)
            found = [others[others.index(found[0]) - 1]]
        result(self, group, index, found)

    patch.setattr(state._Reader, "_result", other)


# --- cancellation


def shielded_cancels_are_forgotten(patch: Patch) -> None:
    """A cancellation that a `finally` has held up is never raised."""
    patch.setattr(running, "_deliver_asked", lambda token, action: None)


def cancels_are_not_stored(patch: Patch) -> None:
    """Whether a token is to be cancelled is not stored."""
    token = state._Reader._token

    def forgetful(self: Any, document: Any, *rest: Any, **more: Any) -> Any:
        return token(self, {**document, "cancel": 0}, *rest, **more)

    patch.setattr(state._Reader, "_token", forgetful)


def cancelled_tokens_skip_their_clean_up(patch: Patch) -> None:
    """`Cancelled` ends a token without its `finally`."""

    def drop(turn: Any, token: Any) -> None:
        token.frames.clear()
        deliver(turn, token)

    deliver = cancelling.deliver_cancel
    patch.setattr(cancelling, "deliver_cancel", drop)


def cancels_go_to_the_parent_only(patch: Patch) -> None:
    """The branches of a cancelled group go on."""

    def alone(turn: Any, group: Any, *, interrupt: bool) -> None:
        group.outcome = "cancelled"
        group.waiting.clear()

    patch.setattr(cancelling, "cancel_group", alone)


# --- handlers of the run


def failure_handlers_do_not_run(patch: Patch) -> None:
    """`on_failure` is not called."""

    def silent(turn: Any, error: BaseException) -> None:
        ending._end_failed(turn, "failed", error)

    patch.setattr(ending, "_failed", silent)


def cancel_handlers_do_not_run(patch: Patch) -> None:
    """`on_cancel` is not called."""
    patch.setattr(ending, "_cancelled", lambda turn, error: ending._end_failed(turn, "cancelled", error))


def failing_handlers_are_silent(patch: Patch) -> None:
    """The error of a handler is not noted."""
    ended = ending._handler_ended
    patch.setattr(ending, "_handler_ended", lambda turn, failure: ended(turn, None))


# --- frames


def exceptions_match_by_exact_name(patch: Patch) -> None:
    """A handler takes its own class only, no subclass."""
    patch.setitem(names._GIVEN, "matches", lambda error, wanted: type(error).__name__ in wanted)


def temporaries_are_not_stored(patch: Patch) -> None:
    """What stands left of an await is forgotten when the state is stored."""
    frame = state._Writer._frame

    def forgetful(self: Any, x: Any) -> list[Any]:
        function, block, variables, kept = frame(self, x)
        return [function, block, {n: None if n[0] == "$" and n[1].isdigit() else v for n, v in variables.items()}, kept]

    patch.setattr(state._Writer, "_frame", forgetful)


def callers_forget_their_place(patch: Patch) -> None:
    """After a subflow the caller goes on with the subflow's variables."""
    finished = running._finished

    def mixed(turn: Any, token: Any, value: Any) -> bool:
        inner = token.frames[-1].variables
        goes_on = finished(turn, token, value)
        if goes_on and len(token.frames) > 0:
            own = token.frames[-1].variables
            own.update({name: each for name, each in inner.items() if name in own and name[0] != "$"})
        return goes_on

    patch.setattr(running, "_finished", mixed)


def errors_skip_the_callers_handlers(patch: Patch) -> None:
    """What a subflow raises passes the handlers of its caller."""
    caught = running._caught

    def past(turn: Any, token: Any, error: BaseException) -> bool:
        if len(token.frames) > 1 and token.frames[-1].current.handler is None:
            del token.frames[:-1]
        return caught(turn, token, error)

    patch.setattr(running, "_caught", past)


# --- cursors


def enumerations_begin_again(patch: Patch) -> None:
    """The number of an `enumerate` is not stored."""

    def restore(self: Any, position: list[Any]) -> None:
        self._index = 0

    patch.setattr(cursors.Enumerated, "restore", restore)


def reversed_lists_turn_round(patch: Patch) -> None:
    """A stored `reversed` goes forward."""
    restore = cursors.OverList.restore

    def turned(self: Any, position: Any) -> None:
        restore(self, position)
        self.kind = "iter"

    patch.setattr(cursors.OverList, "restore", turned)


def views_begin_again(patch: Patch) -> None:
    """The position in a dict, text, tuple or range is not stored."""
    _begin_again(patch, cursors.Simple)
    _begin_again(patch, cursors.Fixed)


def _begin_again(patch: Patch, cls: type[cursors.Cursor]) -> None:
    restore = cls.restore
    patch.setattr(cls, "restore", lambda self, position: restore(self, [0, position[1], False]))


def zips_go_on_apart(patch: Patch) -> None:
    """The iterators of a stored `zip` begin again."""
    reopen = cursors.reopen_cursor

    def again(kind: str, operands: list[Any], position: Any) -> Any:
        if kind == "zip":
            operands = [cursors._over(each.kind, each.operands[0]) for each in operands]
        return reopen(kind, operands, position)

    patch.setattr(state, "reopen_cursor", again)


def retries_share_their_arguments(patch: Patch) -> None:
    """An attempt gets the arguments as the one before it has left them."""
    run_step = retrying.run_step

    def shared(pending: Any) -> Any:
        command = run_step(pending)
        pending.arguments = command.arguments
        return command

    patch.setattr(retrying, "run_step", shared)
    patch.setattr(suspending, "run_step", shared)


PLANTS: tuple[Callable[[Patch], None], ...] = (
    retries_are_one_too_few,
    final_failures_are_retried,
    attempts_are_forgotten,
    visits_begin_again,
    failures_name_no_step,
    branches_share_their_arguments,
    arguments_are_copied_one_by_one,
    uuids_repeat,
    times_go_on,
    early_events_are_lost,
    since_now_is_ignored,
    events_are_taken_twice,
    younger_waits_come_first,
    predicates_always_hold,
    keys_are_ignored,
    failing_predicates_say_no,
    deadlines_are_twice_as_long,
    sleeps_are_short,
    predicates_read_nothing,
    groups_end_with_their_first,
    the_last_failure_is_raised,
    later_failures_are_dropped,
    results_of_groups_are_lists,
    branches_begin_backwards,
    limits_count_what_has_ended,
    outcomes_of_groups_are_lost,
    noted_failures_are_lost,
    results_refer_to_the_wrong_row,
    shielded_cancels_are_forgotten,
    cancels_are_not_stored,
    cancelled_tokens_skip_their_clean_up,
    cancels_go_to_the_parent_only,
    failure_handlers_do_not_run,
    cancel_handlers_do_not_run,
    failing_handlers_are_silent,
    exceptions_match_by_exact_name,
    temporaries_are_not_stored,
    callers_forget_their_place,
    errors_skip_the_callers_handlers,
    enumerations_begin_again,
    reversed_lists_turn_round,
    views_begin_again,
    zips_go_on_apart,
    retries_share_their_arguments,
)
