"""Retries, backoff and timeout at every level: the call wins over the step, the step over the workflow, that over the default."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from flowgraph_compiler.machine import CallStep, Group, Machine, Policy, Suspend
from flowgraph_runtime.engine.retrying import delay_before
from tests.compiler.checked import codes_by_line, marked
from tests.compiler.compiled import checked

LEVELS = """
from datetime import timedelta
from flowgraph import Backoff, parallel, step, subflow, workflow

QUICK = Backoff("100ms", kind="fixed", jitter=0)
TRIES = 2

@step
async def plain(n: int) -> int: ...

@step(retries=7, backoff=Backoff("10s", kind="linear", max="25s", jitter=0), timeout="9s")
async def own(n: int) -> int: ...

@subflow
async def helper(n: int) -> int:
    return await plain(n)

@workflow(retries=5, backoff=Backoff("3s", factor=3, jitter=0))
async def flow(n: int) -> int:
    n = await plain(n)
    n = await own(n)
    n = await own.with_(retries=0)(n)
    n = await own.with_(retries=TRIES, backoff=QUICK, timeout=timedelta(seconds=3), name="again")(n)
    n, m = await parallel(plain.with_(backoff=Backoff("1m", max=timedelta(minutes=90)))(n), own(n))
    return await helper(n + m)
"""


def steps(machine: Machine) -> Iterator[CallStep]:
    """All step calls, in order."""
    for function in machine.functions:
        for block in function.blocks:
            if isinstance(block.terminator, Suspend):
                action = block.terminator.action
                yield from (
                    one for one in (action.branches if isinstance(action, Group) else (action,)) if isinstance(one, CallStep)
                )


def policies(text: str) -> dict[str, Policy]:
    _, machine = checked(text)
    return {call.site: call.policy for call in steps(machine)}


@pytest.mark.feature(4, 5)
def test_who_says_how_a_step_is_retried() -> None:
    found = policies(LEVELS)
    workflows = Policy(5, "exponential", 3.0, 3.0, 3600.0, 0.0, None)
    steps_own = Policy(7, "linear", 10.0, 2.0, 25.0, 0.0, 9.0)
    assert found == {
        "flow/plain": workflows,
        "flow/own": steps_own,
        "flow/own#2": dataclasses.replace(steps_own, retries=0),
        "flow/again": Policy(2, "fixed", 0.1, 2.0, 3600.0, 0.0, 3.0),
        "flow/plain#2": dataclasses.replace(workflows, delay=60.0, factor=2.0, max=5400.0, jitter=0.1),
        "flow/own#4": steps_own,
        "helper/plain": workflows,
    }


@pytest.mark.feature(3, 4)
@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("", [1, 2, 4, 8, 16]),
        ('backoff=Backoff("1s", factor=2, max="1h", jitter=0)', [1, 2, 4, 8, 16]),
        ('backoff=Backoff("2s", factor=3, max="20s", jitter=0)', [2, 6, 18, 20, 20]),
        ('backoff=Backoff("2s", kind="linear", max="7s", jitter=0)', [2, 4, 6, 7, 7]),
        ('backoff=Backoff("2s", kind="fixed", jitter=0)', [2, 2, 2, 2, 2]),
        ('backoff=Backoff("45m", jitter=0)', [2700, 3600, 3600, 3600, 3600]),
    ],
)
@pytest.mark.parametrize("level", ["workflow", "step", "call"])
def test_the_delays_before_the_retries(backoff: str, delays: list[float], level: str) -> None:
    at = {name: backoff if name == level else "" for name in ("workflow", "step", "call")}
    call = f"a.with_({at['call']})" if at["call"] else "a"
    text = (
        "from flowgraph import Backoff, step, workflow\n"
        f"@step({at['step']})\nasync def a(n: int) -> int: ...\n"
        f"@workflow({at['workflow']})\nasync def flow(n: int) -> int:\n    return await {call}(n)\n"
    )
    (policy,) = policies(text).values()
    assert [delay_before(policy, retry, 0.5) for retry in range(1, 6)] == delays


@pytest.mark.feature(3, 4)
def test_jitter_spreads_by_a_tenth_unless_told_otherwise() -> None:
    policy = policies(LEVELS)["flow/plain#2"]
    assert delay_before(policy, 1, 0.0) == pytest.approx(54)
    assert delay_before(policy, 1, 0.999999) == pytest.approx(66, abs=0.01)
    assert delay_before(policy, 99, 0.9) == 5400, "never more than the maximum"


FAULTS = """
@step
async def pay(n: int) -> int: ...

@workflow
async def flow(n: int) -> int:
    await pay.with_(retries=-1)(n)  # error: FG320
    await pay.with_(timeout="soon")(n)  # error: FG321
    await pay.with_(backoff=Backoff("soon"))(n)  # error: FG321
    await pay.with_(name="a/b")(n)  # error: FG320
    return await pay.with_(retries=2)(n)
"""
MISUSES = """
@step
async def pay(n: int) -> int: ...

@workflow
async def flow(n: int) -> int:
    await pay.with_(retries=n)(n)  # error: FG100
    await pay.with_(backoff=Backoff(nope=1))(n)  # error: FG100
    await pay.with_(nope=1)(n)  # error: FG172
    await pay.with_(2)(n)  # error: FG172
    await pay.with_(retries=1).with_(retries=1)(n)  # error: FG112
    await flow.with_(retries=1)(n)  # error: FG112
    pay.with_(retries=1)(n)  # error: FG113
    later = pay.with_(retries=1)  # error: FG114
    return n
"""


@pytest.mark.feature(21)
@pytest.mark.parametrize("body", [FAULTS, MISUSES])
def test_wrong_options_are_found_at_their_call(body: str) -> None:
    codes = {code for _, code in marked(body)}
    assert codes_by_line(body, *codes) == marked(body)


def test_a_wrong_argument_is_found_behind_options() -> None:
    body = """
@step
async def pay(n: int) -> int: ...

@workflow
async def flow(n: int) -> int:
    return await pay.with_(retries=1)("x")  # error: FG170
"""
    assert codes_by_line(body, "FG170") == marked(body)
