"""Decorators and policies only annotate: they keep what was written and never judge it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from flowgraph import Backoff, Cron, Event, RetryAfter, Step, Subflow, Workflow, invariant, pure, step, subflow, workflow
from flowgraph.options import UNSET, StepOptions, WorkflowOptions, given_or


class Ordered(Event, name="order.created"):
    id: str


@step
async def ship(order: str, fast: bool = False) -> str:
    """Send it."""
    return order


@step(name="bill.customer", aliases=("charge",), retries=-3, timeout="soon", backoff=Backoff("?"))
def bill(order: str) -> str:
    return order


@workflow(on=(Ordered, Cron("61 * * * *", tz="Nowhere")), retries=2)
async def fulfil(event: Ordered) -> str:
    return await ship(event.id)


@workflow
async def bare() -> None:
    """Do nothing."""


@subflow
async def helper(n: int) -> int:
    return n


def test_objects_keep_the_function_and_look_like_it() -> None:
    for thing, kind in ((ship, Step), (helper, Subflow), (bare, Workflow)):
        assert isinstance(thing, kind)
        assert thing.fn.__name__ == thing.name == thing.__name__  # type: ignore[attr-defined]
    assert (ship.__doc__, ship.__module__) == ("Send it.", __name__)


def test_names_and_aliases_are_the_given_ones() -> None:
    assert (bill.name, bill.aliases) == ("bill.customer", ("charge",))
    assert (ship.name, ship.aliases) == ("ship", ())


def test_a_text_alone_is_one_alias() -> None:
    class Renamed(Event, aliases="old.name"): ...

    assert step(aliases="send")(ship.fn).aliases == ("send",)
    assert workflow(aliases="flow")(bare.fn).aliases == ("flow",)
    assert Renamed.event_aliases == ("old.name",)


def test_bad_options_are_kept_for_the_check_to_report() -> None:
    assert bill.options.given() == {
        "name": "bill.customer",
        "aliases": ("charge",),
        "retries": -3,
        "timeout": "soon",
        "backoff": Backoff("?"),
    }


def test_what_was_left_out_is_told_from_a_default() -> None:
    assert StepOptions().given() == {}
    assert WorkflowOptions(retries=4).given() == {"retries": 4}
    assert repr(ship.options.retries) == "UNSET"
    assert given_or(UNSET, 7) == 7
    assert given_or(0, 7) == 0


def test_an_unknown_option_is_an_error_of_the_call_as_anywhere_in_python() -> None:
    options: dict[str, Any] = {"retires": 3}
    with pytest.raises(TypeError, match="retires"):
        step(**options)


def test_triggers_are_a_flat_tuple_whatever_was_written() -> None:
    assert fulfil.options.triggers() == (Ordered, Cron("61 * * * *", tz="Nowhere"))
    assert bare.options.triggers() == ()
    assert WorkflowOptions(on=Ordered).triggers() == (Ordered,)


def test_with_changes_one_call_and_not_the_step() -> None:
    other = bill.with_(retries=0, timeout="5s")
    assert (other.options.retries, other.options.timeout, other.name) == (0, "5s", "bill.customer")
    assert bill.options.retries == -3


def test_pure_and_invariant_return_the_function_itself() -> None:
    def fn(x: int) -> bool:
        return x > 0

    assert pure(fn) is fn
    assert invariant(fn) is fn
    assert vars(fn) == {"__flowgraph_pure__": True, "__flowgraph_invariant__": True}


def test_a_step_outside_any_run_is_a_plain_call() -> None:
    async def main() -> tuple[str, str]:
        return await ship("a"), await bill("b")

    assert asyncio.run(main()) == ("a", "b")


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        (Backoff(), [1, 2, 4, 8]),
        (Backoff("2s", factor=3, max="10s"), [2, 6, 10, 10]),
        (Backoff("2s", kind="linear"), [2, 4, 6, 8]),
        (Backoff("2s", kind="fixed"), [2, 2, 2, 2]),
    ],
)
def test_backoff_delays(backoff: Backoff, seconds: list[int]) -> None:
    assert [backoff.delay_before(k) for k in range(1, 5)] == [timedelta(seconds=s) for s in seconds]


def test_backoff_is_spread_by_chance_and_never_passes_its_maximum() -> None:
    backoff = Backoff("10s", jitter=0.1, max="10s")
    assert backoff.delay_before(1, 0.0) == timedelta(seconds=9)
    assert backoff.delay_before(1, 0.999) == timedelta(seconds=10)
    assert Backoff(max="1h").delay_before(5000) == timedelta(hours=1)


def test_retry_after_keeps_its_delay_and_explains_itself() -> None:
    error = RetryAfter("30s")
    assert (error.delay, str(error)) == ("30s", "retry after 30s")
    assert str(RetryAfter("30s", "rate limited")) == "rate limited"
