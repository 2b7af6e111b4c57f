"""State as text: what it holds, what it does not, and that a restored run cannot be told from the other."""

from __future__ import annotations

import json

import pytest

from flowgraph.codec import CodecError
from flowgraph_runtime.engine.state import references, restore, snapshot
from tests.engine.driver import drive
from tests.engine.sources import Hand, compiled


def test_only_live_variables_are_stored() -> None:
    hand = Hand(
        compiled(
            """
@workflow
async def flow(secret: str) -> int:
    used = len(secret)
    await add(1)
    return used
"""
        ),
        args=["hush hush"],
    )
    text = snapshot(hand.state, hand.program)
    assert "hush" not in text
    assert '"used":9' in text


def test_what_a_run_has_not_used_is_not_in_its_state_and_states_that_have_it_are_read() -> None:
    hand = Hand(compiled('@workflow\nasync def flow() -> int:\n    await sleep("30d")\n    return 1\n'))
    text = snapshot(hand.state, hand.program)
    unused = {"visits": {}, "cancel_reason": None, "event_id": None, "error": None}
    assert not unused.keys() & json.loads(text).keys()
    assert len(text) < 350, "a million sleeping runs are a million states"
    earlier = json.dumps({**json.loads(text), **unused})
    assert snapshot(restore(earlier, hand.program), hand.program) == text


@pytest.mark.parametrize(("rounds", "digits"), [(300, 12), pytest.param(10_000, 40, marks=pytest.mark.ci)])
def test_a_state_does_not_grow_with_its_history(rounds: int, digits: int) -> None:
    body = f"""
@workflow
async def flow() -> int:
    n = 0
    while n < {rounds}:
        n = await add(n)
        await sleep("1h")
    return n
"""
    sizes = [len(text) for text in drive(compiled(body), "flow", limit=3 * rounds).snapshots[:-1]]
    assert max(sizes[-10:]) - max(sizes[:10]) < digits, "only the numbers have more digits"


def test_branch_results_that_the_journal_holds_are_stored_as_references() -> None:
    body = "@workflow\nasync def flow() -> str:\n    return str(await parallel(note('long ' * 50), note('b'), note('c')))\n"
    hand = Hand(compiled(body))
    hand.done("note", "long " * 50)
    by_value, by_reference = (snapshot(hand.state, hand.program, by_reference=refer) for refer in (False, True))
    assert references(by_reference) == [1]
    assert references(by_value) == []
    assert "long long long" not in json.dumps(json.loads(by_reference)["main"]["wait"][6])
    payloads = {1: json.dumps("long " * 50)}
    restored = restore(by_reference, hand.program, lambda rows: {row: payloads[row] for row in rows})
    assert snapshot(restored, hand.program) == by_value
    with pytest.raises(CodecError, match=r"journal rows \[1\]"):
        restore(by_reference, hand.program)


def test_a_restored_run_knows_what_it_was_executing() -> None:
    body = "@workflow\nasync def flow() -> None:\n    await parallel(add(1), flaky(9), add(3, b=4))\n"
    hand = Hand(compiled(body))
    hand.failed("flaky", ValueError("x"))
    restored = restore(snapshot(hand.state, hand.program), hand.program)
    assert restored.outstanding() == hand.state.outstanding()
    assert [(command.step, command.arguments, command.keywords) for command in restored.outstanding()] == [
        ("add", (1,), {}),
        ("add", (3,), {"b": 4}),
    ]


def test_a_cursor_keeps_reading_the_list_that_the_body_sees() -> None:
    body = """
@workflow
async def flow() -> list[int]:
    xs = [1, 2]
    seen: list[int] = []
    for x in xs:
        seen.append(await add(x))
    xs.append(5)
    return seen + xs
"""
    assert drive(compiled(body), "flow").result == [2, 3, 1, 2, 5]


def test_an_exception_in_a_variable_survives_with_its_traceback() -> None:
    body = """
@workflow
async def flow(n: int) -> str:
    kept: Exception | None = None
    try:
        n = 1 // n
    except ZeroDivisionError as error:
        kept = error
    await add(1)
    if kept is not None:
        raise RuntimeError("later") from kept
    return "none"
"""
    outcome = drive(compiled(body), "flow", [0])
    assert outcome.error is not None
    cause = outcome.error.__cause__
    assert isinstance(cause, ZeroDivisionError)
    assert "n = 1 // n" in vars(cause)["__traceback_text__"]


@pytest.mark.parametrize("text", ['{"format": 99}', "[]", '"x"'])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    hand = Hand(compiled("@workflow\nasync def flow() -> None:\n    await add(1)\n"))
    with pytest.raises(CodecError, match="not a snapshot"):
        restore(text, hand.program)
