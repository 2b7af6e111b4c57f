"""Workflows whose arguments and results go over the wire with their types."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum

from pydantic import BaseModel, Field

from flowgraph import Event, NonRetriable, sleep, step, wait_for, workflow


class Board(Enum):
    NONE = "none"
    FULL = "full"


class Guest(BaseModel):
    given_name: str = Field(alias="givenName")


class Asked(Event, name="stay.asked"):
    stay_id: str = Field(alias="stayId")
    guest: Guest


class Answered(Event, name="stay.answered"):
    stay_id: str


@dataclass
class Offer:
    price: Decimal
    arrival: date
    board: Board
    notice: timedelta
    guests: tuple[Guest, ...] = ()


@step(retries=1)
async def refuse(reason: str) -> None:
    raise NonRetriable(reason)


@workflow
async def offer(price: Decimal, arrival: date, *, board: Board = Board.NONE) -> Offer:
    return Offer(price=price * 2, arrival=arrival, board=board, notice=timedelta(days=2), guests=(Guest(givenName="Ada"),))


@workflow(on=Asked)
async def stay(event: Asked) -> Guest:
    answered = await wait_for(Answered, where=lambda answered: answered.stay_id == event.stay_id, timeout="1h")
    if answered is None:
        raise NonRetriable("nobody answers")
    return event.guest


@workflow
async def fails(reason: str) -> None:
    await refuse(reason)


@workflow
async def sleeps() -> int:
    await sleep("10d")
    return 1
