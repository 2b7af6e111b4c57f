"""Calls of `@pure` functions: what is refused in them, what they may not change, what no machine may hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowgraph_compiler import machine as m
from flowgraph_compiler.expressions import Const, PureCall
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text
from flowgraph_compiler.verify import MachineError, verify
from tests.compiler.compiled import checked

HEAD = """
from dataclasses import dataclass
from flowgraph import now, pure, send, step, subflow, workflow

@dataclass
class Box:
    items: list[int]
    n: int

@step
async def f(n: int) -> int: ...

@pure
def p(n: int, box: Box, boxes: list[Box], table: dict[str, list[int]]) -> int:
{body}
    return n

@workflow
async def w(n: int) -> int:
    return p(n, Box([], 1), [], {{}})
"""


def told(body: str, head: str = HEAD) -> list[str]:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    compilation = compile_application([from_text(head.format(body=indented), "pures")])
    assert compilation.ok is not bool(compilation.diagnostics)
    return [f"{d.rule.code} {d.message}" for d in compilation.diagnostics]


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("box.n = 1", "box"),
        ("box.items.append(n)", "box.items"),
        ("box.items[0] += 1", "box.items"),
        ("xs = box.items\nxs += [1]", "xs"),
        ("for b in boxes:\n    b.n += 1", "b"),
        ("for key, values in table.items():\n    values.sort()", "values"),
        ("mine = [b for b in boxes if b.n]\nmine[0].n = 2", "mine[0]"),
        ("mine = sorted(boxes, key=lambda b: b.n)\nmine.pop().items.clear()", "mine.pop().items"),
        ("for i, b in enumerate(boxes):\n    b.n = i", "b"),
        ("match boxes:\n    case [Box(items=inner), *rest]:\n        inner.append(1)", "inner"),
        ("match boxes:\n    case [_, *rest]:\n        rest.append(box)\n        rest[0].n = 1", "rest[0]"),
        ("chosen = box if n else Box([], 1)\nchosen.n = 2", "chosen"),
        ("(same := table)['a'] = [1]", "(same := table)"),
    ],
)
def test_a_change_of_an_argument_is_told(body: str, changed: str) -> None:
    assert told(body) == [f"FG144 '{changed}' belongs to an argument of the '@pure' function 'p' and is changed here"]


@pytest.mark.parametrize(
    "body",
    [
        "n += 1",
        "mine = [*boxes]\nmine.append(box)\nmine += [box]",
        "xs = list(box.items)\nxs.append(1)\nxs.sort()",
        "xs = box.items[:2]\nxs.pop()",
        "other = Box([], n)\nother.items.append(1)\nother.n += 1",
        "copied = dict(table)\ncopied['a'] = [1]",
        "box = Box([], 1)",
        "total = sum(b.n for b in boxes)\ntotal += 1",
    ],
)
def test_what_the_function_made_itself_may_change(body: str) -> None:
    assert told(body) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("x = f(n)", "FG112 'f' is called in the '@pure' function 'p', which cannot wait"),
        ("x = now()", "FG140 'now' in the '@pure' function 'p' gives another answer each time"),
        ("x = p(n, box, boxes, table)", "FG116 pure function 'p' is called from itself: p -> p"),
        ("print(n)", "FG140 'print' has an effect or gives another answer each time"),
        ("return 'a'", "FG173 pure 'p' returns 'int', got 'str'"),
        ("with box:\n    pass", "FG100 'with' is not in the language"),
    ],
)
def test_what_a_pure_function_may_not_do_is_told(body: str, problem: str) -> None:
    assert problem in told(body)


def test_a_pure_function_that_nobody_calls_is_read_too() -> None:
    text = "from flowgraph import pure\n@pure\ndef p(n: int) -> int:\n    return print(n)\n"
    assert [d.rule.code for d in compile_application([from_text(text, "unreached")]).diagnostics] == ["FG140"]


def test_an_async_pure_function_is_refused() -> None:
    text = "from flowgraph import pure\n@pure\nasync def p(n: int) -> int:\n    return n\n"
    assert [d.rule.code for d in compile_application([from_text(text, "unreached")]).diagnostics] == ["FG100"]


def test_wrong_arguments_are_told() -> None:
    found = told("pass", HEAD.replace("p(n, Box([], 1), [], {{}})", "p('a', Box([], 1), [])"))
    assert found == [
        "FG171 pure function 'p' needs argument 'table'",
        "FG170 argument 'n' of pure function 'p' takes 'int', got 'str'",
    ]


def machine_of(body: str) -> m.Machine:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return checked(HEAD.format(body=indented), "pure_machine")[1]


def test_a_machine_holds_the_functions_that_it_calls() -> None:
    machine = machine_of("for b in boxes:\n    if b.n > n:\n        return b.n")
    assert [(each.name, each.kind) for each in machine.functions] == [("w", "workflow"), ("p", "pure")]


def test_pure_functions_of_a_machine_neither_wait_nor_call_themselves() -> None:
    machine = machine_of("pass")
    workflow, pure = machine.functions
    calls = m.Block((), m.Finish(PureCall("p", (Const(1),))))
    waits = m.Block((), m.Suspend(m.SleepFor("w/sleep", Const("1h")), None, 1, ()))
    end = m.Block((), m.Finish(None))
    for blocks, problem in (((calls,), "call themselves"), ((waits, end), "waits")):
        with pytest.raises(MachineError, match=problem):
            verify(replace(machine, functions=(workflow, replace(pure, blocks=blocks))))


PROPERTY = """
from functools import cached_property
from pydantic import BaseModel, computed_field
from flowgraph import pure, workflow

class Order(BaseModel):
    n: int
{decorators}
    def twice(self) -> int:
        return self.n * 2

@workflow
async def w(n: int) -> int:
    return Order(n=n).twice
"""


@pytest.mark.parametrize(
    ("decorators", "problem"),
    [
        ("@property\n@pure", None),
        ("@computed_field\n@property\n@pure", None),
        ("@property", "FG140 property 'Order.twice' runs code that the machine cannot pin"),
        ("@cached_property\n@pure", "FG102 pure 'twice' stands inside 'Order'"),
        ("@pure", "FG102 pure 'twice' stands inside 'Order'"),
    ],
)
def test_a_property_is_pinned_by_pure_below_it(decorators: str, problem: str | None) -> None:
    indented = "\n".join(f"    {line}" for line in decorators.splitlines())
    compilation = compile_application([from_text(PROPERTY.format(decorators=indented), "properties")])
    found = [f"{d.rule.code} {d.message}" for d in compilation.diagnostics]
    assert (problem in found) if problem else found == []
    if problem is None:
        assert [f.name for f in compilation.machines["w"].functions] == ["w", "Order.twice"]


def test_what_a_property_changes_of_its_object_is_told() -> None:
    text = PROPERTY.format(decorators="    @property\n    @pure").replace(
        "return self.n * 2", "self.n += 1\n        return self.n"
    )
    (found,) = compile_application([from_text(text, "properties")]).diagnostics
    assert found.message == "'self' belongs to an argument of the '@pure' function 'Order.twice' and is changed here"
