"""`on=` and `where=` of a workflow: which names on the wire start it, and predicates that no event can satisfy."""

from __future__ import annotations

import pytest

from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text
from tests.compiler.checked import codes_by_line, marked
from tests.compiler.compiled import checked

EVENTS = """
from flowgraph import Event, wait_for, workflow

class Any_(Event):
    key: str

class Up(Any_, name="up"):
    by: int

class Down(Any_, name="down"):
    by: int
    deep: bool = False

class Other(Event, name="other"):
    key: str

"""


def test_a_base_class_stands_for_every_class_below_it_wherever_that_is_declared() -> None:
    base = from_text("from flowgraph import Event\nclass Base(Event):\n    key: str\n", "triggers_base")
    flows = from_text(
        "from triggers_base import Base\nfrom flowgraph import wait_for, workflow\n"
        "@workflow(on=Base)\nasync def on_any(event: Base) -> None:\n"
        "    await wait_for(Base, where=lambda b: b.key == event.key, timeout='1h')\n",
        "triggers_flows",
    )
    more = from_text('from triggers_base import Base\nclass Far(Base, name="far"):\n    pass\n', "triggers_more")
    machine = compile_application([base, flows, more]).machines["on_any"]
    assert [trigger.names for trigger in machine.triggers] == [("Base", "far")]
    assert {path.event for path in machine.key_paths} == {"Base", "far"}


def test_each_of_several_triggers_has_its_names() -> None:
    body = "@workflow(on=(Any_, Up, Other))\nasync def flow(event: Any_ | Other) -> str:\n    return event.key\n"
    _, machine = checked(EVENTS + body)
    assert [trigger.names for trigger in machine.triggers] == [("Any_", "down", "up"), ("up",), ("other",)]


@pytest.mark.feature(9, 10)
@pytest.mark.parametrize(
    ("on", "where"),
    [
        ("Up", "lambda e: e.buy == 1"),
        ("Up", 'lambda e: e.key == "a" and e.by == "1"'),
        ("(Up, Other)", "lambda e: e.nope"),
        ("(Up, Other)", "lambda e: e.key == 1"),
        ("Any_", "lambda e: e.nope > 1"),
    ],
)
def test_a_predicate_that_no_event_can_satisfy_is_an_error(on: str, where: str) -> None:
    tp = on.strip("()").replace(", ", " | ")
    body = f"{EVENTS}@workflow(on={on}, where={where})  # error: FG223\nasync def flow(event: {tp}) -> None: ...\n"
    assert codes_by_line(body, "FG223") == marked(body)


@pytest.mark.parametrize(
    ("on", "where"),
    [
        ("(Up, Other)", "lambda e: e.by == 1"),
        ("Any_", "lambda e: isinstance(e, Down) and e.deep"),
        ("Any_", 'lambda e: e.key == "a" and e.meta.name == "up"'),
    ],
)
def test_a_predicate_that_some_event_can_satisfy_is_none(on: str, where: str) -> None:
    tp = on.strip("()").replace(", ", " | ")
    body = f"{EVENTS}@workflow(on={on}, where={where})\nasync def flow(event: {tp}) -> None: ...\n"
    assert codes_by_line(body, "FG223") == set()


def test_a_wait_for_a_base_class_may_ask_for_a_field_of_a_class_below_it() -> None:
    body = (
        f"{EVENTS}@workflow\nasync def flow(key: str) -> None:\n"
        '    await wait_for(Any_, where=lambda e: e.key == key and isinstance(e, Down) and e.deep, timeout="1h")\n'
        '    await wait_for(Any_, where=lambda e: e.key == key and e.nope, timeout="1h")  # error: FG223\n'
    )
    assert codes_by_line(body, "FG223") == marked(body)
