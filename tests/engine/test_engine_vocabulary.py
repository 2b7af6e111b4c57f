"""What a machine may name, and how much its code may do: a machine is data that anybody could have written."""

from __future__ import annotations

from typing import Any

import pytest

from flowgraph.registry import TypeRegistry
from flowgraph_compiler import expressions as e
from flowgraph_compiler import statements as s
from flowgraph_compiler.machine import Block, Finish, Goto, Machine, Suspend
from flowgraph_runtime.engine.errors import ProgramError, TransitionTooLong
from tests.engine.driver import Outcome, drive_machine
from tests.engine.machines import flow, loaded, machine, returns, step

L, C = e.Local, e.Const


def run(text: Machine) -> Outcome:
    return drive_machine(text, TypeRegistry(), {})


def value_of(expr: e.Expr, *ops: s.Statement) -> Any:
    outcome = run(returns(expr, *ops))
    assert outcome.status == "completed", outcome.error
    return outcome.result


@pytest.mark.parametrize(
    "expr",
    [
        e.Call("__import__", (C("os"),)),
        e.Call("eval", (C("1"),)),
        e.Call("open", (C("/etc/passwd"),)),
        e.Attribute(C("x"), "__class__"),
        e.Attribute(C("x"), "_private"),
        e.Attribute(e.Comprehension("generator", C(1), None, ()), "gi_frame"),
        e.Attribute(C("x"), "x.y"),
        e.New("Popen", ()),
        e.New("object", ()),
        e.ClassRef("type"),
        e.NamedConstant("sys.modules"),
        e.Captured("secret"),
        e.PureCall("missing", ()),
        e.Method(C("x"), "__format__", ()),
        e.Method(C("x"), "open", ()),
        e.Call("map", (e.Attribute(C("x"), "upper"), C("ab"))),
        e.Call("sorted", (C("ab"),), (e.Keyword("key", L("f")),)),
        e.Call("json.dumps", (C(1),), (e.Keyword("default", e.ClassRef("str")),)),
        e.Call("len", (C("ab"),), (e.Keyword("__x", C(1)),)),
        e.Binary("+ __import__('os') +", C(1), C(1)),
        e.Compare(C(1), ("isnt",), (C(1),)),
        e.Recorded("environment"),
        e.Cursor("os.scandir", (C("/"),)),
        e.Comprehension("coroutine", C(1), None, ()),
        e.Bound("a b"),
        e.Const(object()),  # type: ignore[arg-type]
        "1 + 1",
    ],
)
def test_what_is_outside_the_vocabulary_is_refused_when_the_machine_is_loaded(expr: e.Expr) -> None:
    with pytest.raises(ProgramError):
        loaded(returns(expr))


@pytest.mark.parametrize(
    "block",
    [
        Block((), Goto(7)),
        Block((), Finish(None), handler=3),
        Block(("pass",), Finish(None)),  # type: ignore[arg-type]
        Block((s.Augment(L("x"), "or", C(1)),), Finish(None)),
        Block((s.Assign((C(1),), C(1)),), Finish(None)),  # type: ignore[arg-type]
        Block((s.Assign((e.Attribute(L("x"), "__dict__"),), C(1)),), Finish(None)),
        Block((), Suspend("exec", None, 0, ())),  # type: ignore[arg-type]
        Block((), "exec"),  # type: ignore[arg-type]
    ],
)
def test_a_malformed_block_is_refused(block: Block) -> None:
    with pytest.raises(ProgramError):
        loaded(machine(flow(block)))


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (e.Method(C("ab"), "upper", ()), "AB"),
        (e.Method(e.ClassRef("int"), "from_bytes", (C(b"\x01\x00"), C("big"))), 256),
        (e.Call("sorted", (C("Ba"),), (e.Keyword("key", e.Lambda(("c",), e.Method(e.Bound("c"), "lower", ()))),)), ["a", "B"]),
        (
            e.Joined((C("<"), e.Formatted(C(3.14159), "", e.Joined((C("."), e.Formatted(C(2), "", None), C("f")))), C(">"))),
            "<3.14>",
        ),
        (e.Subscript(C("abcd"), e.Slice(C(1), None, C(2))), "bd"),
        (e.DictOf((C("a"), None), (C(1), e.DictOf((C("b"),), (C(2),)))), {"a": 1, "b": 2}),
        (e.ListOf((e.Starred(e.New("range", (C(3),))), C(9))), [0, 1, 2, 9]),
        (e.Binary("*", C("ab"), C(3)), "ababab"),
        (e.Binary("**", C(2), C(100)), 2**100),
        (e.Logical("or", (C(0), C(""), C("x"), e.Binary("/", C(1), C(0)))), "x"),
        (e.Compare(C(1), ("<", "<="), (C(2), C(2))), True),
    ],
)
def test_expressions_mean_what_they_mean_in_python(expr: e.Expr, expected: object) -> None:
    assert value_of(expr) == expected


def test_an_assignment_expression_in_a_comprehension_binds_the_variable_of_the_frame() -> None:
    clause = e.Clause(e.Bound("i"), e.New("range", (C(4),)), ())
    last = e.Comprehension("list", e.Assigned("last", e.Binary("*", e.Bound("i"), e.Bound("i"))), None, (clause,))
    assert value_of(e.TupleOf((L("xs"), L("last"))), s.Assign((L("xs"),), last)) == ([0, 1, 4, 9], 9)


def test_bound_names_hide_no_variables() -> None:
    clause = e.Clause(e.Bound("x"), e.ListOf((C(1), C(2))), ())
    inner = e.Comprehension("list", e.TupleOf((e.Bound("x"), L("x"))), None, (clause,))
    assert value_of(inner, s.Assign((L("x"),), C("outer"))) == [(1, "outer"), (2, "outer")]


def test_an_unbound_variable_raises_what_a_local_raises() -> None:
    assert "cannot access local variable 'x'" in str(run(returns(L("x"))).error)


@pytest.mark.parametrize(
    "receiver",
    [e.ClassRef("ValueError"), e.Method(C("x"), "split", ())],
)
def test_a_method_of_another_type_does_not_exist(receiver: e.Expr) -> None:
    outcome = run(returns(e.Method(receiver, "upper", ())))
    assert isinstance(outcome.error, AttributeError)


def test_format_reaches_no_private_attribute() -> None:
    attack = e.Method(C("{0.__class__.__init__.__globals__}"), "format", (C(1),))
    assert "private" in str(run(returns(attack)).error)
    nested = e.Method(C("{0:{1._x}}"), "format", (C(1), C(2)))
    assert "private" in str(run(returns(nested)).error)
    assert value_of(e.Method(C("{0.real}-{x}"), "format", (C(1),), (e.Keyword("x", C(2)),))) == "1-2"


def test_classes_cannot_be_changed() -> None:
    attack = s.Assign((e.Attribute(e.ClassRef("ValueError"), "note"),), C(1))
    assert "cannot set attributes of class" in str(run(returns(C(1), attack)).error)


FOREVER = s.While(C(True), ())
CATCH_ALL = s.Except(("BaseException",), None, ())


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (FOREVER, "operation budget"),
        (s.Try((FOREVER,), (CATCH_ALL,), (), ()), "operation budget"),
        (s.Evaluate(e.Call("sum", (e.New("range", (C(10**12),)),))), "operation budget"),
        (s.Evaluate(e.New("list", (e.New("range", (C(10**12),)),))), "operation budget"),
        (s.Evaluate(e.ListOf((e.Starred(e.New("range", (C(10**12),))),))), "operation budget"),
        (
            s.Evaluate(e.Call("max", (e.Call("map", (e.Lambda(("x",), e.Bound("x")), e.New("range", (C(10**9),)))),))),
            "operation budget",
        ),
        (
            s.Evaluate(e.Comprehension("set", C(1), None, (e.Clause(e.Bound("x"), e.New("range", (C(10**12),)), ()),))),
            "operation budget",
        ),
        (s.Evaluate(e.Binary("**", C(10), C(10**9))), "a power"),
        (s.Evaluate(e.Call("pow", (C(10), C(10**9)))), "a power"),
        (s.Evaluate(e.Binary("<<", C(7), C(10**9))), "a shift"),
        (s.Evaluate(e.Binary("*", C("x"), C(10**9))), "a product or repetition"),
        (s.Evaluate(e.Binary("*", C(10**9), e.ListOf((C(1),)))), "a product or repetition"),
        (s.Evaluate(e.Call("math.factorial", (C(10**7),))), "a factorial"),
        (s.Evaluate(e.Method(C("x"), "zfill", (C(10**12),))), "a text"),
        (s.Evaluate(e.New("bytes", (C(10**12),))), "a text"),
    ],
)
def test_code_without_end_fails_the_run_and_nothing_catches_it(op: s.Statement, says: str) -> None:
    outcome = run(returns(C(1), op))
    assert outcome.status == "failed"
    assert isinstance(outcome.error, TransitionTooLong) or "TransitionTooLong" in repr(outcome.error)
    assert says in str(outcome.error)


def test_blocks_that_jump_in_a_circle_end_too() -> None:
    outcome = run(machine(flow(Block((), Goto(1)), Block((), Goto(0), handler=0))))
    assert "operation budget" in str(outcome.error)


def test_in_place_repetition_is_capped_and_evaluates_its_target_once() -> None:
    place = e.Subscript(L("d"), e.Method(L("keys"), "pop", ()))
    ops = (
        s.Assign((L("d"),), e.DictOf((C("a"), C("b")), (e.ListOf((C(1),)), C(0)))),
        s.Assign((L("keys"),), e.ListOf((C("b"), C("a")))),
        s.Augment(place, "*", C(3)),
    )
    assert value_of(L("d"), *ops) == {"a": [1, 1, 1], "b": 0}
    assert "repetition" in str(run(returns(C(1), *ops[:2], s.Augment(place, "*", C(10**9)))).error)


def test_native_handlers_match_by_name_in_order_and_drop_their_variable() -> None:
    tried = s.Try(
        (s.Throw(e.New("KeyError", (C("k"),))),),
        (
            s.Except(("ValueError",), None, (s.Assign((L("got"),), C("value")),)),
            s.Except(("LookupError", "OSError"), "error", (s.Assign((L("got"),), e.Attribute(L("error"), "args")),)),
            s.Except(("BaseException",), None, (s.Assign((L("got"),), C("all")),)),
        ),
        (),
        (s.Assign((L("final"),), C(True)),),
    )
    assert value_of(e.TupleOf((L("got"), L("final"))), tried) == (("k",), True)
    assert isinstance(run(returns(L("error"), tried)).error, UnboundLocalError)


def test_a_step_that_the_machine_names_is_looked_up_by_whoever_runs_it() -> None:
    program = loaded(machine(flow(Block((), Suspend(step("unknown"), None, 1, ())), Block((), Finish(None)))))
    assert program.functions[0].blocks[0].action is not None
