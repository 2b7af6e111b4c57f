"""Which changes of a workflow a run that sleeps in it can take, and which not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from flowgraph_compiler.machine import Machine, SleepFor, Suspend
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.safe_points import Call, NotProven, Place, Position, prove
from flowgraph_compiler.source import from_text
from tests.differential import planted_proofs

Plant = Callable[[pytest.MonkeyPatch], None]

NUMBERS = count()
HEAD = """\
from flowgraph import fan_out, parallel, pure, sleep, step, subflow, timeout, workflow

RATE = 2
PAUSE = "1h"

@step
async def a(n: int) -> int:
    return n

@step
async def b(n: int) -> int:
    return n

@pure
def double(n: int) -> int:
    return n * 2

@subflow
async def inner(n: int) -> int:
    more = n + 1
    await sleep("2h")
    return more

@workflow
"""


def machine(text: str) -> Machine:
    compilation = compile_application([from_text(HEAD + text, f"safe_{next(NUMBERS)}")])
    assert compilation.ok, compilation.diagnostics
    return compilation.machines["flow"]


def asleep(machine: Machine, function: str = "flow") -> Position:
    """A run that is at the only sleep of a function, called from `flow`, and holds all that lives there."""
    names = ["flow", function] if function != "flow" else ["flow"]
    frames = tuple(_call(machine, name, name == function) for name in names)
    return Position("body", False, Place(frames, "sleep"))


def _call(machine: Machine, name: str, sleeps: bool) -> Call:
    number, found = next((n, each) for n, each in enumerate(machine.functions) if each.name == name)
    for block, each in enumerate(found.blocks):
        end = each.terminator
        if isinstance(end, Suspend) and (isinstance(end.action, SleepFor) if sleeps else end.action.site.endswith("/inner")):
            return Call(number, block, frozenset(end.live))
    raise AssertionError(f"'{name}' does not sleep")


def why_not(old: str, new: str, function: str = "flow") -> str | None:
    before, after = machine(old), machine(new)
    try:
        prove(before, after, asleep(before, function))
    except NotProven as why:
        return str(why)
    return None


SLEEPS = """\
async def flow(n: int, m: int = 1) -> int:
    if n > 3:
        x = 1
    else:
        x = 2
    total = 0
    for item in range(n):
        total += item
    y = await a(n)
    await sleep("1h")
    return x + total + y + m
"""
ASKS = SLEEPS.replace("x = 1", "x = 1\n        await b(1)")
LOOP = """\
async def flow(n: int) -> int:
    total = 0
    while total < 10:
        await sleep("1h")
        total += await a(n)
    return total
"""
ALIAS = """\
async def flow(n: int) -> list[int]:
    xs = [n]
    ys = xs
    ys.append(1)
    await sleep("1h")
    return xs
"""
TRY = """\
async def flow(n: int) -> int:
    try:
        x = await a(n)
        await a(x)
    except ValueError:
        x = 0
    await sleep("1h")
    return x
"""
CALLED = """\
async def flow(n: int) -> int:
    return await inner(n + 1)
"""
WAIT = """\
async def flow(n: int) -> int:
    async with timeout("9h"):
        await sleep(PAUSE)
    return n
"""


@pytest.mark.parametrize(
    ("text", "old", "new", "why"),
    [
        (SLEEPS, "n > 3", "n > 4", "'x' comes about in another way"),
        (ASKS, "n > 3", "n > 4", "what 'x' depends on is decided in another way"),
        (SLEEPS, "x = 1", "x = 3", "'x' comes about in another way"),
        (SLEEPS, "    else:\n        x = 2", "    else:\n        x = 1\n        x = 2", "'x' comes about in another way"),
        (SLEEPS, "range(n)", "range(n + 1)", "'total' comes about in another way"),
        (SLEEPS, "m: int = 1", "m: int = 2", "the default of 'm' changed, and 'm' comes from it"),
        (LOOP, "total += await a(n)", "total += await a(n + 1)", "'$1', which 'total' comes from, changed"),
        (ALIAS, "ys.append(1)", "ys.append(2)", "'xs' comes about in another way"),
        (ALIAS, "ys.append(1)", "ys[0] = 2", "'xs' comes about in another way"),
        (TRY, "await a(x)", "await a(n)", "what 'x' depends on is decided in another way"),
        (WAIT, '"9h"', '"8h"', "the scopes around the sleep changed"),
    ],
)
def test_what_would_have_gone_another_way_stays(text: str, old: str, new: str, why: str) -> None:
    assert old in text
    assert why_not(text, text.replace(old, new)) == why


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (SLEEPS, "return x +", "return 1 + x +"),
        (SLEEPS, "    y = await", "    if n > 7:\n        await b(8)\n    y = await"),
        (SLEEPS, "    y = await", "    for again in range(n):\n        await b(again)\n    y = await"),
        (SLEEPS, "    total = 0\n", "    z = n + 1\n    await b(z)\n    total = 0\n"),
        (SLEEPS, "x + total + y + m", "y"),
        (LOOP, "return total", "return total + 1"),
        (LOOP, "total < 10", "total < 11"),
        (ALIAS, "    ys = xs\n", "    zs = [n]\n    zs.append(3)\n    ys = xs\n"),
        (TRY, "return x", "return await a(x)"),
        (WAIT, "return n", "return n + 1"),
    ],
)
def test_what_changes_nothing_of_what_is_kept_can_move(text: str, old: str, new: str) -> None:
    assert old in text
    assert why_not(text, text.replace(old, new)) is None


def test_statements_that_do_not_depend_on_one_another_may_change_places() -> None:
    total = "    total = 0\n    for item in range(n):\n        total += item\n"
    moved = SLEEPS.replace(total, "").replace("    if n > 3", f"{total}    if n > 3")
    assert why_not(SLEEPS, moved) is None


def test_what_a_subflow_was_called_with_is_followed_through_its_variables() -> None:
    assert why_not(CALLED, CALLED.replace("n + 1", "n + 2"), "inner") == "the subflow 'inner' that it is at changed"
    held = CALLED.replace("return await inner(n + 1)", "k = n\n    return await inner(k)")
    assert why_not(held, held.replace("k = n", "k = 3"), "inner") == "'k' comes about in another way"


def test_constants_of_what_is_waited_for_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine(WAIT)
    monkeypatch.setattr(f"{__name__}.HEAD", HEAD.replace('PAUSE = "1h"', 'PAUSE = "2h"'))
    with pytest.raises(NotProven, match="constant 'PAUSE' changed"):
        prove(before, machine(WAIT), asleep(before))


def test_a_step_with_another_signature_gives_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine(TRY)
    monkeypatch.setattr(f"{__name__}.HEAD", HEAD.replace("async def a(n: int) -> int", "async def a(n: int) -> bool"))
    with pytest.raises(NotProven, match="the signature of step 'a' changed, and 'x' comes from it"):
        prove(before, machine(TRY), asleep(before))


@pytest.mark.parametrize("call", ["x = await inner(n)", "x, _ = await parallel(inner(n), b(n))"])
def test_what_a_changed_subflow_has_given_is_not_what_it_would_give_now(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"async def flow(n: int) -> int:\n    {call}\n    await sleep('1h')\n    return x\n"
    before = machine(text)
    monkeypatch.setattr(f"{__name__}.HEAD", HEAD.replace("return more", "return more + 1"))
    with pytest.raises(NotProven, match="'inner' changed, and 'x' comes from it"):
        prove(before, machine(text), asleep(before))


HELD = CALLED.replace("return await inner(n + 1)", "k = n\n    return await inner(k)")


@pytest.mark.parametrize(
    ("plant", "text", "old", "new"),
    [
        (planted_proofs.ignores_later_rounds, LOOP, "await a(n)", "await a(n + 1)"),
        (planted_proofs.ignores_aliases, ALIAS, "ys.append(1)", "ys.append(2)"),
        (planted_proofs.ignores_arguments, HELD, "k = n", "k = 3"),
        (planted_proofs.ignores_deadlines, WAIT, '"9h"', '"8h"'),
    ],
)
def test_each_of_these_is_refused_by_one_part_of_the_proof(plant: Plant, text: str, old: str, new: str) -> None:
    function = "inner" if text is HELD else "flow"
    assert plant in planted_proofs.SELDOM
    assert why_not(text, text.replace(old, new), function) is not None
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        assert why_not(text, text.replace(old, new), function) is None
