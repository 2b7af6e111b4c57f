"""`fan_out` between the phases: its types, its checks, its forms and its picture."""

from __future__ import annotations

import pytest

from flowgraph_compiler.machine import FanOutGroup, Machine, Suspend, WaitFor
from flowgraph_compiler.render import diagram
from flowgraph_compiler.serialize import from_json, to_json
from tests.compiler.checked import codes_by_line, findings, marked
from tests.compiler.compiled import checked

PRELUDE = """
from flowgraph import Event, fan_out, step, wait_for, workflow

AT_ONCE = 4
NONE_AT_ONCE = 0

class Paid(Event, name="paid"):
    number: int
    text: str = ""

@step
async def score(house: str, weight: int = 1) -> int: ...
"""


def group(machine: Machine, number: int = 0) -> FanOutGroup:
    ends = [block.terminator for block in machine.functions[0].blocks]
    found = [end.action for end in ends if isinstance(end, Suspend) and isinstance(end.action, FanOutGroup)]
    return found[number]


CHECKED = """
from flowgraph import fan_out

AT_ONCE = 4
NONE_AT_ONCE = 0

@workflow
async def limits(names: list[str], n: int, most: int | None, text: str) -> None:
    await fan_out((tell(name) for name in names), limit=0)  # error: FG320
    await fan_out((tell(name) for name in names), limit=-2)  # error: FG320
    await fan_out((tell(name) for name in names), limit=NONE_AT_ONCE)  # error: FG320
    await fan_out((tell(name) for name in names), limit=AT_ONCE)
    await fan_out((tell(name) for name in names), limit=n)
    await fan_out((tell(name) for name in names), limit=most)
    await fan_out((tell(name) for name in names), limit=text)  # error: FG170
    await fan_out(tell(name) for name in range(n))  # error: FG170
    await fan_out(tell(name.title()) for name in names if name)
    await fan_out(tell(late) for name in names)  # error: FG210
    late = "x"
    await tell(late)


@workflow
async def narrowed(names: list[str | None]) -> list[int]:
    await fan_out(tell(name) for name in names)  # error: FG174
    await fan_out(tell(name) for name in names if name is not None)
    numbers = await fan_out(number(len(name)) for name in names if name)
    return numbers


@workflow
async def waits(names: list[str]) -> None:
    await fan_out(wait_for(Answered, where=lambda a: a.guess == name, timeout="1h") for name in names)  # error: FG223
    await fan_out(wait_for(Answered, where=lambda a: a.guest == name, timeout=5) for name in names)  # error: FG321
"""


def test_limits_arguments_and_waits_are_checked_as_in_other_calls() -> None:
    assert codes_by_line(CHECKED, "FG170", "FG174", "FG210", "FG211", "FG223", "FG320", "FG321") == marked(CHECKED)


def test_the_help_shows_what_to_write() -> None:
    call = "await fan_out([number(x) for x in range(n)])"
    (found,) = findings(f"from flowgraph import fan_out\n@workflow\nasync def w(n: int) -> None:\n    {call}\n")
    assert found.help == "fan_out(number(x) for x in range(n))"


FORMS = (
    PRELUDE
    + """
@workflow
async def rank(houses: list[str], most: int) -> int:
    scores = await fan_out((score(h, w) for w, h in enumerate(houses) if h), limit=most)
    paid = await fan_out(wait_for(Paid, where=lambda p: p.number == w and p.text > h, timeout="1h") for w, h in enumerate(houses))
    return sum(scores) + len(paid)
"""
)


def test_a_machine_with_fan_outs_is_read_back_as_it_was() -> None:
    _, machine = checked(FORMS, "fan_out_forms")
    assert from_json(to_json(machine)) == machine


def test_an_element_that_waits_has_a_key_of_its_own() -> None:
    _, machine = checked(FORMS, "fan_out_waits")
    wait = group(machine, 1).branch
    assert isinstance(wait, WaitFor)
    assert [path for path, _ in wait.keys] == ["number"]
    assert wait.residual is not None
    assert wait.frozen == ()  # what the clauses bind is no variable of the frame


def test_what_the_generator_reads_is_not_kept_behind_it() -> None:
    _, machine = checked(FORMS, "fan_out_live")
    first = machine.functions[0].blocks[0].terminator
    assert isinstance(first, Suspend)
    assert first.live == ("houses",)


def test_a_tampered_clause_is_refused() -> None:
    text = to_json(checked(FORMS, "fan_out_tampered")[1])
    assert '["Bound","w"]' in text
    with pytest.raises(ValueError, match="bound by nothing"):
        from_json(text.replace('["Bound","w"]', '["Bound","other"]', 1))


def test_it_is_drawn_as_one_node_with_its_branch() -> None:
    drawn = diagram(checked(FORMS, "fan_out_drawn")[1])
    first, second = [node for node in drawn.nodes if node.title == "fan_out"]
    assert first.detail == ("for w, h in enumerate(houses) if h", "most at a time")
    assert second.detail == ("for w, h in enumerate(houses)",)
    branch = next(node for node in drawn.nodes if node.title == "score")
    assert [(edge.label, edge.target) for edge in drawn.edges if edge.source == first.id] == [("each", branch.id)]
