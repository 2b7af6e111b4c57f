"""Planted errors: both type checkers report every line marked so, and no other."""
# ruff: noqa: B018, F841, RUF059

from __future__ import annotations

from booking_typed import Deposit, DepositPaid, StayDropped, StayRequested, charge, child, enter, mail

from flowgraph import (
    Batch,
    Concurrency,
    Cron,
    Idempotency,
    Singleton,
    fan_out,
    parallel,
    resource,
    send,
    sleep,
    start,
    step,
    subflow,
    wait_for,
    workflow,
)


@workflow(on=StayRequested)  # E
async def other_event(event: StayDropped) -> None: ...


@workflow(on=StayRequested, concurrency=Concurrency(1, key=lambda e: e.hause_id))  # E
async def mistyped_concurrency_key(event: StayRequested) -> None: ...


@workflow(on=StayRequested, singleton=Singleton(key=lambda e: e.price))  # E
async def key_of_no_key_type(event: StayRequested) -> None: ...


@workflow(on=StayRequested, idempotency=Idempotency(key=lambda e: e.id))  # E
async def mistyped_idempotency_key(event: StayRequested) -> None: ...


@workflow(on=StayRequested, where=lambda e: e.cents > 3)  # E
async def where_of_another_event(event: StayRequested) -> None: ...


@workflow(on=DepositPaid, batch=Batch(5, "1s"))  # E
async def batch_takes_a_list(event: DepositPaid) -> None: ...


@workflow(on=Cron("@daily"))  # E
async def cron_gives_no_event(event: StayRequested) -> None: ...


@workflow(on=StayRequested, retries="3")  # E
async def retries_as_text(event: StayRequested) -> None: ...


@step(timeout=30)  # E
async def a_bare_number_is_no_duration() -> None: ...


@step
async def two_parameters(event: StayDropped, error: Exception) -> None: ...


@workflow(on=StayRequested, on_failure=two_parameters)  # E
async def handler_of_another_event(event: StayRequested) -> None: ...


@subflow
async def returns_text() -> str:
    return "x"


@workflow(on=StayRequested)
async def body(event: StayRequested) -> Deposit:
    mail("a", "b")  # E
    await mail("a")  # E
    await mail("a", "b", copies="2")  # E
    await mail("a", "b", cc="c")  # E
    await charge(event.stay_id, event.guest)  # E
    paid = await wait_for(DepositPaid, where=lambda p: p.stay_id == event.stay_id, timeout="24h")
    await enter(paid.receipt)  # E
    await wait_for(DepositPaid, where=lambda p: p.stayid == event.stay_id, timeout="24h")  # E
    await wait_for(DepositPaid)  # E
    length: str = await enter("x")  # E
    one, two = await parallel(enter("x"), returns_text(), child(1))  # E
    await fan_out(enter(n) for n in [1, 2])  # E
    await start(child, "three")  # E
    await child("three")  # E
    await sleep(5)  # E
    await send(event.guest)  # E
    total: int = await returns_text() + length  # E
    await enter.with_(retires=2)("x")  # E
    resource(Deposit).amount  # E
    return await returns_text()  # E
