"""Four workflows, as a shop might have, whose finished runs fill the database that the pages are measured on."""

from __future__ import annotations

from flowgraph import Event, NonRetriable, step, wait_for, workflow


class Ordered(Event, name="order.placed"):
    order: str
    amount: int


class Paid(Event, name="order.paid"):
    order: str


class Returned(Event, name="order.returned"):
    order: str


@step(retries=0)
async def reserve(order: str) -> str:
    return f"shelf of {order}"


@step(retries=0)
async def charge(amount: int) -> int:
    if amount < 0:
        raise NonRetriable("declined")
    return amount


@workflow(on=Ordered)
async def fulfil(event: Ordered) -> int:
    await reserve(event.order)
    return await charge(event.amount)


@workflow(on=Ordered)
async def collect(event: Ordered) -> bool:
    paid = await wait_for(Paid, where=lambda p: p.order == event.order, timeout="1d")
    return paid is not None


@workflow(on=Returned)
async def take_back(event: Returned) -> str:
    return await reserve(event.order)


@workflow
async def audit(amount: int) -> int:
    return await charge(amount)
