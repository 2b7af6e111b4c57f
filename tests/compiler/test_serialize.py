"""Machines as JSON: canonical, read back equal, and nothing outside the vocabulary gets in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler import statements as s
from flowgraph_compiler.serialize import MachineError, fingerprint, from_json, to_json
from flowgraph_compiler.verify import verify
from tests.compiler.compiled import PRELUDE, unchecked

SOURCE = """
@subflow
async def ask(n: int) -> int:
    return await f(n)

@workflow
async def w(x: int, deep: bool = True) -> int:
    total = 0
    try:
        for i in range(x):
            total += await ask(i)
            if total > 1_000_000_000_000_000_000_000:
                break
    finally:
        await f(len([n for n in (1, 2) if n > total]))
    await parallel(f(1), sleep("1h"))
    return total
"""


@pytest.fixture(scope="module")
def machine() -> m.Machine:
    return unchecked(PRELUDE + SOURCE, "serialized")[1]


# --- any machine

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.just("\ud800"), st.just(2**80)
)
leaves = st.one_of(st.builds(e.Const, scalars), st.builds(e.Local, names), st.builds(e.EllipsisConst))


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, max_size=3).map(tuple)
    keywords = st.lists(st.builds(e.Keyword, st.none() | names, inner), max_size=2).map(tuple)
    return st.one_of(
        st.builds(e.Attribute, inner, names),
        st.builds(e.Subscript, inner, st.builds(e.Slice, inner, st.none(), st.none())),
        st.builds(e.Binary, st.sampled_from(["+", "**", "@"]), inner, inner),
        st.builds(e.Compare, inner, st.just(("not in",)), st.tuples(inner)),
        st.builds(e.ListOf, several),
        st.builds(e.DictOf, st.tuples(st.none() | inner), st.tuples(inner)),
        st.builds(e.Formatted, inner, st.sampled_from(["", "s", "r"]), st.none() | inner),
        st.builds(e.Call, st.sampled_from(["len", "math.floor"]), several, keywords),
        st.builds(e.New, names, several, keywords),
        st.builds(e.Method, inner, st.sampled_from(["append", "isoformat"]), several, keywords),
        st.builds(e.Recorded, st.sampled_from(["now", "uuid"])),
    )


trees = st.recursive(leaves, _compound, max_leaves=8)
ops = st.one_of(
    st.builds(s.Assign, st.tuples(st.builds(e.Local, names)), trees),
    st.builds(s.Evaluate, trees),
    st.builds(s.Delete, names, st.booleans()),
    st.builds(s.If, trees, st.tuples(st.builds(s.Evaluate, trees)), st.just(())),
    st.builds(s.Throw, trees, st.none() | trees),
)
policies = st.builds(
    m.Policy, st.integers(0, 9), st.just("fixed"), st.floats(0, 9), st.floats(1, 9), st.floats(0, 9), st.floats(0, 1), st.none()
)
actions = st.one_of(
    st.builds(m.CallStep, names, names, st.lists(trees, max_size=2).map(tuple), st.just(()), policies),
    st.builds(m.SleepFor, names, trees),
    st.builds(m.SendEvent, names, trees),
    st.builds(m.WaitFor, names, st.text(), names, st.lists(st.text(), max_size=2).map(tuple), names,
              st.lists(st.tuples(names, trees), max_size=2).map(tuple), st.none() | trees, st.just(()), st.none() | trees,
              st.just("now")),
)  # fmt: skip
first_blocks = st.builds(
    m.Block, st.lists(ops, max_size=3).map(tuple), st.builds(m.Suspend, actions, st.none() | names, st.just(1), st.just(("x",)))
)
last_blocks = st.builds(m.Block, st.just(()), st.builds(m.Finish, st.none() | trees))
machines = st.builds(
    lambda name, first, last, timeout: m.Machine(
        name, (m.Function(name, "workflow", ("x",), (), (), (first, last)),), None, None, (("K", '"v"'),),
        (m.Trigger("event", ("a.b",)),), "event", timeout, (m.KeyPath("a.b", "id"),),
        (m.NodeInfo("n", "s", name, "step", 0),), m.Manifest((), (), (), ()),
    ),
    st.text(), first_blocks, last_blocks, st.none() | st.floats(0, 100),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(machines)
def test_reading_gives_what_was_written(machine: m.Machine) -> None:
    text = to_json(machine)
    assert text.isascii()
    again = from_json(text)
    assert again == machine
    assert to_json(again) == text
    assert fingerprint(again) == fingerprint(machine)


# --- one machine


def test_places_survive_and_are_outside_the_fingerprint(machine: m.Machine) -> None:
    moved = unchecked("# a comment\n\n" + PRELUDE + SOURCE, "serialized")[1]
    assert fingerprint(moved) == fingerprint(machine)
    again = from_json(to_json(moved))
    assert [node.line for node in again.nodes] == [node.line + 2 for node in machine.nodes]
    assert [block.lines for block in again.functions[0].blocks] == [block.lines for block in moved.functions[0].blocks]
    assert (again.file, again.span) == (moved.file, moved.span)


def test_another_constant_is_another_machine(machine: m.Machine) -> None:
    other = unchecked(PRELUDE + SOURCE.replace('"1h"', '"2h"'), "serialized")[1]
    assert fingerprint(other) != fingerprint(machine)


def test_whole_seconds_and_fractions_are_one_machine(machine: m.Machine) -> None:
    timeouts = [dataclasses.replace(machine, timeout=timeout) for timeout in (60, 60.0)]
    assert len({fingerprint(each) for each in timeouts}) == 1


def test_the_text_is_the_same_on_every_python(machine: m.Machine) -> None:
    """The value was written by 3.11; the suite runs on the others too."""
    assert fingerprint(machine) == FINGERPRINT


FINGERPRINT = "m_04ec397cdec22ec1"


# --- tampering

RESULT = '["Finish",["Local","total"]]'


def _changed(machine: m.Machine, old: str, new: str) -> str:
    text = to_json(machine)
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["Call","len"', '["Call","__import__"', "'__import__' is not in the vocabulary"),
        ('["Call","len"', '["Call","eval"', "'eval' is not in the vocabulary"),
        (RESULT, '["Finish",["Attribute",["Local","total"],"__class__"]]', "'__class__' is not allowed"),
        (RESULT, '["Finish",["Attribute",["Local","total"],"_x"]]', "'_x' is not allowed"),
        (RESULT, '["Finish",["New","__build_class__",[],[]]]', "'__build_class__' is not allowed"),
        (RESULT, '["Finish",["Method",["Local","total"],"__reduce__",[],[]]]', "'__reduce__' is not in the vocabulary"),
        (RESULT, '["Finish",["Local","a b"]]', "are no variables"),
        (RESULT, '["Finish",["Local"]]', "'Local' has 1 fields"),
        (RESULT, '["Finish",["Local","total","more"]]', "'Local' has 1 fields"),
        (RESULT, '["Finish",["Exec","total"]]', "belongs here"),
        (RESULT, '["Finish",["Bound","total"]]', "bound by nothing"),
        (RESULT, '["Finish",["Captured","total"]]', "not in the vocabulary"),
        (RESULT, '["Finish",{"$pickle":"total"}]', "belongs here"),
        ('"list",["Bound","n"]', '"list",["Bound","total"]', "bound by nothing"),
        ('["Goto",1]', '["Goto",99]', "out of range"),
        ('["Goto",1]', '["Goto",-1]', "out of range"),
        ('["Goto",1]', '["Goto",true]', "belongs here"),
        ('["Goto",1]', '["Goto",1.0]', "belongs here"),
        ('["CallFlow","w/ask","ask"', '["CallFlow","w/ask","w"', "no subflow function"),
        ('{"format":1', '{"format":2', "the format is not 1"),
        ('{"format":1', '{"format":1,"format":1', "a key stands twice"),
        ('"1h"', "NaN", "no JSON"),
    ],
)  # fmt: skip
def test_what_no_machine_may_hold_is_refused(machine: m.Machine, old: str, new: str, problem: str) -> None:
    with pytest.raises(MachineError, match=problem):
        from_json(_changed(machine, old, new))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "[" * 100_000, '{"format":1,"machine":[],"places":{}}', "\ud800"])
def test_text_that_is_no_machine_is_refused(text: str) -> None:
    with pytest.raises(MachineError):
        from_json(text)


def test_deep_nesting_is_refused(machine: m.Machine) -> None:
    deep = '["Unary","not",' * 400 + "1" + "]" * 400
    with pytest.raises(MachineError):
        from_json(_changed(machine, '["Local","total"]', deep))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_part_replaced_is_a_machine_or_refused(data: st.DataObject) -> None:
    document = json.loads(to_json(unchecked(PRELUDE + SOURCE, "serialized")[1]))
    part, replace = data.draw(st.sampled_from(list(_slots(document))))
    replace(data.draw(st.sampled_from([None, 1, "__import__", "_x", [], {}, True, -1, 10**9, ["Local", "x"], part, [part]])))
    try:
        machine = from_json(json.dumps(document))
    except MachineError:
        return
    assert verify(machine) is machine


def _slots(tree: Any) -> Any:
    """Every place in a JSON tree: what stands there, and a way to put something else."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield value, _setter(tree, key)
        yield from _slots(value)


def _setter(tree: Any, key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        tree[key] = value

    return put


# --- verification of machines that were not read


def _with_block(machine: m.Machine, number: int, **changes: Any) -> m.Machine:
    main, *others = machine.functions
    blocks = list(main.blocks)
    blocks[number] = dataclasses.replace(blocks[number], **changes)
    return dataclasses.replace(machine, functions=(dataclasses.replace(main, blocks=tuple(blocks)), *others))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"terminator": m.Finish(None), "handler": None, "caught": None}, "cannot be reached"),
        ({"handler": 0, "caught": None}, "handler without a variable"),
        ({"ops": (s.BreakLoop(),)}, "outside a loop"),
        ({"ops": (s.Rethrow(),)}, "outside an except"),
        ({"ops": (s.Evaluate(e.Binary("or", e.Const(1), e.Const(2))),)}, "'or' is not in the vocabulary"),
    ],
)
def test_a_broken_block_is_found(machine: m.Machine, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(MachineError, match=problem):
        verify(_with_block(machine, 0, **changes))
