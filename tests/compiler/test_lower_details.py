"""What lowering keeps, merges and names: liveness, sites, nodes, policies, manifest, triggers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowgraph import Backoff
from flowgraph.options import StepOptions, WorkflowOptions
from flowgraph_compiler.graph import AnyNode, CallOverrides, Step
from flowgraph_compiler.lower import NotLowerable
from flowgraph_compiler.lower.nodes import sites
from flowgraph_compiler.lower.policies import policy
from flowgraph_compiler.machine import KeyPath, Machine, Policy, Suspend, Trigger, WaitFor
from tests.compiler.compiled import PRELUDE, checked, unchecked


def machine_of(source: str, head: str = PRELUDE) -> Machine:
    return unchecked(head + source, "lowered")[1]


def body(text: str) -> Machine:
    lines = "".join(f"    {line}\n" for line in text.strip().splitlines())
    return machine_of(f"@workflow\nasync def w(x: int, xs: list[int]) -> object:\n{lines}")


def live(machine: Machine) -> dict[str, tuple[str, ...]]:
    return {
        block.node.removeprefix("w/"): block.terminator.live
        for block in machine.functions[0].blocks
        if isinstance(block.terminator, Suspend)
    }


# --- liveness


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("y = await f(x)\nreturn y", {"f": ()}),
        ("y = x\nz = await f(x)\nreturn [y, z]", {"f": ("y",)}),
        ("y = x\ny = await f(y)\nreturn y", {"f": ()}),
        ("for n in xs:\n    await f(n)", {"f": ("$it1",)}),
        ("for n in xs:\n    await f(n)\nreturn xs", {"f": ("$it1", "xs")}),
        ("y = 1\ntry:\n    y = await f(x)\nexcept ValueError:\n    return y\nreturn x", {"f": ("x", "y")}),
        ("try:\n    return await f(x)\nfinally:\n    await f(2)", {"f": ("x",) * 0, "f#2": ("$done1",)}),
        ("try:\n    await f(x)\nexcept ValueError as e:\n    await f(1)\n    raise", {"f": (), "f#2": ("$exc1",)}),
        ("while x:\n    x = x - 1\n    await f(0)", {"f": ("x",)}),
        ("y = [n for n in xs]\nawait f(1)\nif (y := x):\n    pass\nreturn y", {"f": ("x",)}),
        ("y = 1\nawait f(1)\nfor y in xs:\n    x = x + y\nreturn x", {"f": ("x", "xs")}),
        ("y = 1\nawait f(1)\nif x:\n    y = 2\nreturn y", {"f": ("x", "y")}),
    ],
)
def test_only_what_is_read_later_is_kept(source: str, kept: dict[str, tuple[str, ...]]) -> None:
    assert live(body(source)) == kept


def test_a_loop_that_runs_for_years_keeps_the_same_few_variables() -> None:
    machine = body("n = 0\nwhile True:\n    n = n + 1\n    a = await f(n)\n    b = await f(a)\n    if b == 9:\n        return n")
    assert live(machine) == {"f": ("n",), "f#2": ("n",)}


# --- native runs


def test_await_free_code_is_one_block() -> None:
    loop = "for n in xs:\n    if n > 3:\n        break\n    try:\n        t += n\n    except ValueError:\n        raise"
    machine = body(f"t = 0\n{loop}\nreturn t")
    assert len(machine.functions[0].blocks) == 1


def test_a_loop_that_cannot_be_stored_is_refused_with_what_to_write() -> None:
    with pytest.raises(NotLowerable) as refused:
        body("for n in map(str, xs):\n    if len(n) > 2:\n        return n")
    assert "'map'" in refused.value.message
    assert "list" in refused.value.help


# --- names


def test_sites_take_the_name_given_at_the_call() -> None:
    graph, _ = unchecked(
        PRELUDE + "@workflow\nasync def w() -> None:\n    await f(1)\n    await f(2)\n    await f(3)\n", "lowered"
    )
    named = replace(graph.main, body=tuple(_named(node) for node in graph.main.body[:2]) + graph.main.body[2:])
    assert sites(replace(graph, functions=(named,))) == {"w/f": "w/first", "w/f#2": "w/first#2", "w/f#3": "w/f#3"}


def _named(node: AnyNode) -> AnyNode:
    assert isinstance(node, Step)
    return replace(node, overrides=CallOverrides(name="first"))


def test_nodes_are_in_source_order_with_their_group() -> None:
    machine = machine_of(
        "@subflow\nasync def sub() -> None:\n    await f(9)\n\n"
        "@workflow\nasync def w(x: int) -> None:\n    await f(1)\n    await parallel(sub(), parallel(f(2), sleep('1h')))\n"
    )
    rows = [(node.kind, node.name, node.parent) for node in machine.nodes]
    assert rows == [
        ("step", "f", None),
        ("parallel", "parallel", None),
        ("subflow", "sub", "w/parallel"),
        ("parallel", "parallel", "w/parallel"),
        ("step", "f", "w/parallel#2"),
        ("sleep", "sleep 1h", "w/parallel#2"),
        ("step", "f", None),
    ]
    assert [node.function for node in machine.nodes] == ["w"] * 6 + ["sub"]


# --- policies


FIXED = Backoff("5s", kind="fixed", max="1m", jitter=0)


@pytest.mark.parametrize(
    ("call", "step", "workflow", "merged"),
    [
        ({}, {}, {}, Policy(4, "exponential", 1.0, 2.0, 3600.0, 0.1, None)),
        ({}, {}, {"retries": 7}, Policy(7, "exponential", 1.0, 2.0, 3600.0, 0.1)),
        ({}, {"retries": 0}, {"retries": 7}, Policy(0, "exponential", 1.0, 2.0, 3600.0, 0.1)),
        ({"retries": 2}, {"retries": 0}, {"retries": 7}, Policy(2, "exponential", 1.0, 2.0, 3600.0, 0.1)),
        ({"timeout": "2m"}, {"timeout": "30s"}, {}, Policy(4, "exponential", 1.0, 2.0, 3600.0, 0.1, 120.0)),
        ({}, {"timeout": "30s"}, {}, Policy(4, "exponential", 1.0, 2.0, 3600.0, 0.1, 30.0)),
        ({"backoff": FIXED}, {"backoff": Backoff("9s")}, {}, Policy(4, "fixed", 5.0, 2.0, 60.0, 0.0)),
        ({}, {"backoff": Backoff("5s", kind="linear")}, {"backoff": Backoff("9s")}, Policy(4, "linear", 5.0, 2.0, 3600.0, 0.1)),
        ({}, {}, {"backoff": Backoff("9s", jitter=0, max="1d")}, Policy(4, "exponential", 9.0, 2.0, 86400.0, 0.0)),
    ],
)
def test_the_nearest_level_that_says_something_wins(
    call: dict[str, Any], step: dict[str, Any], workflow: dict[str, Any], merged: Policy
) -> None:
    assert policy(CallOverrides(**call), StepOptions(**step), WorkflowOptions(**workflow)) == merged


# --- triggers, keys, manifest

EVENTS = """\
from flowgraph import Event, step, wait_for, workflow
from pydantic import BaseModel

class Line(BaseModel):
    sku: str

class Order(Event): ...

class Placed(Order, name="order.placed"):
    id: str
    lines: list[Line]

class Changed(Order, name="order.changed"):
    id: str

@step
async def book(lines: list[Line], urgent: bool = False) -> int | None: ...

"""


def test_a_base_class_stands_for_its_subclasses() -> None:
    machine = machine_of("@workflow(on=Order)\nasync def w(event: Order) -> None: ...\n", EVENTS)
    assert machine.triggers == (Trigger("event", ("Order", "order.changed", "order.placed")),)
    assert machine.parameter_kind == "event"


def test_waits_register_the_paths_that_they_look_up_by() -> None:
    _, machine = checked(
        EVENTS + "@workflow(on=Placed)\nasync def w(event: Placed) -> None:\n"
        "    await wait_for(Changed, where=lambda c: c.id == event.id, timeout='1h')\n"
    )
    end = machine.functions[0].blocks[0].terminator
    assert isinstance(end, Suspend)
    assert isinstance(end.action, WaitFor)
    assert (end.action.event, end.action.cls, end.action.names) == ("order.changed", "Changed", ("order.changed",))
    assert [path for path, _ in end.action.keys] == ["id"]
    assert machine.key_paths == (KeyPath("order.changed", "id"),)


def test_the_manifest_names_what_has_to_be_deployed() -> None:
    machine = machine_of(
        "@workflow(on=Placed)\nasync def w(event: Placed) -> int | None:\n    return await book(event.lines)\n", EVENTS
    )
    manifest = machine.manifest
    assert [(need.name, need.parameters, need.result) for need in manifest.steps] == [
        ("book", (("lines", "list[Line]", False), ("urgent", "bool", True)), "int | None")
    ]
    assert manifest.events == (("order.placed", (("id", "str"), ("lines", "list[Line]"))),)
    assert manifest.classes == (("Line", (("sku", "str"),)),)
