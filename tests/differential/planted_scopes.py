"""Mistakes in what came later, planted: `match`, timeouts, sagas, loops with `else`. See `planted`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flowgraph_compiler.build.matches import Matches
from flowgraph_compiler.lower.flow import Flow
from flowgraph_runtime.engine import cancelling, running, scopes
from flowgraph_runtime.engine.blocks import CloseAction, OpenAction
from flowgraph_runtime.engine.tokens import SagaScope

Patch = pytest.MonkeyPatch


# --- in the compiler


def elses_of_loops_are_lost(patch: Patch) -> None:
    """The `else` of a loop that awaits is dropped."""
    for name in ("_while", "_for"):
        lower = getattr(Flow, name)
        patch.setattr(Flow, name, lambda self, node, lower=lower: lower(self, replace(node, orelse=())))


def guards_are_ignored(patch: Patch) -> None:
    """`case pattern if guard` takes what the pattern fits."""
    patch.setattr(Matches, "_guard", lambda self, node: None)


def the_last_case_comes_first(patch: Patch) -> None:
    """Cases are tried from the last one on, but the one that takes everything."""
    do = Matches.do_Match

    def backwards(self: Any, node: Any) -> None:
        cases = node.cases
        node.cases = [*cases[-2::-1], cases[-1]]
        try:
            do(self, node)
        finally:
            node.cases = cases

    patch.setattr(Matches, "do_Match", backwards)


def sequences_fit_their_beginning(patch: Patch) -> None:
    """`[a, b]` takes longer lists, too."""
    make = Matches.pattern

    def longer(self: Any, node: Any) -> Any:
        if isinstance(node, ast.MatchSequence) and not any(isinstance(each, ast.MatchStar) for each in node.patterns):
            star = ast.copy_location(ast.MatchStar(None), node)
            node = ast.copy_location(ast.MatchSequence([*node.patterns, star]), node)
        return make(self, node)

    patch.setattr(Matches, "pattern", longer)


# --- in the engine


def deadlines_of_blocks_are_late(patch: Patch) -> None:
    """A `timeout` block has three times as long."""
    opened, parse = scopes.open_scope, scopes.parse_duration

    def late(turn: Any, token: Any, action: Any, payload: Any) -> object:
        return opened(turn, token, action, payload if action.kind == "saga" else parse(payload) * 3)

    patch.setitem(running.BEGINNERS, OpenAction, late)


def timeouts_stay_cancellations(patch: Patch) -> None:
    """What leaves a block at its deadline is `Cancelled`, no `TimeoutError`."""
    patch.setattr(scopes, "_is_own", lambda scope, token: False)


def every_cancellation_is_a_timeout(patch: Patch) -> None:
    """What leaves a block by the cancel of the run is a `TimeoutError`."""
    patch.setattr(scopes, "_is_own", lambda scope, token: True)


def compensations_run_forwards(patch: Patch) -> None:
    """What was done first is undone first."""
    compensate = scopes._compensate

    def forwards(turn: Any, token: Any, action: Any, saga: Any) -> None:
        saga.done.reverse()
        compensate(turn, token, action, saga)

    patch.setattr(scopes, "_compensate", forwards)


def sagas_undo_nothing(patch: Patch) -> None:
    """A saga that fails leaves everything as it is."""
    close = scopes.close_scope

    def idle(turn: Any, token: Any, action: Any, payload: Any) -> object:
        scope = token.scopes[-1]
        if isinstance(scope, SagaScope):
            scope.done.clear()
        return close(turn, token, action, payload)

    patch.setitem(running.BEGINNERS, CloseAction, idle)


def sagas_undo_what_succeeded(patch: Patch) -> None:
    """A saga is undone at its end, however it ends."""
    close = scopes.close_scope

    def always(turn: Any, token: Any, action: Any, payload: Any) -> object:
        scope = token.scopes[-1]
        if isinstance(scope, SagaScope) and payload[0] != "raise" and scope.done:
            token.scopes = token.scopes[:-1]
            scopes._compensate(turn, token, action, scope)
            return scopes.SUSPENDED
        return close(turn, token, action, payload)

    patch.setitem(running.BEGINNERS, CloseAction, always)


def inner_sagas_are_forgotten(patch: Patch) -> None:
    """What completed in an inner saga is not undone by the outer one."""
    patch.setattr(scopes, "_hand_over", lambda token, saga: None)


def cancelled_sagas_undo_nothing(patch: Patch) -> None:
    """A saga that a cancellation leaves is not undone."""
    close = scopes.close_scope

    def only_errors(turn: Any, token: Any, action: Any, payload: Any) -> object:
        scope = token.scopes[-1]
        if isinstance(scope, SagaScope) and payload[0] == "raise" and not isinstance(payload[1], Exception):
            scope.done.clear()
        return close(turn, token, action, payload)

    patch.setitem(running.BEGINNERS, CloseAction, only_errors)


def sagas_see_their_own_token_only(patch: Patch) -> None:
    """What completes in the branches of a group is not undone."""

    def around(token: Any) -> Any:
        return next((scope for scope in reversed(token.scopes) if isinstance(scope, SagaScope)), None)

    patch.setattr(scopes, "_saga_around", around)


def attempts_are_let_finish(patch: Patch) -> None:
    """A deadline, or a cancel, waits for the attempts that run."""
    stop = cancelling._stop
    patch.setattr(cancelling, "_stop", lambda turn, token, *, interrupt: stop(turn, token, interrupt=False))


IN_COMPILER: tuple[Callable[[Patch], None], ...] = (
    elses_of_loops_are_lost,
    guards_are_ignored,
    the_last_case_comes_first,
    sequences_fit_their_beginning,
)
IN_ENGINE: tuple[Callable[[Patch], None], ...] = (
    deadlines_of_blocks_are_late,
    timeouts_stay_cancellations,
    every_cancellation_is_a_timeout,
    compensations_run_forwards,
    sagas_undo_nothing,
    sagas_undo_what_succeeded,
    inner_sagas_are_forgotten,
    cancelled_sagas_undo_nothing,
    sagas_see_their_own_token_only,
    attempts_are_let_finish,
)
PLANTS = (*IN_COMPILER, *IN_ENGINE)
