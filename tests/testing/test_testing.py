"""`flowgraph_runtime.testing`: the real engine under a test, with a clock that stands still."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from flowgraph.context import resource
from flowgraph_runtime import testing
from flowgraph_runtime.errors import CompilationRefused, InputRejected
from tests.testing import flows
from tests.testing.flows import (
    CalledOff,
    Declined,
    Paid,
    Placed,
    Rates,
    Receipt,
    Reserved,
    Shipped,
    between_nudges,
    charge,
    convert,
    daily,
    follow_up,
    hang,
    hangs,
    keep,
    nap,
    order,
    pay,
    pay_all,
    price,
    waits_for_ever,
)

R = TypeVar("R")
PLACED = Placed(orderId="o-1")
PAID = Paid(order_id="o-1", payment_id="p-1")
SENT = Receipt(payment="p", parcel="parcel-1")


def play(scenario: Coroutine[Any, Any, R]) -> R:
    return asyncio.run(scenario)


def test_a_workflow_runs_to_its_end_with_events_and_faked_steps() -> None:
    assert testing.run(order, PLACED, events=[PAID], steps={charge: SENT}) == Receipt(payment="p-1", parcel="parcel-1")


def test_a_wait_from_now_on_takes_what_the_same_run_sends_behind_it_at_the_same_moment() -> None:
    assert testing.run(between_nudges) == asyncio.run(between_nudges()) == [2, 1]


@pytest.mark.feature(2)
def test_a_month_of_sleep_takes_no_time() -> None:
    assert testing.run(nap, 30) == "30 days"


def test_a_run_that_fails_raises_its_own_error() -> None:
    with pytest.raises(Exception, match="o-1 was not paid") as caught:
        testing.run(order, PLACED)
    assert type(caught.value).__name__ == "NonRetriable"


def test_an_error_that_is_no_class_of_the_workflows_is_raised_as_what_it_is() -> None:
    class Unplugged(OSError):
        pass

    with pytest.raises(Unplugged, match="no cable"):
        testing.run(order, PLACED, events=[PAID], steps={charge: Unplugged("no cable")})


def test_a_fake_may_have_an_outcome_for_each_attempt() -> None:
    async def scenario() -> tuple[Receipt, list[tuple[Any, ...]], list[str]]:
        fake = testing.in_turn(Declined("first"), Declined, lambda order_id, cents: SENT)
        async with testing.engine(flows, steps={charge: fake}, skip_time=True) as app:
            run = await app.start(order, PLACED)
            await app.send(PAID)
            result = await run.result()
            (row,) = [step for step in await run.steps() if step.name == "charge"]
            return result, app.calls(charge), [attempt.status for attempt in row.instances[0].attempts]

    result, calls, attempts = play(scenario())
    assert result.parcel == "parcel-1"
    assert calls == [("o-1", 500, "EUR")] * 3
    assert attempts == ["failed", "failed", "completed"]


def test_time_stands_still_until_it_is_told_to_pass() -> None:
    async def scenario() -> None:
        start = datetime(2030, 1, 1, tzinfo=UTC)
        async with testing.engine(flows, start=start) as app:
            run = await app.start(nap, 2, note="slept")
            assert (app.now, await run.status()) == (start, "sleeping")
            await app.advance("47h59m")
            assert await run.status() == "sleeping"
            await app.advance(timedelta(minutes=1))
            assert await run.result() == "2 days slept"
            assert app.now == datetime(2030, 1, 3, tzinfo=UTC)
            await app.advance_to(datetime(2030, 2, 1, tzinfo=UTC))
            with pytest.raises(ValueError, match="time does not go back"):
                await app.advance_to(start)

    play(scenario())


def test_what_is_due_at_once_happens_although_the_time_stands_still() -> None:
    async def scenario() -> None:
        async with testing.engine(flows, steps={convert: 7}, skip_time=True) as app:
            run = await app.start(keep, Reserved(order_id="o-1"))
            assert app.calls(convert) == [(500,)], "neither the look for events that cancel it nor a sleep of no time holds it"
            assert await run.result() == "kept for 7"
            called_off = await app.start(keep, Reserved(order_id="o-1"))
            await app.send(CalledOff(order_id="o-1"))
            assert await called_off.status() == "cancelled"

    play(scenario())


def test_events_start_runs_that_a_test_can_follow() -> None:
    async def scenario() -> None:
        async with testing.engine(flows, steps={charge: SENT}) as app:
            (run,) = await app.send(PLACED, id="once")
            await app.send(PLACED, id="once")
            assert [each.id for each in await app.runs(order)] == [run.id]
            await app.send(Paid(order_id="o-2", payment_id="p-2"))
            assert app.calls(charge) == []
            await app.send(PAID)
            assert await run.result() == Receipt(payment="p-1", parcel="parcel-1")
            assert await app.events(Shipped) == [Shipped(order_id="o-1")]
            (asked,) = await app.runs(follow_up)
            assert await asked.status() == "sleeping"
            await app.advance("14d")
            assert await asked.result() == "how was o-1?"

    play(scenario())


def test_schedules_fire_at_their_moments_when_time_passes() -> None:
    async def scenario() -> list[str]:
        async with testing.engine(flows, start=datetime(2030, 7, 1, 12, tzinfo=UTC)) as app:
            await app.advance("48h")
            return [await run.result() for run in await app.runs(daily)]

    assert play(scenario()) == ["2030-07-02T09:00:00+02:00", "2030-07-03T09:00:00+02:00"]


def test_a_run_that_waits_says_where_and_how_long() -> None:
    async def scenario() -> tuple[str, str]:
        async with testing.engine(flows) as app:
            with pytest.raises(testing.NotEnded) as timed:
                await (await app.start(order, PLACED)).result()
            with pytest.raises(testing.NotEnded) as endless:
                await (await app.start(nap, 1)).result()
            return str(timed.value), str(endless.value)

    timed, endless = play(scenario())
    assert "of 'order' has not ended, it is waiting:" in timed
    assert "wait Paid (running)" in timed
    assert "due in 1d" in timed
    assert '`await app.advance("1d")` lets it pass' in endless


def test_a_run_that_nothing_can_end_says_so() -> None:
    with pytest.raises(testing.NotEnded, match="no timer is set: only an event can bring it on"):
        testing.run(waits_for_ever)


def test_a_cancelled_run_has_no_result() -> None:
    async def scenario() -> None:
        async with testing.engine(flows) as app:
            run = await app.start(nap, 1)
            await run.cancel("enough")
            assert await run.status() == "cancelled"
            assert isinstance(await run.error(), testing.RunCancelled)
            with pytest.raises(testing.RunCancelled, match="enough"):
                await run.result()

    play(scenario())


def test_resources_are_given_to_the_engine_or_around_it() -> None:
    assert testing.run(price, 5, resources={Rates: Rates(3)}) == 15
    with testing.resources({Rates: Rates(2)}):
        assert testing.run(price, 5) == 10
        with testing.resources({str: "more"}):
            assert resource(Rates).rate == 2, "what is around stays"
        assert asyncio.run(convert(7)) == 14, "a step that a test calls by itself"


def test_a_fake_of_the_wrong_type_is_told_at_once() -> None:
    with pytest.raises(testing.BadFake, match="the fake of step 'convert' gave '15': Input should be a valid integer"):
        testing.run(price, 5, steps={convert: "15"})
    with pytest.raises(LookupError, match="no served workflow has a step 'unserved': the steps are charge, convert, hang"):
        testing.run(price, 5, steps={convert.with_(name="unserved"): 1})


def test_a_step_that_hangs_is_named() -> None:
    async def scenario() -> None:
        async with testing.engine(flows, patience=0.1) as app:
            with pytest.raises(testing.StillRunning, match=r"'hang' \(attempt 1 in run_"):
                await app.start(hangs)

    play(scenario())
    assert hang.options.retries == 0


def test_bad_input_is_refused_as_by_the_server() -> None:
    async def scenario() -> None:
        async with testing.engine([nap]) as app:
            with pytest.raises(TypeError, match="missing a required argument"):
                await app.start(nap)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
            with pytest.raises(InputRejected, match="/days"):
                await app.start(nap, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    play(scenario())


def test_a_module_with_errors_is_refused_with_the_report() -> None:
    async def scenario() -> None:
        async with testing.engine("tests/testing/broken_flows.py"):
            raise AssertionError

    with pytest.raises(CompilationRefused, match=r"FG\d+"):
        play(scenario())


def test_the_interpreter_is_left_as_it_was() -> None:
    gc.unfreeze()  # a server of another test in this process may have frozen what there was
    before = sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()
    assert testing.run(nap, 1) == "1 days"
    assert (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()) == before


def test_children_and_started_runs_run_on_the_same_clock_with_the_same_fakes() -> None:
    def charged(order_id: str, cents: int, currency: str = "EUR") -> Receipt:
        if order_id == "bad":
            raise Declined(order_id)
        return Receipt(payment=f"p-{order_id}")

    async def scenario() -> None:
        async with testing.engine(flows, steps={charge: charged}, skip_time=True, on_schedule=False) as app:
            started = await app.start(pay_all, ["a", "bad"])
            assert await started.result() == ["p-a", "bad"]
            children = await app.runs(pay)
            assert [await child.status() for child in children] == ["completed", "failed", "sleeping"]
            assert await children[2].result() == "p-tip"
            assert len(app.calls(charge)) == 5, "three attempts of the one that fails"

    asyncio.run(scenario())
