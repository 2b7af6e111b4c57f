"""A trip is booked as a whole or not at all: flight and hotel are held, and given back when nobody confirms in an hour or the
card is declined.

flowgraph run examples/trips/trips.py:book_trip --skip-time \
    --input '{"trip_id": "t-1", "traveller": "ada", "city": "Lisbon"}' \
    --event trip.confirmed='{"trip_id": "t-1", "card": "4242"}'
"""

from pydantic import BaseModel

from flowgraph import Event, NonRetriable, parallel, saga, step, step_context, timeout, wait_for, workflow


class TripRequested(Event, name="trip.requested"):
    """Somebody has chosen a city."""

    trip_id: str
    traveller: str
    city: str


class TripConfirmed(Event, name="trip.confirmed"):
    """The traveller has entered a card."""

    trip_id: str
    card: str


class CardDeclined(NonRetriable):
    """The bank said no."""


class Trip(BaseModel):
    """What became of it."""

    flight: str | None = None
    hotel: str | None = None
    problem: str | None = None


@step
async def cancel_flight(trip_id: str, city: str) -> None:
    """Give the seat back; safe to repeat."""
    step_context().logger.info("flight to %s of %s cancelled", city, trip_id)


@step(compensate=cancel_flight)
async def book_flight(trip_id: str, city: str) -> str:
    """Hold a seat."""
    return f"flight to {city} ({trip_id})"


@step
async def cancel_hotel(trip_id: str, city: str) -> None:
    """Give the room back; safe to repeat."""
    step_context().logger.info("hotel in %s of %s cancelled", city, trip_id)


@step(compensate=cancel_hotel)
async def book_hotel(trip_id: str, city: str) -> str:
    """Hold a room."""
    return f"hotel in {city} ({trip_id})"


@step
async def charge(trip_id: str, card: str) -> None:
    """Take the money; a card that ends in 0 has none."""
    if card.endswith("0"):
        raise CardDeclined(f"card {card} was declined for {trip_id}")


@workflow(on=TripRequested)
async def book_trip(event: TripRequested) -> Trip:
    """Hold, wait for the card, charge; whatever goes wrong, nothing stays booked."""
    try:
        async with timeout("1h"), saga():
            flight, hotel = await parallel(
                book_flight(event.trip_id, event.city),
                book_hotel(event.trip_id, event.city),
            )
            confirmed = await wait_for(TripConfirmed, where=lambda c: c.trip_id == event.trip_id, timeout=None)
            await charge(event.trip_id, confirmed.card)
    except TimeoutError:
        return Trip(problem="nobody has confirmed")
    except CardDeclined as error:
        return Trip(problem=str(error))
    return Trip(flight=flight, hotel=hotel)
