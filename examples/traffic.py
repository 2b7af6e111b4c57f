"""Guests, hosts and organizations at work: sends events to a server that runs `examples/booking`, until Ctrl-C.

python examples/traffic.py --url http://127.0.0.1:8288 --pace 1
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from flowgraph_runtime import Client
from flowgraph_runtime.client import ApiError

SCHEDULED = ("daily_report", "remind_of_expiry", "monthly_cleanup")
"""Workflows that the clock starts; the demo does not wait for nine o'clock."""


@dataclass(frozen=True)
class Told:
    """An event to be sent, and after how many rounds."""

    name: str
    data: dict[str, Any]
    later: int = 0


def stay(lots: random.Random, number: int) -> Iterator[Told]:
    """One guest's story: a request, the host's word, the money (or not), and now and then second thoughts."""
    booking, guest = f"b-{number}", f"g-{lots.randrange(1, 60)}"
    check_in = datetime.now(UTC).date() + timedelta(days=lots.choice((1, 2, 20, 90)))
    yield Told(
        "booking.created",
        {
            "booking_id": booking,
            "property_id": lots.choices(("p-full", f"p-{lots.randrange(1, 40)}"), (1, 9))[0],
            "guest_id": guest,
            "check_in": check_in.isoformat(),
            "check_out": (check_in + timedelta(days=lots.randrange(1, 8))).isoformat(),
            "total_amount": lots.choices(("0", f"{lots.randrange(80, 900)}.00"), (1, 19))[0],
        },
    )
    if lots.random() < 0.5:
        yield Told("booking.approved", {"booking_id": f"{booking}-later", "guest_id": guest}, later=2)
        if lots.random() < 0.7:
            yield Told("payment.completed", {"booking_id": f"{booking}-later", "payment_id": f"pay-{number}"}, later=5)
    if lots.random() < 0.2:
        yield Told("booking.cancelled", {"booking_id": booking, "reason": "changed plans"}, later=8)


def review(lots: random.Random, number: int) -> Told:
    """An organization's wish for new prices; one in six lists a property that the market does not know."""
    properties = [f"p-{lots.randrange(1, 400)}" for _ in range(lots.randrange(20, 60))]
    if number % 6 == 5:
        properties.append("p-unknown")
    return Told("prices.review", {"organization_id": f"org-{1 + number % 3}", "property_ids": properties})


def rounds(seed: int) -> Iterator[list[Told]]:
    """What is sent in each round, for ever; the same for the same seed and day."""
    lots = random.Random(seed)
    waiting: dict[int, list[Told]] = {}
    for number in count(2):
        told = list(stay(lots, number))
        if number % 12 == 0:
            told.append(review(lots, number // 12))
        for event in told:
            waiting.setdefault(number + event.later, []).append(event)
        yield waiting.pop(number)


def main() -> int:
    """Send until Ctrl-C, the end of the rounds, or until the server is gone."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", default="http://127.0.0.1:8288")
    options.add_argument("--pace", type=float, default=2.0, help="seconds between two rounds (a guest each)")
    options.add_argument("--rounds", type=int, default=None, help="stop after so many")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    try:
        with suppress(KeyboardInterrupt), Client(given.url) as client:
            for workflow in SCHEDULED:
                client.start(workflow, {})
            send_all(client, rounds(given.seed), given.pace, given.rounds)
    except ApiError as error:
        print(f"traffic has ended: {error}", file=sys.stderr)
        return 1
    return 0


def send_all(client: Client, told: Iterator[list[Told]], pace: float, most: int | None) -> None:
    """Send round after round."""
    for number, events in enumerate(told):
        if number == most:
            return
        for event in events:
            client.send(event.name, event.data)
        time.sleep(pace)


if __name__ == "__main__":
    sys.exit(main())
