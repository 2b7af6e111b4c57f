"""Further miscompilations of the phases from tree to machine: see `planted`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flowgraph_compiler import graph, pipeline, statements
from flowgraph_compiler.build.comprehensions import Comprehensions
from flowgraph_compiler.build.shortcircuits import ShortCircuits
from flowgraph_compiler.build.statements import Statements
from flowgraph_compiler.build.targets import BINARY, Targets
from flowgraph_compiler.expressions import Assigned, Compare, Conditional, Const, Local, Subscript, TupleOf
from flowgraph_compiler.lower import actions, liveness, native
from flowgraph_compiler.lower import flow as flows
from flowgraph_compiler.lower.flow import Flow, Handling
from flowgraph_compiler.machine import Fail, Resume
from flowgraph_compiler.statements import Augment

Patch = pytest.MonkeyPatch


def else_of_try_is_lost(patch: Patch) -> None:
    """The `else` of a `try` that awaits is dropped."""
    handlers = Flow._handlers
    patch.setattr(
        Flow, "_handlers", lambda self, node: handlers(self, replace(node, orelse=() if node.handlers else node.orelse))
    )


def returns_skip_finally(patch: Patch) -> None:
    """`return` leaves without the `finally` around it."""

    def leave(self: Any, value: Any, node: Any) -> None:
        self.blocks.end(flows.Finish(value), node.id, node.span.line)

    patch.setattr(Flow, "_leave", leave)


def returns_are_evaluated_after_finally(patch: Patch) -> None:
    """The value of a `return` inside `try` is lost on the way through `finally`."""
    leave = Flow._leave
    patch.setattr(
        Flow, "_leave", lambda self, value, node: leave(self, value if isinstance(value, Local | None) else Const(None), node)
    )


def handlers_know_one_class(patch: Patch) -> None:
    """`except (A, B)` takes only `A`."""
    handler = Flow._handler

    def first(self: Any, one: Any, caught: str, after: int, node: Any) -> None:
        handler(self, replace(one, names=one.names[:1]), caught, after, node)

    patch.setattr(Flow, "_handler", first)


def handlers_leave_their_variable_unset(patch: Patch) -> None:
    """The variable of a handler keeps what it was."""
    handler = Flow._handler

    def unset(self: Any, one: Any, caught: str, after: int, node: Any) -> None:
        handler(self, replace(one, variable=None), caught, after, node)

    patch.setattr(Flow, "_handler", unset)


def causes_are_not_raised(patch: Patch) -> None:
    """`raise ... from cause` forgets the cause."""
    patch.setattr(flows, "Fail", lambda exception, cause: Fail(exception, None))


def bare_raise_raises_the_last(patch: Patch) -> None:
    """A bare `raise` behind an inner handler raises what that one caught."""
    handled = Flow._handled
    last: list[Handling] = []

    def remembered(self: Any, handling: Handling) -> Any:
        last[:] = [handling]
        return handled(self, handling)

    again = Flow._raise_again
    patch.setattr(Flow, "_handled", remembered)
    patch.setattr(Flow, "_raise_again", lambda self, handling, node: again(self, last[0] if last else handling, node))


def conditions_of_while_are_awaited_once(patch: Patch) -> None:
    """The awaits of a `while` condition run before the first round only."""
    while_ = Flow._while

    def once(self: Any, node: Any) -> None:
        self.body(node.before)
        while_(self, replace(node, before=()))

    patch.setattr(Flow, "_while", once)


def continue_is_break(patch: Patch) -> None:
    """`continue` in a loop that awaits ends it."""
    jump = Flow._jump
    patch.setattr(Flow, "_jump", lambda self, loop, kind, span: jump(self, loop, "break", span))


def jumps_leave_the_outer_loop(patch: Patch) -> None:
    """`break` and `continue` are those of the outermost loop."""
    patch.setattr(Flow, "_loop", lambda self: next(around for around in self._around if isinstance(around, flows.Loop)))


def jumps_over_finally_all_break(patch: Patch) -> None:
    """After a `finally` that a jump entered, the first kind of jump is taken."""
    jump = flows.Final.jump
    patch.setattr(flows.Final, "jump", lambda self, loop, kind: min(jump(self, loop, kind), 0))


def native_finally_is_lost(patch: Patch) -> None:
    """The `finally` of a `try` without awaits is dropped when it has handlers."""
    make = native._try

    def lost(node: Any, inside: Any) -> Any:
        made = make(node, inside)
        return replace(made, final=()) if made is not None and made.handlers else made

    patch.setattr(native, "_try", lost)


def native_else_is_lost(patch: Patch) -> None:
    """The `else` of an `if` without awaits is dropped."""
    make = native._compound

    def lost(node: Any, inside: Any) -> Any:
        made = make(node, inside)
        return replace(made, orelse=()) if isinstance(made, statements.If) else made

    patch.setattr(native, "_compound", lost)


def _without(name: str) -> Callable[[Patch], None]:
    def plant(patch: Patch) -> None:
        before = liveness._before

        def forgetful(end: Any, entries: Any) -> Any:
            return frozenset() if type(end).__name__ == name else before(end, entries)

        patch.setattr(liveness, "_before", forgetful)

    return plant


def what_tests_read_is_not_live(patch: Patch) -> None:
    """Variables that only a condition or what follows it reads are not stored."""
    _without("Test")(patch)


def what_loops_read_is_not_live(patch: Patch) -> None:
    """Variables that a loop's next round reads are not stored."""
    _without("Advance")(patch)


def returned_values_are_not_live(patch: Patch) -> None:
    """The completion record of a `finally` that awaits is not stored."""
    before = liveness._before
    patch.setattr(
        liveness,
        "_before",
        lambda end, entries: before(end, entries) - ({end.record} if isinstance(end, Resume) else frozenset()),
    )


def both_sides_of_a_conditional(patch: Patch) -> None:
    """`a if c else b` evaluates the awaits of both sides."""

    def eager(self: Any, node: ast.IfExp) -> Any:
        test, body, orelse = self.operands([node.test, node.body, node.orelse])
        return Conditional(test, body, orelse, self.span(node))

    patch.setattr(ShortCircuits, "visit_IfExp", eager)


def chains_compare_everything(patch: Patch) -> None:
    """`a < b < await c()` awaits `c()` whatever `a < b` is."""
    patch.setattr(ShortCircuits, "visit_Compare", lambda self, node: self.compare(node))


def chains_lose_their_end(patch: Patch) -> None:
    """`a < b < await c()` is `a < b`."""
    chain = ShortCircuits._chain

    def short(self: Any, left: Any, right: Any, rest: Any, node: Any) -> Any:
        return chain(self, left, right, [(rest[0][0], None)], node)

    patch.setattr(ShortCircuits, "_chain", short)


def middles_are_evaluated_twice(patch: Patch) -> None:
    """The middle of a chain is evaluated for each comparison."""

    def chain(self: Any, left: Any, right: Any, rest: Any, node: Any) -> Any:
        spill, self.spill = self.spill, lambda value, span: value
        try:
            return whole(self, left, right, rest, node)
        finally:
            self.spill = spill

    whole = ShortCircuits._chain
    patch.setattr(ShortCircuits, "_chain", chain)


def walruses_bind_nothing(patch: Patch) -> None:
    """`(name := value)` is `value` where the name has a value already."""
    bind = ShortCircuits.visit_NamedExpr

    def forget(self: Any, node: ast.NamedExpr) -> Any:
        made = bind(self, node)
        return made.value if isinstance(made, Assigned) and len(self.bindings[node.target.id]) > 1 else made

    patch.setattr(ShortCircuits, "visit_NamedExpr", forget)


def augmented_targets_are_read_late(patch: Patch) -> None:
    """`x += await f()` reads `x` after the await."""

    def late(self: Any, node: ast.AugAssign) -> None:
        span = self.span(node)
        value = self.translate(node.value)
        self.pure(Augment(self.target(node.target), BINARY[type(node.op)], value, span), span)

    patch.setattr(Targets, "do_AugAssign", late)


def assignments_go_one_by_one(patch: Patch) -> None:
    """`a, b = b, a` assigns `a` before `b` is read."""
    pure = Statements.pure

    def split(self: Any, statement: Any, span: Any) -> None:
        match statement:
            case statements.Assign((TupleOf(names),), TupleOf(values)) if len(names) == len(values) and all(
                isinstance(name, Local) for name in names
            ):
                for name, value in zip(names, values, strict=True):
                    pure(self, replace(statement, targets=(name,), value=value), span)
            case _:
                pure(self, statement, span)

    patch.setattr(Statements, "pure", split)


def second_targets_are_forgotten(patch: Patch) -> None:
    """`a = b = value` assigns `a` only."""
    pure = Statements.pure

    def forgetful(self: Any, statement: Any, span: Any) -> None:
        if isinstance(statement, statements.Assign) and len(statement.targets) > 1:
            statement = replace(statement, targets=statement.targets[:1])
        pure(self, statement, span)

    patch.setattr(Statements, "pure", forgetful)


def asserts_always_hold(patch: Patch) -> None:
    """`assert` is left out, as under `python -O`."""
    patch.setattr(Statements, "do_Assert", lambda self, node: None)


def messages_of_asserts_are_eager(patch: Patch) -> None:
    """The message of an `assert` is evaluated when it holds, too."""
    do = Statements.do_Assert

    def eager(self: Any, node: ast.Assert) -> None:
        if node.msg is not None and self.has_await(node.msg):
            self.pure(statements.Evaluate(self.translate(node.msg), self.span(node)), self.span(node))
        do(self, node)

    patch.setattr(Statements, "do_Assert", eager)


def conditions_of_comprehensions_are_lost(patch: Patch) -> None:
    """A comprehension that awaits takes every element."""
    filtered = Comprehensions._filtered
    patch.setattr(
        Comprehensions,
        "_filtered",
        lambda self, conditions, node, elements, rest, result: filtered(self, (), node, elements, rest, result),
    )


def elements_before_their_keys(patch: Patch) -> None:
    """`{await k(): await v()}` evaluates the value first."""
    collect = Comprehensions._collect

    def swapped(self: Any, node: Any, elements: Any, result: Any) -> None:
        if not isinstance(node, ast.DictComp):
            collect(self, node, elements, result)
            return
        value = self.spill(self.translate(elements[1]), self.span(node))
        key = self.translate(elements[0])
        span = self.span(node)
        target = Subscript(result, key, span)
        self.emit(graph.Pure(self.node_id("="), span, statements.Assign((target,), value, span)))

    patch.setattr(Comprehensions, "_collect", swapped)


def handlers_do_not_reraise(patch: Patch) -> None:
    """An exception that no handler takes is dropped, and the run goes on behind the `try`."""

    def swallow(self: Any, node: Any) -> None:
        handlers(self, replace(node, handlers=(*node.handlers, _taking_all(node))) if node.handlers else node)

    handlers = Flow._handlers
    patch.setattr(Flow, "_handlers", swallow)


def _taking_all(node: Any) -> Any:
    return graph.Handler(("Exception",), None, (), node.span)


def handlers_of_cancellation_are_lost(patch: Patch) -> None:
    """`except Cancelled` and `except BaseException` see no cancellation."""
    handler = Flow._handler

    def blind(self: Any, one: Any, caught: str, after: int, node: Any) -> None:
        names = tuple("Exception" if name in ("BaseException", "Cancelled") else name for name in one.names)
        handler(self, replace(one, names=names), caught, after, node)

    patch.setattr(Flow, "_handler", blind)


def handlers_catch_what_handlers_raise(patch: Patch) -> None:
    """The last handler of a `try` takes what the others raise."""
    handlers = Flow._handlers

    def inside(self: Any, node: Any) -> None:
        if node.handlers and len(node.handlers) > 1:
            last = node.handlers[-1]
            node = replace(node, body=(graph.Try(node.id, node.span, node.body, node.handlers[:-1], (), ()),), handlers=(last,))
        handlers(self, node)

    patch.setattr(Flow, "_handlers", inside)


def residuals_are_dropped(patch: Patch) -> None:
    """The part of `where` that is no equality is not asked."""
    split = pipeline.split

    def lost(graph_: Any, app: Any) -> Any:
        made = split(graph_, app)
        return replace(made, functions=tuple(replace(each, body=_asked_nothing(each.body)) for each in made.functions))

    patch.setattr(pipeline, "split", lost)


def _asked_nothing(body: Any) -> Any:
    return tuple(replace(node, residual=None) if isinstance(node, graph.Wait) else node for node in body)


def with_retries_is_ignored(patch: Patch) -> None:
    """`.with_(retries=...)` at a call changes nothing."""
    policy = actions.policy
    patch.setattr(actions, "policy", lambda overrides, *rest: policy(graph.CallOverrides(), *rest))


def operands_from_the_right(patch: Patch) -> None:
    """Operands are evaluated from right to left."""
    operands = ShortCircuits.operands

    def backwards(self: Any, nodes: Any, *rest: Any, **more: Any) -> Any:
        found = operands(self, nodes[::-1], *rest, **more)
        return found[::-1]

    patch.setattr(ShortCircuits, "operands", backwards)


def comparisons_are_not_strict(patch: Patch) -> None:
    """`<` is `<=`."""
    compare = ShortCircuits.compare

    def loose(self: Any, node: Any) -> Any:
        made = compare(self, node)
        return replace(made, ops=tuple("<=" if op == "<" else op for op in made.ops)) if isinstance(made, Compare) else made

    patch.setattr(ShortCircuits, "compare", loose)


PLANTS: tuple[Callable[[Patch], None], ...] = (
    else_of_try_is_lost,
    returns_skip_finally,
    returns_are_evaluated_after_finally,
    handlers_know_one_class,
    handlers_leave_their_variable_unset,
    causes_are_not_raised,
    bare_raise_raises_the_last,
    conditions_of_while_are_awaited_once,
    continue_is_break,
    jumps_leave_the_outer_loop,
    jumps_over_finally_all_break,
    native_finally_is_lost,
    native_else_is_lost,
    what_tests_read_is_not_live,
    what_loops_read_is_not_live,
    returned_values_are_not_live,
    both_sides_of_a_conditional,
    chains_compare_everything,
    chains_lose_their_end,
    middles_are_evaluated_twice,
    walruses_bind_nothing,
    augmented_targets_are_read_late,
    assignments_go_one_by_one,
    second_targets_are_forgotten,
    asserts_always_hold,
    messages_of_asserts_are_eager,
    conditions_of_comprehensions_are_lost,
    elements_before_their_keys,
    handlers_do_not_reraise,
    handlers_of_cancellation_are_lost,
    handlers_catch_what_handlers_raise,
    residuals_are_dropped,
    with_retries_is_ignored,
    operands_from_the_right,
    comparisons_are_not_strict,
)
