"""Timers, the alarm behind them, skipped time, heartbeats and the watchdog."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

from ulid import ULID

from flowgraph_runtime.clock import ManualClock, SystemClock
from flowgraph_runtime.heartbeat import Heartbeat
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.moments import microseconds, moment, parse_rfc3339, rfc3339
from flowgraph_runtime.storage.errors import Fenced
from flowgraph_runtime.timers import SchedulerAlarm, Skipper, SkippingClock, Timers
from flowgraph_runtime.watchdog import Watchdog
from tests.runtime.conftest import until


class Table:
    """Due times, as a store holds them."""

    def __init__(self, clock, *due: int) -> None:
        self.clock, self.due, self.fired = clock, sorted(due), []

    async def fire_timers(self, limit: int) -> list[str]:
        now = self.clock.now()
        ready = [due for due in self.due if due <= now][:limit]
        self.due = self.due[len(ready) :]
        self.fired += [(due, now) for due in ready]
        return ["run"] * len(ready)

    async def next_timer(self) -> int | None:
        return self.due[0] if self.due else None


class Bell:
    """An alarm that notes what it is set to."""

    def __init__(self) -> None:
        self.times: list[int] = []

    def start(self, ring) -> None:
        self.ring = ring

    def set(self, due: int) -> None:
        self.times.append(due)

    def stop(self) -> None:
        self.times.append(-1)


def test_the_alarm_is_set_to_the_next_timer_and_to_earlier_ones_that_come(run):
    clock = ManualClock(100)

    async def scenario():
        table, bell = Table(clock, 50, 200, 300), Bell()
        timers = Timers(table, bell)
        await timers.start()
        timers.heard(400)
        timers.heard(150)
        clock.set(250)
        await bell.ring()
        timers.stop()
        return table.fired, bell.times

    fired, times = run(scenario())
    assert fired == [(50, 100), (200, 250)]
    assert times == [200, 150, 300, -1]


def test_the_scheduler_rings_on_time_and_never_early(run):
    async def scenario():
        clock = SystemClock()
        start = clock.now()
        table = Table(clock, start + 50_000, start + 100_000, start + 100_001)
        timers = Timers(table, SchedulerAlarm(interval=30))
        await timers.start()
        await until(lambda: not table.due)
        timers.stop()
        return table.fired

    assert all(0 <= at - due < 1_000_000 for due, at in run(scenario()))


def test_an_error_is_not_the_end_of_timers(run, caplog):
    class Broken(Table):
        async def next_timer(self) -> int | None:
            raise OSError("no database")

    async def scenario():
        bell = Bell()
        timers = Timers(Broken(ManualClock(100), 50), bell)
        await timers.start()
        await bell.ring()
        return bell.times

    assert run(scenario()) == []
    assert "no database" in caplog.text


def test_time_is_skipped_only_while_nothing_else_can_happen(run):
    async def scenario():
        clock = SkippingClock(ManualClock(0))
        table = Table(clock, 1_000_000, 5_000_000)
        idle = [False]
        task = asyncio.create_task(Skipper(table, clock, lambda: idle[0]).run())
        await asyncio.sleep(0.02)
        assert clock.now() == 0
        idle[0] = True
        await until(lambda: not table.due)
        task.cancel()
        return table.fired, clock.now()

    assert run(scenario()) == ([(1_000_000, 1_000_000), (5_000_000, 5_000_000)], 5_000_000)


def test_the_heart_beats_while_the_loop_is_blocked():
    beats: list[int] = []

    class Beats:
        async def heartbeat(self, epoch: int) -> None:
            beats.append(epoch)
            if len(beats) == 2:
                raise OSError("once")

    with Heartbeat(Beats(), 7, 0.01):
        time.sleep(0.2)
    assert len(beats) >= 4
    assert set(beats) == {7}


def test_the_heart_of_a_closed_epoch_stops_without_a_warning(caplog):
    beats: list[int] = []

    class Closed:
        async def heartbeat(self, epoch: int) -> None:
            beats.append(epoch)
            raise Fenced(epoch)

    with caplog.at_level(logging.WARNING), Heartbeat(Closed(), 7, 0.01):
        time.sleep(0.1)
    assert beats == [7]
    assert not caplog.records


def test_the_watchdog_names_the_step_that_blocks_the_loop(caplog):
    class Runner:
        busy: tuple[str, str] | None = None

    runner = Runner()
    with caplog.at_level(logging.WARNING), Watchdog(runner, patience=0.05):
        for _ in range(20):
            runner.busy = ("run_" + str(len(runner.busy or ())), "quick")  # a new one for each slice
            time.sleep(0.01)
        assert not caplog.records, "many short slices are no block"
        runner.busy = ("run_1", "slow_one")
        time.sleep(0.3)
        runner.busy = None
    (record,) = caplog.records
    assert "step 'slow_one' of run run_1" in record.getMessage()
    assert "test_the_watchdog_names" in record.getMessage(), "the stack says where"
    assert not [thread for thread in threading.enumerate() if "watchdog" in thread.name]


def test_ids_sort_by_creation_and_repeat_under_the_same_clock_and_dice():
    def made():
        clock = ManualClock(1_700_000_000_000_000)
        ids = Identifiers(clock, lambda size: b"\x01" * size)
        first = [ids.run() for _ in range(3)]
        clock.advance(5_000)
        return [*first, ids.run()], ids.event()

    runs, event = made()
    assert runs == sorted(runs)
    assert len(set(runs)) == 4
    assert all(run.startswith("run_") and len(run) == 30 for run in runs)
    assert event.startswith("evt_")
    assert made() == (runs, event)


def test_ids_made_in_a_row_are_ulids_that_count_up():
    for low in (0, 1_000, (1 << 20) - 3):  # the last one carries into the letters that are kept
        ids = Identifiers(ManualClock(1_700_000_000_000_000), lambda size, low=low: low.to_bytes(size))
        made = [ids.event() for _ in range(6)]
        assert made == [f"evt_{ULID.from_int((1_700_000_000_000 << 80) + low + number)}" for number in range(6)]


def test_times_are_exact_both_ways():
    for at in (0, 1, 1_700_000_000_123_456, 253_402_300_799_999_999):
        assert microseconds(moment(at)) == at
        assert microseconds(parse_rfc3339(rfc3339(at) or "")) == at
    assert rfc3339(None) is None


class Hours(Table):
    """A store with timers, and schedules that are due every hour."""

    def __init__(self, clock, *due: int) -> None:
        super().__init__(clock, *due)
        self.schedules, self.tick, self.ticks = self, HOUR, []

    async def fire(self, numbers) -> int:
        assert numbers == [7]
        if self.tick > self.clock.now():
            return 0
        self.ticks.append(self.tick)
        self.tick += HOUR
        return 1

    async def next_due(self, numbers) -> int | None:
        assert numbers == [7]
        return self.tick


HOUR = 3_600_000_000


def test_the_alarm_is_set_to_the_next_timer_or_schedule(run):
    clock = ManualClock(0)

    async def scenario():
        table, bell = Hours(clock, 100, 2 * HOUR + 5), Bell()
        timers = Timers(table, bell, [7])
        await timers.start()
        for now in (100, HOUR, 3 * HOUR + 1):
            clock.set(now)
            await bell.ring()
        return table.ticks, table.fired, bell.times

    ticks, fired, times = run(scenario())
    assert ticks == [HOUR, 2 * HOUR, 3 * HOUR]
    assert fired == [(100, 100), (2 * HOUR + 5, 3 * HOUR + 1)]
    assert times == [100, HOUR, 2 * HOUR, 4 * HOUR]


def test_skipped_time_stops_at_the_schedules_on_its_way_and_does_not_move_for_them_alone(run):
    clock = SkippingClock(ManualClock(0))

    async def scenario():
        table = Hours(clock, 3 * HOUR + 5)
        task = asyncio.create_task(Skipper(table, clock, lambda: True, schedules=[7]).run())
        await until(lambda: table.fired)
        for _ in range(10):
            await asyncio.sleep(0.001)
        stood = clock.now()
        clock.skip_to(4 * HOUR)
        await until(lambda: len(table.ticks) == 4)
        task.cancel()
        return stood, table.ticks

    assert run(scenario()) == (3 * HOUR + 5, [HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR])
