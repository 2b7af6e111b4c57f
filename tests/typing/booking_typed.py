"""Every public name and option of the language as an author writes it: no error in either type checker."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import assert_never, assert_type
from uuid import UUID

from pydantic import BaseModel

from flowgraph import (
    Backoff,
    Batch,
    Cancelled,
    Concurrency,
    Cron,
    Debounce,
    Err,
    Event,
    EventMeta,
    Idempotency,
    NonRetriable,
    Ok,
    RateLimit,
    RetryAfter,
    RunInfo,
    Singleton,
    Step,
    StepTimeout,
    Throttle,
    fan_out,
    invariant,
    now,
    on,
    parallel,
    pure,
    race,
    resource,
    run_info,
    saga,
    send,
    settle,
    sleep,
    sleep_until,
    start,
    step,
    step_context,
    subflow,
    timeout,
    uuid,
    wait_for,
    workflow,
)


class StayRequested(Event, name="stay.requested"):
    stay_id: str
    house_id: str
    guest: str
    first_night: date
    price: Decimal


class StayDropped(Event, name="stay.dropped"):
    stay_id: str


class DepositPaid(Event, name="deposit.paid"):
    stay_id: str
    receipt: str
    cents: int


class Tick(Event, internal=True):
    zone: str


class Deposit(BaseModel):
    receipt: str
    cents: int


class Stay(BaseModel):
    id: str
    deposit: Deposit | None = None


class Ledger:
    def write(self, line: str) -> int:
        return len(line)


@step
async def give_back(stay_id: str, price: Decimal) -> None:
    step_context().heartbeat({"stay": stay_id})


@step(
    name="charge.deposit",
    aliases=("charge",),
    retries=2,
    backoff=Backoff("2s", kind="linear"),
    timeout="20s",
    compensate=give_back,
)
async def charge(stay_id: str, price: Decimal) -> Deposit:
    if price < 0:
        raise NonRetriable("a negative price")
    if step_context().attempt == 1:
        raise RetryAfter(timedelta(seconds=3))
    return Deposit(receipt=step_context().idempotency_key, cents=int(price * 100))


@step(retries=0, throttle=Throttle(5, "1s"), executor="books", raises=(OSError,))
def enter(line: str) -> int:
    return resource(Ledger).write(line)


@step(concurrency=Concurrency(3), idempotent=True, transactional=False, heartbeat="10s", schedule_to_start="1h")
async def mail(to: str, text: str, copies: int = 1) -> None: ...


@step
async def warn_staff(event: StayRequested, error: Exception) -> None: ...


@subflow
async def forget(event: StayRequested) -> None:
    await mail(event.guest, "cancelled")


@pure
def deadline(first_night: date) -> datetime:
    return datetime(first_night.year, first_night.month, first_night.day, tzinfo=UTC) - timedelta(days=1)


@invariant
def one_deposit(deposits: list[Deposit]) -> bool:
    return len(deposits) <= 1


@subflow
async def announce(house: str, guest: str) -> tuple[str, int]:
    await mail(guest, f"welcome to {house}")
    return house, await enter(house)


@workflow(
    on=StayRequested,
    where=lambda e: e.price > 0,
    retries=3,
    timeout="3d",
    concurrency=[Concurrency(5, key=lambda e: e.house_id), Concurrency(100, scope="run")],
    throttle=Throttle(10, "1m", key=lambda e: e.guest, burst=3),
    priority=lambda e: int(e.price),
    singleton=Singleton(key=lambda e: (e.house_id, e.guest), on_conflict="queue"),
    idempotency=Idempotency(key=lambda e: e.stay_id, period="7d"),
    cancel_on=[on(StayDropped, where=lambda started, event: started.stay_id == event.stay_id)],
    on_failure=warn_staff,
    on_cancel=forget,
)
async def host(event: StayRequested) -> Stay:
    assert_type(event.meta, EventMeta)
    async with saga():
        deposit = await charge(event.stay_id, event.price)
        assert_type(deposit, Deposit)
        assert_type(await enter(deposit.receipt), int)
    both = await parallel(announce(event.house_id, event.guest), mail("house", "a guest"))
    assert_type(both, tuple[tuple[str, int], None])
    await sleep_until(deadline(event.first_night))
    return Stay(id=event.stay_id, deposit=deposit)


@workflow(
    on=StayRequested,
    rate_limit=RateLimit(3, "1h", key=lambda e: e.guest),
    debounce=Debounce("5s", key=lambda e: e.guest, max="1m"),
)
async def await_deposit(event: StayRequested) -> Stay:
    paid = await wait_for(DepositPaid, where=lambda p: p.stay_id == event.stay_id, timeout="24h")
    assert_type(paid, DepositPaid | None)
    if paid is None:
        return Stay(id=event.stay_id)
    return Stay(id=event.stay_id, deposit=Deposit(receipt=paid.receipt, cents=paid.cents))


@workflow(on=DepositPaid, batch=Batch(50, "10s", key=lambda e: e.stay_id))
async def book_all(events: list[DepositPaid]) -> int:
    return sum(event.cents for event in events)


@workflow(on=(StayDropped, DepositPaid))
async def either(event: StayDropped | DepositPaid) -> str:
    return event.stay_id


@workflow(on=Cron("30 7 * * 1-5", tz="Europe/Berlin", catch_up="skip", overlap="skip", jitter="1m"))
async def breakfast() -> None:
    await send(Tick(zone="Europe/Berlin"))


@workflow(on=Cron("@daily"))
async def nightly(scheduled_at: datetime) -> str:
    return scheduled_at.isoformat()


@workflow(retries=1)
async def child(nights: int, quiet: bool = False) -> str:
    return f"{nights} {quiet}"


@workflow
async def everything(houses: list[str]) -> str:
    lengths = await fan_out((enter(house) for house in houses), limit=4)
    assert_type(lengths, list[int])
    for outcome in await settle(announce(house, "g") for house in houses):
        match outcome:
            case Ok(value):
                assert_type(value, tuple[str, int])
            case Err(error):
                assert_type(error, Exception)
            case _:
                assert_never(outcome)
    first, second = await settle(enter("x"), child(2))
    assert_type(first, Ok[int] | Err)
    assert_type(second, Ok[str] | Err)
    assert_type(await race(wait_for(DepositPaid, timeout=None, since="now"), enter("x")), DepositPaid | int)
    assert_type(await start(child, 3, quiet=True), str)
    assert_type(now(), datetime)
    assert_type(uuid(), UUID)
    assert_type(run_info(), RunInfo)
    try:
        async with timeout("5m"):
            await enter.with_(name="enter again", retries=1, timeout=timedelta(seconds=3))("y")
    except (StepTimeout, TimeoutError):
        await sleep("1m")
    except Cancelled:
        raise
    return await child(1)


def takes_a_step(given: Step[[str], int]) -> str:
    return given.name


takes_a_step(enter)
