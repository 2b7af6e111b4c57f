"""`cancel_on=`: what the compiler makes of it, and what it refuses."""

from __future__ import annotations

import pytest

from flowgraph_compiler.machine import KeyPath
from flowgraph_compiler.pretty import pretty
from tests.compiler.checked import codes_by_line, compiled, marked
from tests.compiler.compiled import checked

HEAD = """
from flowgraph import Event, on, sleep, step, workflow

class Booked(Event, name="booked"):
    id: str
    nights: int

class CalledOff(Event, name="called.off"):
    id: str
    nights: int | None = None

"""
BODY = "\nasync def stay(event: Booked) -> None:\n    await sleep('1d')\n"


def test_an_entry_is_a_function_that_waits_by_an_indexed_key() -> None:
    where = "lambda s, e: e.id == s.id and e.nights != s.nights"
    graph, machine = checked(HEAD + f"@workflow(on=Booked, cancel_on=[on(CalledOff, where={where})])" + BODY)
    assert machine.cancel_on == graph.cancel_on == ("$cancel_on_0",)
    assert KeyPath("called.off", "id") in machine.key_paths
    assert "sleep" in pretty(machine).partition("sleep '1d'")[0], "the body begins when the watch has read what came before"
    assert "wait called.off key id == s.id where e: e.nights != s.nights" in pretty(machine)
    assert [(node.name, node.function) for node in machine.nodes] == [("sleep 1d", "stay"), ("CalledOff", "$cancel_on_0")]


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ("cancel_on=[on(Off, where=lambda s, e: e.nope == s.key)]", "FG223"),
        ("cancel_on=[on(Off, where=lambda s, e: e.key == s.nope)]", "FG223"),
        ("cancel_on=[on(Off, where=lambda e: e.key == 'x')]", "FG100"),
        ("cancel_on=WATCHED", "FG100"),
        ("cancel_on=[on(Off, where=same)]", "FG100"),
        ("cancel_on=[on(Off, where=lambda s, e: e.key == s.key)]", None),
    ],
)
def test_what_an_entry_must_be(option: str, code: str | None) -> None:
    body = f"""
from flowgraph import on

class Begun(Event, name="begun"):
    key: str

class Off(Event, name="off"):
    key: str

def same(started: Begun, event: Off) -> bool:
    return started.key == event.key

WATCHED = [on(Off, where=same)]

@workflow(on=Begun, {option})
async def flow(event: Begun) -> None:
    await sleep("1d")
"""
    found = {diagnostic.rule.code for diagnostic in compiled(body).diagnostics if diagnostic.rule.code != "FG220"}
    assert found == (set() if code is None else {code})


def test_without_an_event_that_starts_the_run_there_is_nothing_to_compare_with() -> None:
    body = """
from flowgraph import on

class Off(Event, name="off"):
    key: str

@workflow(cancel_on=[on(Off, where=lambda s, e: e.key == "x")])  # error: FG106
async def flow(key: str) -> None:
    await sleep("1d")
"""
    assert codes_by_line(body, "FG106") == marked(body)
