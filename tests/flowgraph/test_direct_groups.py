"""The direct run: groups, cancellation, scopes."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from flowgraph import (
    Cancelled,
    Err,
    NonRetriable,
    Ok,
    fan_out,
    now,
    parallel,
    race,
    saga,
    settle,
    sleep,
    step,
    subflow,
    timeout,
    workflow,
)
from flowgraph.context import current_step
from flowgraph.direct import current_run, direct_run
from flowgraph.errors import LimitExceeded
from flowgraph.fan_outs import FAN_OUT_LIMIT
from flowgraph.virtual import run_virtual

LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


@step
async def log(text: str) -> str:
    LOG.append(text)
    return text


@step(retries=0)
async def work(name: str, seconds: float, fail: bool = False) -> str:
    LOG.append(f"{name} starts")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        LOG.append(f"{name} interrupted")
        raise
    LOG.append(f"{name} ends")
    if fail:
        raise ValueError(name)
    return name


@subflow
async def naps(name: str) -> str:
    try:
        await sleep("1d")
        return name
    except Cancelled:
        await log(f"{name} cancelled")
        raise
    finally:
        await log(f"{name} cleans")
        await sleep("1m")
        await log(f"{name} clean")


@subflow
async def busy(name: str, seconds: float) -> None:
    await work(name, seconds)
    await log(f"{name} went on")


@workflow
async def in_order() -> tuple[str, str, str]:
    return await parallel(work("a", 3), work("b", 2), work("c", 1))


def test_parallel_gives_results_in_argument_order() -> None:
    assert run_virtual(in_order()) == ("a", "b", "c")
    assert LOG == ["a starts", "b starts", "c starts", "c ends", "b ends", "a ends"]


@subflow
async def breaks() -> None:
    try:
        await sleep("1d")
    finally:
        await sleep("5s")
        {}[1]  # type: ignore[index]


@workflow
async def one_fails() -> str:
    try:
        await parallel(naps("n"), busy("busy", 100), work("bad", 10, fail=True), breaks(), work("late", 20, fail=True))
    except ValueError as error:
        return f"{error} {error.__notes__}"
    return "no failure"


def test_the_first_failure_wakes_sleepers_lets_attempts_finish_and_is_raised_with_the_others_as_notes() -> None:
    assert run_virtual(one_fails()) == "bad ['also failed: KeyError: 1']"
    assert LOG[:4] == ["busy starts", "bad starts", "late starts", "bad ends"]
    assert LOG[4:] == ["n cancelled", "n cleans", "late ends", "n clean", "busy ends"]


@workflow
async def wakes_at(name: str) -> timedelta:
    began = now()
    failed = False
    try:
        await parallel(naps(name), work("bad", 0, fail=True))
    except ValueError:
        failed = True
    assert failed
    return now() - began


def test_clean_up_is_waited_for() -> None:
    assert run_virtual(wakes_at("n")) == timedelta(minutes=1)


@workflow
async def cancelled_while_cleaning() -> None:
    await parallel(cleans_up_long(), work("bad", 5, fail=True))


@subflow
async def cleans_up_long() -> None:
    try:
        await log("body")
    finally:
        await sleep("1h")
        await log("shielded")
    await log("never")


def test_a_finally_body_is_not_interrupted_and_nothing_follows_it() -> None:
    with pytest.raises(ValueError, match="bad"):
        run_virtual(cancelled_while_cleaning())
    assert LOG == ["body", "bad starts", "bad ends", "shielded"]


@workflow
async def cleans_in_parallel() -> None:
    try:
        async with timeout("1s"):
            try:
                await sleep("1h")
            finally:
                await parallel(work("x", 60), naps("n"))
    except TimeoutError as error:
        await log(str(error))


def test_groups_inside_a_finally_body_are_shielded_too() -> None:
    run_virtual(cleans_in_parallel())
    assert LOG == ["x starts", "x ends", "n cleans", "n clean", "timed out after 1s"]


@workflow
async def scores(limit: int | None, bad: int) -> list[str]:
    return await fan_out((work(str(n), 1, n == bad) for n in range(5)), limit=limit)


def test_fan_out_keeps_the_order_and_the_limit() -> None:
    assert run_virtual(scores(2, -1)) == list("01234")
    assert LOG[:6] == ["0 starts", "1 starts", "0 ends", "1 ends", "2 starts", "3 starts"]


def test_fan_out_drops_what_has_not_started() -> None:
    with pytest.raises(ValueError, match="1"):
        run_virtual(scores(2, 1))
    assert "3 starts" not in LOG


def test_fan_out_of_nothing_is_nothing() -> None:
    @workflow
    async def main() -> list[str]:
        return await fan_out(work(n, 1) for n in list[str]())

    assert run_virtual(main()) == []


@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize("limit", [0, -1, "2"])
def test_fan_out_refuses_a_limit_that_lets_nobody_begin(limit: Any, size: int) -> None:
    @workflow
    async def main() -> list[str]:
        return await fan_out((work(str(n), 1) for n in range(size)), limit=limit)

    with pytest.raises(ValueError, match="it must be a whole number from 1"):
        run_virtual(main())
    assert LOG == []


def test_fan_out_has_a_largest_size() -> None:
    @workflow
    async def main() -> None:
        await fan_out(nothing() for _ in range(FAN_OUT_LIMIT + 1))

    with pytest.raises(LimitExceeded, match="branches of a fan-out is limited to 100,000, found 100,001"):
        run_virtual(main())


async def nothing() -> None:
    raise AssertionError("it has begun")


def test_a_wide_fan_out_costs_the_same_for_each_branch() -> None:
    @workflow
    async def main() -> int:
        return len(await fan_out((log(str(n)) for n in range(3000)), limit=50))

    assert run_virtual(main()) == 3000


@workflow
async def settled() -> list[Any]:
    outcomes = await settle(work(str(n), n, fail=n == 1) for n in range(3))
    pair = await settle(work("x", 1), work("y", 1, fail=True))
    return [[o.value if isinstance(o, Ok) else str(o.error) for o in group] for group in (outcomes, pair)]


def test_settle_gives_every_outcome_and_cancels_nothing() -> None:
    assert run_virtual(settled()) == [["0", "1", "2"], ["x", "y"]]


def test_outcomes_are_matchable() -> None:
    def show(outcome: Ok[int] | Err) -> str:
        match outcome:
            case Ok(value):
                return f"ok {value}"
            case Err(error):
                return f"err {error}"

    assert [show(Ok(1)), show(Err(ValueError("x")))] == ["ok 1", "err x"]


@workflow
async def first(fail: bool) -> str:
    return await race(work("slow", 50), naps("n"), work("fast", 5, fail))


def test_race_is_decided_by_the_first_end_and_interrupts_the_losers() -> None:
    assert run_virtual(first(False)) == "fast"
    assert LOG == ["slow starts", "fast starts", "fast ends", "slow interrupted", "n cancelled", "n cleans", "n clean"]
    with pytest.raises(ValueError, match="fast"):
        run_virtual(first(True))


@workflow
async def limited(seconds: int) -> str:
    try:
        async with timeout("10s"):
            return await work("w", seconds)
    except TimeoutError as error:
        await sleep("1s")
        return str(error)


def test_a_timeout_interrupts_the_step_and_the_run_goes_on() -> None:
    assert run_virtual(limited(5)) == "w"
    assert run_virtual(limited(50)) == "timed out after 10s"
    assert LOG[-2:] == ["w starts", "w interrupted"]


@workflow
async def nested() -> list[str]:
    told: list[str] = []
    try:
        async with timeout("10s"):
            try:
                async with timeout("1h"):
                    await naps("n")
            except TimeoutError:
                told.append("inner")
    except TimeoutError:
        told.append("outer")
    return told


@subflow
async def tidies(name: str) -> None:
    try:
        await sleep("1d")
    except Cancelled:
        await sleep("1h")
        await log(f"{name} tidied")
        raise


@subflow
async def loses_a_branch() -> None:
    await parallel(tidies("t"), work("bad", 1, fail=True))


@workflow
async def cancelled_as_well() -> None:
    await parallel(loses_a_branch(), stops_its_run("2s"))


def test_a_branch_is_cancelled_once() -> None:
    with pytest.raises(Cancelled):
        run_virtual(cancelled_as_well())
    assert LOG == ["bad starts", "bad ends", "t tidied"]


def test_a_timeout_speaks_only_for_its_own_deadline() -> None:
    assert run_virtual(nested()) == ["outer"]
    assert LOG == ["n cancelled", "n cleans", "n clean"]


@step(retries=0)
def blocks(release: float) -> None:
    threading.Event().wait(release)
    LOG.append("thread ends")


def test_a_sync_step_is_left_to_its_thread() -> None:
    @workflow
    async def main() -> str:
        try:
            async with timeout("10ms"):
                await blocks(0.2)
        except TimeoutError:
            return "left"
        return "waited"

    assert run_virtual(main()) == "left"


@step
async def undo(name: str) -> None:
    LOG.append(f"undo {name}")
    if name == "stuck":
        raise NonRetriable("cannot undo")


@step(compensate=undo)
async def do(name: str) -> None:
    LOG.append(name)


@subflow
async def does_two() -> None:
    await do("s1")
    await do("s2")


@workflow
async def trip(fail: str) -> None:
    await do("outside")
    async with saga():
        await do("a")
        async with saga():
            await do("inner")
        await parallel(do("stuck"), does_two())
        if fail == "body":
            raise KeyError("body")
        if fail == "step":
            await work("bad", 1, fail=True)
        if fail == "cancel":
            current_run("test").cancel()
            await sleep("1h")
    await log("done")


def test_a_saga_that_succeeds_undoes_nothing() -> None:
    run_virtual(trip(""))
    assert LOG == ["outside", "a", "inner", "stuck", "s1", "s2", "done"]


@pytest.mark.parametrize(("fail", "error"), [("body", KeyError), ("step", ValueError), ("cancel", Cancelled)])
def test_a_saga_undoes_last_first_and_reports_what_could_not_be_undone(fail: str, error: type[BaseException]) -> None:
    with pytest.raises(error) as caught:
        run_virtual(trip(fail))
    assert [entry for entry in LOG if entry.startswith("undo")] == ["undo s2", "undo s1", "undo stuck", "undo inner", "undo a"]
    assert caught.value.__notes__ == ["compensation failed: NonRetriable: cannot undo"]


@subflow
async def told(trigger: dict[str, Any]) -> None:
    await sleep("1s")
    await log(f"on_cancel {trigger}")


@workflow(on_cancel=told)
async def cancellable(n: int) -> None:
    try:
        await parallel(naps("n"), inner(1), stops_its_run("1m"))
    finally:
        await log("outer cleans")


@workflow(on_cancel=told)
async def inner(m: int) -> None:
    await sleep("1d")


@subflow
async def stops_its_run(after: str) -> None:
    await sleep(after)
    current_run("test").cancel()
    await sleep("1d")


def test_a_cancelled_run_cleans_up_children_first_and_then_its_handler_runs() -> None:
    with pytest.raises(Cancelled):
        run_virtual(cancellable(5))
    assert LOG == ["n cancelled", "n cleans", "on_cancel {'m': 1}", "n clean", "outer cleans", "on_cancel {'n': 5}"]


def test_a_run_can_be_cancelled_from_outside() -> None:
    async def main() -> None:
        async with direct_run() as world:
            asyncio.get_running_loop().call_later(5, lambda: [run.cancel() for run in world.runs])
            await in_a_block()

    with pytest.raises(Cancelled):
        run_virtual(main())
    assert LOG == ["w starts", "w interrupted", "cleans", "on_cancel {}"]


@workflow(on_cancel=told)
async def in_a_block() -> None:
    try:
        await work("w", 60)
    finally:
        await log("cleans")


def test_a_task_cancelled_from_outside_takes_its_branches_along() -> None:
    async def main() -> int:
        task = asyncio.create_task(in_order())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(10)
        return sum("ends" in entry for entry in LOG)

    assert run_virtual(main()) == 0


def test_steps_see_their_own_context_in_branches() -> None:
    @step
    async def who() -> str:
        context = current_step()
        assert context is not None
        await asyncio.sleep(0)
        return context.idempotency_key

    @workflow
    async def main() -> list[str]:
        return await fan_out(who() for _ in range(3))

    assert [key.rsplit(":", 1)[1] for key in run_virtual(main())] == ["1", "2", "3"]


@step(retries=0)
async def fails_now(name: str) -> str:
    raise ValueError(name)


@workflow
async def two_fail() -> str:
    try:
        await parallel(fails_now("first"), fails_now("second"), breaks())
    except ValueError as error:
        return f"{error} {error.__notes__}"
    return "no failure"


def test_a_step_that_fails_at_the_moment_of_the_first_failure_is_not_wanted_any_more() -> None:
    """As in the machine, where its outcome comes after the first one has been taken."""
    assert run_virtual(two_fail()) == "first ['also failed: KeyError: 1']"


@workflow
async def failing_winner() -> str:
    try:
        await race(fails_now("first"), breaks())
    except ValueError as error:
        return f"{error} {error.__notes__}"
    return "no failure"


def test_what_fails_in_the_cleanup_of_a_race_is_a_note_of_a_failing_winner() -> None:
    assert run_virtual(failing_winner()) == "first ['also failed: KeyError: 1']"
