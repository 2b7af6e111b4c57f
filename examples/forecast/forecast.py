"""How many nights will be booked? Thousands of simulated seasons, each batch a step in a process of its own.

flowgraph run examples/forecast:forecast_season --input '{"houses": 20, "seasons": 400}'

The simulation needs the processor and nothing else. In the server's own process, such steps would take turns with each other and
with everything that the server does. With executor="dask" instead of "process", the same steps run on a Dask cluster.
"""

from __future__ import annotations

from random import Random
from statistics import median

from pydantic import BaseModel

from flowgraph import fan_out, step, step_context, workflow

NIGHTS = 90
BATCH = 100


class Batch(BaseModel):
    """Seasons to simulate; the same seed gives the same seasons, whatever process simulates them and however often."""

    seed: int
    seasons: int
    houses: int


class Forecast(BaseModel):
    """Booked nights of a season: in a bad one (one of ten is worse), a middling one, a good one."""

    low: int
    middle: int
    high: int


def nights_booked(random: Random, houses: int) -> int:
    """Play one season: a house that is free is taken with the season's chance, for two to nine nights."""
    demand = random.betavariate(4, 6)
    booked = 0
    for _ in range(houses):
        night = 0
        while night < NIGHTS:
            stay = random.randint(2, 9) if random.random() < demand else 0
            booked += min(stay, NIGHTS - night)
            night += stay or 1
    return booked


@step(executor="process", timeout="5m")
def simulate(batch: Batch) -> list[int]:
    """Play a batch of seasons; the list of their nights is all that comes back."""
    random = Random(batch.seed)
    nights = [nights_booked(random, batch.houses) for _ in range(batch.seasons)]
    step_context().logger.info("batch %d: about %d nights", batch.seed, median(nights))
    return nights


@step
def summarise(batches: list[list[int]]) -> Forecast:
    """Put the batches together."""
    nights = sorted(night for batch in batches for night in batch)
    return Forecast(low=nights[len(nights) // 10], middle=round(median(nights)), high=nights[len(nights) * 9 // 10])


@workflow
async def forecast_season(houses: int, seasons: int, seed: int = 1) -> Forecast:
    """Spread the seasons over batches. A process that dies costs one attempt of one batch."""
    batches = [Batch(seed=seed + n, seasons=min(BATCH, seasons - n), houses=houses) for n in range(0, seasons, BATCH)]
    return await summarise(await fan_out(simulate(batch) for batch in batches))
