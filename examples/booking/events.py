"""The events that the booking workflows start on and wait for."""

from datetime import date
from decimal import Decimal

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
