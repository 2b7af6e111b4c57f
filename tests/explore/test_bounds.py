"""Exploration comes to an end, says what it has not seen, and reports worst cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowgraph_compiler.explore import Bounds, Explored, explore
from flowgraph_compiler.explore.plan import Plan
from flowgraph_compiler.explore.search import search
from flowgraph_compiler.machine import Suspend
from flowgraph_compiler.pipeline import compile_targets
from tests.explore.planted import HEAD
from tests.explore.test_planted import compiled

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").rglob("*.py"))


def explored(text: str, states: int = 20_000) -> Explored:
    (report,), _ = explore(compiled(text), Bounds(states=states))
    return report


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_explored_to_its_end(example: Path) -> None:
    reports, found = explore(compile_targets([str(example)]))
    assert {report.unknown for report in reports} <= {()}
    assert found == []


def test_five_hundred_steps() -> None:
    body = "    await buy(n)\n" * 500
    report = explored(f"back = always_compensated(ship, by=refund)\n@workflow\nasync def flow(n: int) -> None:\n{body}")
    assert report.unknown == ()
    assert 500 < report.states < 2_000
    assert len(report.attempts) == 500


def test_many_like_branches_have_few_states() -> None:
    branches = ", ".join(["buy(n)"] * 25)
    report = explored(
        f"back = always_compensated(buy, by=refund)\n@workflow\nasync def flow(n: int) -> None:\n    await parallel({branches})\n"
    )
    assert report.unknown == ()
    assert report.states < 200


def test_the_bound_of_states_is_told_and_proves_nothing() -> None:
    report = explored(
        "once = at_most_once(refund)\n@workflow\nasync def flow(n: int) -> None:\n" + "    await ship(n)\n" * 50, states=20
    )
    (verdict,) = report.verdicts
    assert (verdict.word, report.unknown) == ("unknown", ("stopped after 21 states",))


def test_a_way_that_is_found_within_the_bound_is_still_told() -> None:
    report = explored(
        "once = at_most_once(charge)\n@workflow\nasync def flow(n: int) -> None:\n" + "    await charge(n)\n" * 50, states=20
    )
    assert [verdict.word for verdict in report.verdicts] == ["broken"]


def test_what_the_machine_has_and_exploration_does_not_know_is_unknown() -> None:
    compilation = compiled("once = at_most_once(ship)\n@workflow\nasync def flow(n: int) -> None:\n    await ship(n)\n")
    machine = compilation.machines["flow"]
    main = machine.functions[0]
    blocks = tuple(
        replace(block, terminator=replace(block.terminator, action=_New("flow/new")))  # type: ignore[arg-type]
        if isinstance(block.terminator, Suspend)
        else block
        for block in main.blocks
    )
    plan = Plan(replace(machine, functions=(replace(main, blocks=blocks),)))
    outcome = search(plan, {"holds": lambda history: True}, frozenset(), Bounds())
    assert [verdict.word for verdict in outcome.verdicts] == ["unknown"]
    assert "'_New' is not known to exploration" in outcome.unknown[0]


class _New:
    """An action of a later vocabulary."""

    def __init__(self, site: str) -> None:
        self.site = site


def test_an_invariant_that_raises_is_unknown() -> None:
    report = explored(
        "@invariant\ndef wrong(history: History) -> bool:\n    return 1 / history.completed(ship) > 0\n"
        "@workflow\nasync def flow(n: int) -> None:\n    await ship(n)\n"
    )
    assert report.verdicts[0].unknown == "the invariant raised ZeroDivisionError: division by zero"


# --- worst cases


@pytest.mark.parametrize(
    ("body", "seconds", "why"),
    [
        ("    await sleep('90s')\n", 90, None),
        ("    await refund.with_(retries=0)(n)\n    await sleep('1m')\n", 63, None),
        ("    await parallel(sleep('1m'), sleep('2m'))\n", 120, None),
        ("    if n:\n        await sleep('1m')\n    else:\n        await sleep('10s')\n    await sleep('1s')\n", 61, None),
        ("    try:\n        await sleep('1m')\n    finally:\n        await sleep('1s')\n", 61, None),
        ("    async with timeout('1h'):\n        await ship(n)\n    await sleep('1m')\n", 3_660, None),
        (
            "    async with timeout('1h'):\n        try:\n            await ship(n)\n"
            "        finally:\n            await sleep('1m')\n",
            3_660,
            None,
        ),
        ("    for _ in range(n):\n        await sleep('1s')\n", None, "the loop in line {line} has no bound"),
        ("    await ship(n)\n", None, "step 'ship' in line {line} has no timeout"),
        ("    await wait_for(Paid, timeout=None)\n", None, "the wait in line {line} has no constant timeout"),
    ],
)
def test_the_worst_wall_time(body: str, seconds: float | None, why: str | None) -> None:
    head = "@workflow\nasync def flow(n: int) -> None:\n"
    report = explored(head + body)
    line = (HEAD + head).count("\n") + 1
    assert report.wall_time.seconds == seconds
    assert report.wall_time.why == (None if why is None else why.format(line=line))


def test_the_worst_number_of_attempts() -> None:
    report = explored(
        "@workflow\nasync def flow(ns: list[int]) -> None:\n    await twice(1)\n    await twice(2)\n"
        "    for n in ns:\n        await notify.with_(retries=0)(n)\n    await fan_out(charge(n) for n in ns)\n"
        "@subflow\nasync def twice(n: int) -> None:\n    await ship.with_(retries=2)(n)\n"
    )
    assert {one.step: (one.each, one.calls, one.most) for one in report.attempts} == {
        "ship": (3, 2, 6),
        "notify": (1, None, None),
        "charge": (5, None, None),
    }
