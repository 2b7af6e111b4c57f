"""The direct run: steps, values, retries, handlers, child runs."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from flowgraph import (
    Event,
    NonRetriable,
    RetryAfter,
    RunTimeout,
    StepTimeout,
    now,
    resource,
    run_info,
    send,
    sleep,
    start,
    step,
    step_context,
    subflow,
    uuid,
    workflow,
)
from flowgraph.context import resources_scope
from flowgraph.direct import direct_run
from flowgraph.errors import CodecError, NotInRun, NotInStep
from flowgraph.virtual import run_virtual

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    CALLS.clear()


@dataclasses.dataclass
class Basket:
    items: list[str]


class Placed(Event, name="placed"):
    id: str


class Pool:
    name = "pool"


@step
async def add(basket: Basket, item: str) -> Basket:
    basket.items.append(item)
    return basket


@step
async def flaky(fail: int) -> int:
    context = step_context()
    CALLS.append((context.attempt, context.idempotency_key))
    if context.attempt <= fail:
        raise ValueError(f"attempt {context.attempt}")
    return context.attempt


@step
def in_thread(a: int) -> tuple[int, bool]:
    return a, threading.current_thread() is threading.main_thread()


@step
async def refuse() -> None:
    CALLS.append("refuse")
    raise NonRetriable("no")


@step
async def note(what: Any, error: Exception | None = None) -> None:
    CALLS.append((what, getattr(error, "flowgraph", None) and (error.flowgraph.step, error.flowgraph.attempts)))  # type: ignore[union-attr]


@step(timeout="5s", retries=1)
async def slow() -> None:
    CALLS.append("slow")
    await asyncio.sleep(60)


@subflow
async def tripled(n: int) -> list[int]:
    return [await flaky(0)] * n


@workflow
async def shop() -> tuple[list[str], list[str]]:
    basket = Basket([])
    other = await add(basket, "tea")
    return basket.items, other.items


def test_arguments_and_results_go_by_value() -> None:
    assert run_virtual(shop()) == ([], ["tea"])


@workflow
async def sharing() -> list[list[str]]:
    return await both(["x"])


@subflow
async def both(items: list[str]) -> list[list[str]]:
    mine = [items, items]
    mine[0].append("y")
    return mine


def test_aliases_live_within_a_body_and_survive_a_call() -> None:
    result = run_virtual(sharing())
    assert result == [["x", "y"], ["x", "y"]]
    assert result[0] is result[1]


@workflow(retries=3)
async def inherits(fail: int) -> int:
    return await flaky(fail)


@workflow(retries=3)
async def overrides(fail: int) -> int:
    return await flaky.with_(retries=1)(fail)


@workflow
async def defaults(fail: int) -> int:
    return await flaky(fail)


@pytest.mark.parametrize(("run", "allowed"), [(inherits, 3), (overrides, 1), (defaults, 4)])
def test_retries_are_those_of_the_call_the_step_the_workflow_or_four(run: Callable[[int], Any], allowed: int) -> None:
    assert run_virtual(run(allowed)) == allowed + 1
    with pytest.raises(ValueError, match=f"attempt {allowed + 1}"):
        run_virtual(run(allowed + 1))


def test_all_attempts_of_one_visit_share_the_key_and_visits_do_not() -> None:
    @workflow
    async def twice() -> None:
        await flaky(1)
        await flaky(0)

    run_virtual(twice())
    (_, first), (_, again), (_, second) = CALLS
    assert first == again
    assert first.endswith(":flaky:1")
    assert second.endswith(":flaky:2")


@workflow(retries=9)
async def stubborn() -> None:
    await refuse()


def test_a_non_retriable_error_ends_the_step_at_once() -> None:
    with pytest.raises(NonRetriable, match="no"):
        run_virtual(stubborn())
    assert CALLS == ["refuse"]


def test_retry_after_is_an_attempt_like_any_other_without_the_delay() -> None:
    @step(retries=2)
    async def limited() -> int:
        if step_context().attempt < 3:
            raise RetryAfter("1h")
        return step_context().attempt

    @workflow
    async def main() -> tuple[int, bool]:
        began = now()
        return await limited(), now() == began

    assert run_virtual(main()) == (3, True)


def test_sync_steps_run_in_a_thread() -> None:
    @workflow
    async def main() -> tuple[int, bool]:
        return await in_thread(3)

    assert run_virtual(main()) == (3, False)


@workflow
async def hurried() -> None:
    await slow()


def test_a_step_timeout_is_one_of_each_attempt() -> None:
    with pytest.raises(StepTimeout, match="step 'slow' timed out after 5s") as caught:
        run_virtual(hurried())
    assert isinstance(caught.value, TimeoutError)
    assert CALLS == ["slow", "slow"]


def test_a_step_of_its_own_timeouterror_is_left_alone() -> None:
    @step(timeout="5s", retries=0)
    async def dials() -> None:
        raise TimeoutError("the far side")

    @workflow
    async def main() -> None:
        await dials()

    with pytest.raises(TimeoutError, match="the far side") as caught:
        run_virtual(main())
    assert type(caught.value) is TimeoutError


def test_what_cannot_be_stored_is_refused_at_the_call_with_its_name() -> None:
    @workflow
    async def main() -> None:
        await note({"a": print})

    with pytest.raises(CodecError, match=r"note\.what\.a: a builtin_function_or_method cannot be stored"):
        run_virtual(main())
    assert CALLS == []


def test_a_wrong_argument_is_a_type_error_and_no_attempt() -> None:
    @workflow
    async def main() -> None:
        await flaky(wrong=1)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="missing a required argument"):
        run_virtual(main())
    assert CALLS == []


@workflow(on=Placed, on_failure=note)
async def fails(event: Placed) -> None:
    await flaky.with_(retries=1)(5)


@workflow(on_failure=note)
async def fails_by_hand(a: int, b: int = 2) -> None:
    raise KeyError("body")


def test_the_failure_handler_gets_the_trigger_and_the_error_with_its_step() -> None:
    event = Placed(id="1")
    with pytest.raises(ValueError, match="attempt 2"):
        run_virtual(fails(event))
    assert CALLS[-1] == (event, ("flaky", 2))
    assert CALLS[-1][0] is not event


def test_without_an_event_the_trigger_is_the_input_and_the_body_has_no_step() -> None:
    with pytest.raises(KeyError):
        run_virtual(fails_by_hand(1))
    assert CALLS == [({"a": 1, "b": 2}, (None, 0))]


@workflow(on_failure=stubborn.fn)
async def fails_twice() -> None:
    raise ValueError("first")


def test_a_failing_handler_is_told_beside_the_first_error() -> None:
    with pytest.raises(ValueError, match="first") as caught:
        run_virtual(fails_twice())
    assert any("handler failed: TypeError" in line for line in caught.value.__notes__)


@workflow(timeout="1h", on_failure=note)
async def long() -> None:
    try:
        await sleep("2h")
    finally:
        await note("clean")


def test_a_run_timeout_cleans_up_then_fails() -> None:
    with pytest.raises(RunTimeout, match="run of workflow 'long' timed out after 1h"):
        run_virtual(long())
    assert CALLS == [("clean", None), ({}, (None, 0))]


@workflow(retries=0, on_failure=note)
async def child(n: int) -> str:
    await flaky(n)
    return run_info().workflow


@workflow(retries=9)
async def parent(n: int) -> tuple[str, str]:
    return await child(n), run_info().workflow


def test_a_child_run_has_its_own_settings_and_identity() -> None:
    assert run_virtual(parent(0)) == ("child", "parent")
    with pytest.raises(ValueError, match="attempt 1"):
        run_virtual(parent(1))
    assert CALLS[-1] == ({"n": 1}, ("flaky", 1))


def test_a_subflow_is_part_of_its_run_and_runs_alone_too() -> None:
    @workflow
    async def main() -> list[int]:
        return await tripled(2)

    assert run_virtual(main()) == [1, 1]
    assert run_virtual(tripled(3)) == [1, 1, 1]


def test_started_runs_are_finished_before_the_direct_run_ends() -> None:
    @workflow
    async def aside(n: int) -> None:
        await sleep("1d")
        await note(n)

    @workflow
    async def main() -> str:
        return await start(aside, 7)

    assert run_virtual(main()).startswith("run_")
    assert CALLS == [(7, None)]


def test_primitives_belong_in_a_body() -> None:
    @step
    async def asks() -> None:
        now()

    @step
    async def starts() -> None:
        await shop()

    @workflow
    async def main(which: int) -> None:
        await (asks.with_(retries=0)() if which else starts.with_(retries=0)())

    with pytest.raises(NotInRun, match=r"now\(\) is called inside a step"):
        run_virtual(main(1))
    with pytest.raises(NotInRun, match="workflow 'shop' is called inside a step"):
        run_virtual(main(0))
    with pytest.raises(NotInRun, match=r"uuid\(\) is called outside a workflow run"):
        uuid()
    with pytest.raises(NotInRun, match="outside a workflow run"):
        asyncio.run(sleep("1s"))
    with pytest.raises(NotInStep, match="outside a step"):
        step_context()


def test_resources_come_from_the_direct_run_or_the_scope() -> None:
    @step(retries=0)
    async def uses() -> str:
        return resource(Pool).name

    @workflow
    async def main() -> str:
        return await uses()

    async def given() -> str:
        async with direct_run(resources={Pool: Pool()}):
            return await main()

    assert run_virtual(given()) == "pool"
    with resources_scope({Pool: Pool()}):
        assert asyncio.run(uses()) == "pool"
    with pytest.raises(NotInStep, match="no resource Pool"):
        run_virtual(main())


def test_events_sent_are_seen_by_the_test() -> None:
    @workflow
    async def main() -> None:
        await send(Placed(id="9"))

    async def watched() -> list[Event]:
        async with direct_run() as world:
            await main()
            return world.sent

    sent = run_virtual(watched())
    assert sent == [Placed(id="9")]
    assert sent[0].meta.name == "placed"
    assert (sent[0].meta.source or "").startswith("run_")


def test_it_runs_on_an_ordinary_loop_as_well() -> None:
    @workflow
    async def main() -> int:
        await sleep("10ms")
        return await flaky(1)

    began = time.perf_counter()
    assert asyncio.run(main()) == 2
    assert time.perf_counter() - began >= 0.01
