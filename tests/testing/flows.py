"""Workflows that the tests of `flowgraph_runtime.testing` run."""

import time
from datetime import datetime

from pydantic import BaseModel, Field

from flowgraph import (
    Cron,
    Err,
    Event,
    NonRetriable,
    Ok,
    now,
    on,
    parallel,
    resource,
    send,
    settle,
    sleep,
    start,
    step,
    subflow,
    wait_for,
    workflow,
)


class Placed(Event, name="order.placed"):
    order_id: str = Field(alias="orderId")
    cents: int = 500


class Paid(Event, name="order.paid"):
    order_id: str
    payment_id: str


class Shipped(Event, name="order.shipped"):
    order_id: str


class Receipt(BaseModel):
    payment: str
    parcel: str | None = None


class Rates:
    """A resource: what an outside service would be."""

    def __init__(self, rate: int) -> None:
        self.rate = rate


class Declined(Exception):
    """The card was declined."""


@step(retries=2)
async def charge(order_id: str, cents: int, currency: str = "EUR") -> Receipt:
    raise Declined(f"nobody charges {cents} {currency} for {order_id} in a test")


@step(retries=0)
def convert(cents: int) -> int:
    return cents * resource(Rates).rate


@step(retries=0)
def hang() -> None:
    time.sleep(0.5)


@workflow(on=Placed)
async def order(event: Placed) -> Receipt:
    paid = await wait_for(Paid, where=lambda paid: paid.order_id == event.order_id, timeout="24h")
    if paid is None:
        raise NonRetriable(f"{event.order_id} was not paid")
    receipt = await charge(event.order_id, cents=event.cents)
    await send(Shipped(order_id=event.order_id))
    return Receipt(payment=paid.payment_id, parcel=receipt.parcel)


@workflow(on=Shipped)
async def follow_up(event: Shipped) -> str:
    await sleep("14d")
    return f"how was {event.order_id}?"


@workflow
async def nap(days: int, note: str = "") -> str:
    begun: datetime = now()
    for _ in range(days):
        await sleep("1d")
    return f"{(now() - begun).days} days {note}".strip()


@workflow
async def price(cents: int) -> int:
    return await convert(cents)


@workflow
async def waits_for_ever() -> str:
    paid = await wait_for(Paid, where=lambda paid: paid.order_id == "never", timeout=None)
    return paid.payment_id


@workflow
async def hangs() -> None:
    await hang()


@workflow(on=Cron("0 9 * * *", tz="Europe/Berlin"))
async def daily(at: datetime) -> str:
    return at.isoformat()


class Reserved(Event, name="order.reserved"):
    order_id: str


class CalledOff(Event, name="order.called_off"):
    order_id: str


@workflow(on=Reserved, cancel_on=[on(CalledOff, where=lambda started, event: event.order_id == started.order_id)])
async def keep(event: Reserved) -> str:
    await sleep("0s")
    paid = await convert(500)
    await sleep("30d")
    return f"kept for {paid}"


@workflow
async def pay(order_id: str, cents: int) -> str:
    await sleep("1h")
    return (await charge(order_id, cents)).payment


@workflow
async def pay_all(order_ids: list[str]) -> list[str]:
    paid = await settle(pay(order_id, 100) for order_id in order_ids)
    await start(pay, "tip", 1)
    return [outcome.value for outcome in paid if isinstance(outcome, Ok)] + [
        str(outcome.error) for outcome in paid if isinstance(outcome, Err)
    ]


class Nudge(Event, name="order.nudged"):
    n: int


@subflow
async def nudge(n: int) -> None:
    await send(Nudge(n=n))


@workflow
async def between_nudges() -> list[int]:
    _, first, _ = await parallel(nudge(1), wait_for(Nudge, timeout="1h", since="now"), nudge(2))
    rest = await wait_for(Nudge, timeout="1h")
    return [0 if each is None else each.n for each in (first, rest)]
