"""A booking platform on fake services that fail on purpose now and then.

flowgraph dev examples/booking
flowgraph send booking.created --data '{"booking_id": "b-1", "property_id": "p-1", "guest_id": "g-1",
    "check_in": "2030-06-01", "check_out": "2030-06-04", "total_amount": "420.00"}'
"""
