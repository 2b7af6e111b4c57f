"""Mistakes in races, settled groups and child runs, planted: see `planted`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from flowgraph.codec import loads
from flowgraph_runtime.engine import cancelling, decide, ending, groups, suspending
from flowgraph_runtime.engine.inputs import ChildEnded
from flowgraph_runtime.engine.tokens import WON, ChildPending

Patch = pytest.MonkeyPatch


def settled_failures_stop_the_others(patch: Patch) -> None:
    """The first failure of `settle` cancels the branches that still run."""
    ended = decide.branch_ended

    def stopping(turn: Any, token: Any, ok: bool, value: Any, reference: int | None) -> None:
        ended(turn, token, ok, value, reference)
        if token.group.action.kind == "settle" and not ok and token.group.children:
            groups.cancel_branches(turn, token.group, interrupt=False)

    patch.setattr(decide, "branch_ended", stopping)


def losers_of_a_race_go_on(patch: Patch) -> None:
    """A race that is decided waits for the losers instead of cancelling them."""
    cancel = groups.cancel_branches

    def lenient(turn: Any, group: Any, *, interrupt: bool) -> None:
        if not interrupt:
            cancel(turn, group, interrupt=False)

    patch.setattr(groups, "cancel_branches", lenient)


def the_last_of_a_race_wins(patch: Patch) -> None:
    """The result of a race is that of the last branch which ends well."""
    note = groups._note

    def late(group: Any, ok: bool, value: Any) -> None:
        if ok and group.outcome == WON:
            group.winner = value
        note(group, ok, value)

    patch.setattr(groups, "_note", late)
    patch.setattr(groups, "cancel_branches", lambda turn, group, *, interrupt: None)


def children_get_keywords_as_they_are_written(patch: Patch) -> None:
    """The keywords of a child's call are its input in the order of the source."""
    written = suspending._run_input

    def unordered(turn: Any, action: Any, payload: Any) -> list[Any]:
        return written(turn, replace(action, order=tuple(payload[1] or ())), payload)

    patch.setattr(suspending, "_run_input", unordered)


def a_failed_child_gives_its_error_as_result(patch: Patch) -> None:
    """The exception of a child is what its call returns."""
    ended = decide._child_ended

    def wrong(turn: Any, given: Any, decision: Any) -> bool:
        status = "completed" if given.status == "failed" else given.status
        return ended(turn, structs.replace(given, status=status), decision)

    patch.setitem(decide._HANDLERS, ChildEnded, wrong)


def children_are_not_cancelled(patch: Patch) -> None:
    """A cancel of the parent does not reach its child, and its result is used."""
    cancel = cancelling.cancel

    def deaf(turn: Any, token: Any, *, interrupt: bool) -> None:
        if not isinstance(token.pending, ChildPending):
            cancel(turn, token, interrupt=interrupt)

    for module in (cancelling, decide):
        patch.setattr(module, "cancel", deaf)


def handlers_get_no_defaults(patch: Patch) -> None:
    """What `on_failure` gets lacks the arguments that were left out."""

    def bare(turn: Any) -> Any:
        machine, arguments = turn.program.machine, loads(turn.state.trigger, turn.program.types)
        if machine.parameter_kind == "parameters":
            return dict(zip(turn.program.functions[0].parameters, arguments, strict=False))
        return arguments[0]

    patch.setattr(ending, "_trigger", bare)


PLANTS: tuple[Callable[[Patch], None], ...] = (
    settled_failures_stop_the_others,
    losers_of_a_race_go_on,
    the_last_of_a_race_wins,
    children_get_keywords_as_they_are_written,
    a_failed_child_gives_its_error_as_result,
    children_are_not_cancelled,
    handlers_get_no_defaults,
)
