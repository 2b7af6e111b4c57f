"""An order in several parcels: a run of its own for each, so that one that goes wrong does not hold up the others.

flowgraph run examples/shipping:ship_order --skip-time \
    --input '{"order_id": "o-1", "parcels": [{"id": "p-1", "weight": 2}, {"id": "p-2", "weight": 40}]}'
"""

from __future__ import annotations

import asyncio
import logging

from pydantic import BaseModel

from flowgraph import Err, NonRetriable, Ok, race, settle, sleep, start, step, workflow

log = logging.getLogger("shipping")


class Parcel(BaseModel):
    """One of the parcels of an order; `weight` in kilogrammes."""

    id: str
    weight: float


class Quote(BaseModel):
    """What a carrier asks for."""

    carrier: str
    price: float


class Delivery(BaseModel):
    """How a parcel went out."""

    parcel: str
    carrier: str
    label: str
    place: str


class Shipment(BaseModel):
    """What became of an order; `claim` is the run that looks after what went wrong."""

    order_id: str
    delivered: list[Delivery]
    problems: list[str]
    claim: str | None = None


class ParcelLost(Exception):
    """No depot has seen the parcel."""


@step
async def swift_quote(parcel: Parcel) -> Quote:
    """Ask the quick carrier."""
    return Quote(carrier="Swift", price=9 + 2 * parcel.weight)


@step
async def thrifty_quote(parcel: Parcel) -> Quote:
    """Ask the cheap carrier, which answers late, if at all."""
    await asyncio.sleep(1)
    return Quote(carrier="Thrifty", price=4 + parcel.weight)


@step
async def print_label(parcel: Parcel, quote: Quote) -> str:
    """Hand the parcel over. Fails for good when it is too heavy."""
    if parcel.weight > 30:
        raise NonRetriable(f"{quote.carrier} takes nothing over 30 kg: {parcel.id}")
    return f"{quote.carrier}-{parcel.id}"


@step
async def last_seen(label: str) -> str | None:
    """The depot that has scanned a label last."""
    return None if "lost" in label else "Lyon"


@step
async def tell_support(order_id: str, problems: list[str]) -> None:
    """Tell people what went wrong with an order."""
    log.info("order %s: %s", order_id, "; ".join(problems))


@workflow
async def ship_parcel(parcel: Parcel) -> Delivery:
    """The carrier that answers first gets the parcel."""
    quote = await race(swift_quote(parcel), thrifty_quote(parcel))
    label = await print_label(parcel, quote)
    await sleep("5d")
    place = await last_seen(label)
    if place is None:
        raise ParcelLost(f"nobody has seen parcel {parcel.id} for five days")
    return Delivery(parcel=parcel.id, carrier=quote.carrier, label=label, place=place)


@workflow
async def claim_losses(order_id: str, problems: list[str]) -> None:
    """Look after what went wrong, in a run that nobody waits for."""
    await tell_support(order_id, problems)


@workflow
async def ship_order(order_id: str, parcels: list[Parcel]) -> Shipment:
    """Ship all parcels, three at a time; what one of them comes to is no matter of the others."""
    outcomes = await settle((ship_parcel(parcel) for parcel in parcels), limit=3)
    delivered = [outcome.value for outcome in outcomes if isinstance(outcome, Ok)]
    problems = [str(outcome.error) for outcome in outcomes if isinstance(outcome, Err)]
    claim = await start(claim_losses, order_id, problems) if problems else None
    return Shipment(order_id=order_id, delivered=delivered, problems=problems, claim=claim)
