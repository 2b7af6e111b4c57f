"""The events that the booking workflows start on and wait for."""

from datetime import date
from decimal import Decimal

from pydantic import AwareDatetime

from flowgraph import Event


class BookingCreated(Event, name="booking.created"):
    """A guest has asked for a stay."""

    booking_id: str
    property_id: str
    guest_id: str
    check_in: date
    check_out: date
    total_amount: Decimal


class BookingApproved(Event, name="booking.approved"):
    """The host has accepted; the guest has a day to pay."""

    booking_id: str
    guest_id: str


class PaymentCompleted(Event, name="payment.completed"):
    """The payment provider reports the money."""

    booking_id: str
    payment_id: str


class BookingConfirmed(Event, name="booking.confirmed"):
    """The stay is paid and certain; sent by the workflow that confirmed it."""

    booking_id: str
    guest_id: str
    check_in_at: AwareDatetime


class BookingCancelled(Event, name="booking.cancelled"):
    """Guest or host has called the stay off."""

    booking_id: str
    reason: str


class PriceReview(Event, name="prices.review"):
    """An organization wants new price proposals for its properties."""

    organization_id: str
    property_ids: list[str]
