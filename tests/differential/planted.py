"""Miscompilations planted into the compiler and the engine, each of which the comparison with CPython must find.

They are mistakes that were made in such compilers before; a generator that does not find them is decoration.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flowgraph.codec import copy_value
from flowgraph_compiler.build.fan_outs import FanOuts
from flowgraph_compiler.build.operands import Operands
from flowgraph_compiler.build.shortcircuits import ShortCircuits
from flowgraph_compiler.expressions import Local, Logical
from flowgraph_compiler.lower import liveness
from flowgraph_compiler.lower.flow import Flow
from flowgraph_runtime.engine import cursors, groups, run_state, running, state, suspending
from flowgraph_runtime.engine.blocks import FanOutAction
from flowgraph_runtime.engine.tokens import GroupPending, Token
from tests.differential import planted_codec, planted_compiler, planted_engine, planted_runs, planted_scopes

Patch = pytest.MonkeyPatch


def no_spilling(patch: Patch) -> None:
    """Operands left of an await are evaluated after it."""
    patch.setattr(Operands, "keep", lambda self, value, later: value)


def only_names_are_stable(patch: Patch) -> None:
    """A name is read late although something later in the expression rebinds it."""
    stable = Operands.is_stable
    patch.setattr(Operands, "is_stable", lambda self, value, later: isinstance(value, Local) or stable(self, value, later))


def eager_logic(patch: Patch) -> None:
    """`and` and `or` evaluate all their operands."""

    def logical(self: Any, op: str, operands: list[ast.expr], node: Any) -> Any:
        values = tuple(self.operands(operands))
        return values[0] if len(values) == 1 else Logical(op, values, self.span(node))

    patch.setattr(ShortCircuits, "_logical", logical)


def lost_else(patch: Patch) -> None:
    """The `else` of an `if` that awaits is dropped."""
    branch = Flow._branch
    patch.setattr(Flow, "_branch", lambda self, node: branch(self, replace(node, orelse=())))


def handlers_backwards(patch: Patch) -> None:
    """The last handler that matches is taken."""
    handlers = Flow._handlers
    patch.setattr(Flow, "_handlers", lambda self, node: handlers(self, replace(node, handlers=node.handlers[::-1])))


def else_is_guarded(patch: Patch) -> None:
    """The `else` of a `try` runs under its handlers."""
    handlers = Flow._handlers

    def guarded(self: Any, node: Any) -> None:
        handlers(self, replace(node, body=node.body + node.orelse, orelse=()) if node.handlers else node)

    patch.setattr(Flow, "_handlers", guarded)


def jumps_skip_finally(patch: Patch) -> None:
    """`continue` and `break` go straight to the loop."""

    def jump(self: Any, loop: Any, kind: str, span: Any) -> None:
        self.blocks.goto(loop.leave if kind == "break" else loop.again)

    patch.setattr(Flow, "_jump", jump)


def finally_forgets_the_exception(patch: Patch) -> None:
    """After a `finally` that an exception entered, the run goes on behind it."""
    complete = Flow._complete

    def forget(self: Any, final: Any, span: Any, *record: Any) -> None:
        if getattr(record[0], "value", None) == "raise":
            final.normal = True
            complete(self, final, span, replace(record[0], value="next"))
        else:
            complete(self, final, span, *record)

    patch.setattr(Flow, "_complete", forget)


def no_shield(patch: Patch) -> None:
    """A cancellation is raised inside `finally` as well."""
    patch.setattr(Token, "shields", lambda self: 0)


def handlers_are_lost_over_finally(patch: Patch) -> None:
    """`finally` bodies run without the handlers around them."""
    after = Flow._finally

    def bare(self: Any, node: Any, final: Any, caught: str, inside: Callable[[], None]) -> None:
        outer = self.blocks.guarded(replace(self.blocks.guard, handler=None, caught=None))
        after(self, node, final, caught, inside)
        self.blocks.guarded(outer)

    patch.setattr(Flow, "_finally", bare)


def cursors_begin_again(patch: Patch) -> None:
    """The position of a list's cursor is not stored."""
    patch.setattr(cursors.OverList, "restore", lambda self, state: cursors.OverList.__init__(self, self.kind, self.operands))


def loops_over_a_copy(patch: Patch) -> None:
    """A `for` with an await iterates over what the list was when it began."""
    opened = cursors.OverList.__init__

    def copy(self: Any, kind: str, operands: list[Any]) -> None:
        opened(self, kind, [list(operands[0])])

    patch.setattr(cursors.OverList, "__init__", copy)


def nothing_is_kept_for_handlers(patch: Patch) -> None:
    """Variables that only a handler reads are not stored."""
    patch.setattr(liveness, "_handled", lambda block, entries: frozenset())


def failures_cancel_nobody(patch: Patch) -> None:
    """The first failure of `parallel` lets the others run to their ends."""
    patch.setattr(groups, "cancel_branches", lambda turn, group, *, interrupt: None)


def aliases_are_lost(patch: Patch) -> None:
    """Each variable is stored on its own: what two variables shared is two things afterwards."""
    value = state._Writer._value
    patch.setattr(state._Writer, "_value", lambda self, found, name: value(self, copy_value(found), name))


def steps_get_the_callers_objects(patch: Patch) -> None:
    """The arguments of a step are not copied."""
    patch.setattr(run_state, "copied_call", lambda arguments, keywords, by: (arguments, keywords or {}))


def subflows_share_with_their_callers(patch: Patch) -> None:
    """Arguments and results of subflows go by reference."""
    patch.setattr(suspending, "copy_value", lambda value, by="": value)
    patch.setattr(running, "copy_value", lambda value, by="": value)


def results_in_the_order_of_their_coming(patch: Patch) -> None:
    """The results of a group are in the order in which its branches ended."""
    keep = groups._keep

    def by_coming(group: Any, index: int, result: Any, reference: int | None) -> None:
        keep(group, len(group.results) - len(group.children) - len(group.waiting) - 1, result, reference)

    patch.setattr(groups, "_keep", by_coming)


def fan_outs_lose_their_conditions(patch: Patch) -> None:
    """A branch begins for elements that a condition leaves out."""
    clauses = FanOuts._clauses

    def unconditional(self: Any, *given: Any) -> Any:
        found, branch = clauses(self, *given)
        return tuple(replace(clause, conditions=()) for clause in found), branch

    patch.setattr(FanOuts, "_clauses", unconditional)


def fan_outs_bind_late(patch: Patch) -> None:
    """Every branch gets what the generator bound last."""
    prepared = suspending._prepared

    def late(action: Any, payload: Any) -> Any:
        made = prepared(action, payload)
        return (made[0], made[1], [made[2][-1]] * len(made[2])) if isinstance(action, FanOutAction) and made[2] else made

    patch.setattr(suspending, "_prepared", late)


def fan_outs_have_no_limit(patch: Patch) -> None:
    """All branches begin at once, so those behind a failure have begun too."""
    begin = suspending.begin_group

    def unlimited(turn: Any, token: Any, action: Any, payload: Any) -> object:
        return begin(turn, token, action, (payload[0], None, payload[2]) if isinstance(action, FanOutAction) else payload)

    patch.setitem(running.BEGINNERS, FanOutAction, unlimited)


def branches_that_wait_are_forgotten(patch: Patch) -> None:
    """A stored group does not hold the calls that have not begun."""
    group = state._Writer.group

    def forgetful(self: Any, x: Any) -> list[Any]:
        written = group(self, x)
        return [*written[:8], written[8][1:], *written[9:]]

    patch.setitem(state._WRITERS, GroupPending, forgetful)


_FIRST: tuple[Callable[[Patch], None], ...] = (
    lost_else,
    handlers_backwards,
    no_spilling,
    only_names_are_stable,
    eager_logic,
    else_is_guarded,
    jumps_skip_finally,
    finally_forgets_the_exception,
    no_shield,
    handlers_are_lost_over_finally,
    cursors_begin_again,
    loops_over_a_copy,
    nothing_is_kept_for_handlers,
    failures_cancel_nobody,
    aliases_are_lost,
    steps_get_the_callers_objects,
    subflows_share_with_their_callers,
    results_in_the_order_of_their_coming,
    fan_outs_lose_their_conditions,
    fan_outs_bind_late,
    fan_outs_have_no_limit,
    branches_that_wait_are_forgotten,
)

IN_COMPILER = (
    lost_else,
    handlers_backwards,
    no_spilling,
    only_names_are_stable,
    eager_logic,
    else_is_guarded,
    jumps_skip_finally,
    finally_forgets_the_exception,
    handlers_are_lost_over_finally,
    nothing_is_kept_for_handlers,
    fan_outs_lose_their_conditions,
)
"""Those of the first ones that change the machine."""

PLANTS = (
    *_FIRST,
    *planted_compiler.PLANTS,
    *planted_engine.PLANTS,
    *planted_codec.PLANTS,
    *planted_scopes.PLANTS,
    *planted_runs.PLANTS,
)
