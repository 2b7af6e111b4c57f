"""A timer fires once, never early, earliest first."""

from __future__ import annotations

import asyncio

from flowgraph_runtime.records import TimerRow, Transition
from tests.storage.site import SECOND, Site


def _sleeping(site: Site, *seconds: int) -> list[str]:
    runs = site.started(len(seconds))
    for run, delay in zip(runs, seconds, strict=True):
        timer = TimerRow(run, 1, site.clock.now() + delay * SECOND, "sleep")
        site.commit(Transition(run, timers=[timer], status="sleeping", release=True))
    return runs


def test_a_timer_fires_when_it_is_due_and_not_before(site: Site) -> None:
    (run,) = _sleeping(site, 30)
    assert site.run(site.store.next_timer()) == site.clock.now() + 30 * SECOND
    site.clock.advance(30 * SECOND - 1)
    assert site.run(site.store.fire_timers()) == []
    site.clock.advance(1)
    assert site.run(site.store.fire_timers()) == [run]
    assert site.run(site.store.fire_timers()) == []
    assert [(row.kind, row.serial, row.id) for row in site.load(run).inbox] == [("timer", 1, "timer:1")]
    assert [row.id for row in site.run(site.store.claim(site.epoch, 5))] == [run]


def test_the_earliest_timers_fire_first(site: Site) -> None:
    runs = _sleeping(site, 3, 1, 2)
    site.clock.advance(10 * SECOND)
    fired = [site.run(site.store.fire_timers(1)) for _ in range(4)]
    assert fired == [[runs[1]], [runs[2]], [runs[0]], []]


def test_timers_fire_once_whoever_fires_them(site: Site) -> None:
    runs = _sleeping(site, *range(40))
    site.clock.advance(100 * SECOND)
    stores = [site.store, site.another()] if site.url.startswith("postgresql") else [site.store]

    async def race() -> list[list[str]]:
        return list(await asyncio.gather(*(store.fire_timers(7) for _ in range(6) for store in stores)))

    assert sorted(id for ids in site.run(race()) for id in ids) == sorted(runs)
    assert len(site.run(site.store.inbox(runs))) == 40
