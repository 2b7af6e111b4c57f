"""The example of a saga in a timeout, as plain Python and as a machine: both call the same steps and come to the same result."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from trips.trips import Trip, TripConfirmed, TripRequested, book_trip, cancel_flight, cancel_hotel

from flowgraph.direct import direct_run
from flowgraph.virtual import run_virtual
from flowgraph_runtime import testing

REQUEST = TripRequested(trip_id="t-1", traveller="ada", city="Lisbon")
BOOKED = Trip(flight="flight to Lisbon (t-1)", hotel="hotel in Lisbon (t-1)")
DECLINED = Trip(problem="card 4240 was declined for t-1")
LATE = Trip(problem="nobody has confirmed")


def directly(events: list[TripConfirmed]) -> Trip:
    async def main() -> Trip:
        async with direct_run(events=events):
            return await book_trip(REQUEST)

    return run_virtual(main())


def by_machine(events: list[TripConfirmed]) -> Trip:
    return testing.run(book_trip, REQUEST, events=events)


@pytest.mark.parametrize("run", [directly, by_machine])
@pytest.mark.parametrize(("card", "trip"), [("4242", BOOKED), ("4240", DECLINED), (None, LATE)])
def test_a_trip_is_booked_as_a_whole_or_not_at_all(
    run: Callable[[list[TripConfirmed]], Trip], card: str | None, trip: Trip
) -> None:
    assert run([] if card is None else [TripConfirmed(trip_id="t-1", card=card)]) == trip


@pytest.mark.parametrize(("card", "undone"), [("4242", False), ("4240", True), (None, True)])
def test_what_was_held_is_given_back_when_it_is_not_booked(card: str | None, undone: bool) -> None:
    called: list[str] = []

    def cancel(trip_id: str, city: str) -> None:
        called.append(f"{trip_id} {city}")

    events = [] if card is None else [TripConfirmed(trip_id="t-1", card=card)]
    testing.run(book_trip, REQUEST, events=events, steps={cancel_flight: cancel, cancel_hotel: cancel})
    assert called == (["t-1 Lisbon", "t-1 Lisbon"] if undone else [])
