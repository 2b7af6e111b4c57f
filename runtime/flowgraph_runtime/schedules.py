"""What becomes of a schedule that is due: which of its ticks start a run, which are skipped and why, and when it is due next.

Pure: the same schedule at the same moment gives the same plan in every process. Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, groupby
from zoneinfo import ZoneInfo

from ulid import ULID

from flowgraph.codec import dumps
from flowgraph_compiler.cron import ticks
from flowgraph_compiler.machine import Machine, Trigger
from flowgraph_runtime.moments import microseconds, moment

ON_TIME = 60_000_000
"""Microseconds by which a tick may be late without being a missed one: a schedule is exact to the minute."""
CATCH_UP_LIMIT = 100
"""Runs that `catch_up="all"` starts at once for missed ticks; the ticks before them are skipped."""
TICKS_AT_ONCE = 10_000
"""Ticks that one transaction handles; a schedule with more of them due takes several."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A `Cron` of a workflow. `expression`: five fields; `jitter`: microseconds at most; `takes_time`: its runs get the time."""

    workflow: str
    expression: str
    zone: str
    catch_up: str = "latest"
    overlap: str = "allow"
    jitter: int = 0
    takes_time: bool = False

    def after(self, at: int) -> Iterator[int]:
        """Yield the ticks after a moment."""
        return map(microseconds, ticks(self.expression, self.zone, moment(at)))

    def due(self, at: int) -> int:
        """Return when a tick is to be fired: the same delay, within `jitter`, in every process."""
        return at + (int.from_bytes(self._mark(at)[10:18]) * self.jitter >> 64)

    def run_id(self, at: int) -> str:
        """Return the id of a tick's run, which is the same whoever makes it."""
        return f"run_{ULID.from_int((at // 1000 << 80) + int.from_bytes(self._mark(at)[:10]))}"

    def input(self, at: int) -> str:
        """Return the arguments of a tick's run as codec text: the scheduled time in the schedule's zone, or nothing."""
        return dumps([moment(at).astimezone(ZoneInfo(self.zone))] if self.takes_time else [])

    def _mark(self, at: int) -> bytes:
        return sha256(f"{self.workflow}\n{self.expression}\n{self.zone}\n{at}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Skip:
    """Ticks in a row that start no run, all for one reason."""

    first: int
    last: int
    count: int
    reason: str


@dataclass(slots=True)
class Plan:
    """What a due schedule comes to. `cancels`: ids of its older runs to be cancelled; `next_at`: the next tick (None: never)."""

    next_at: int | None
    last_at: int
    starts: list[int] = field(default_factory=list[int])
    skips: list[Skip] = field(default_factory=list[Skip])
    cancels: list[str] = field(default_factory=list[str])


def schedules_of(machine: Machine) -> list[Schedule]:
    """Return the schedules that a machine declares."""
    return [_schedule(machine, trigger) for trigger in machine.triggers if trigger.kind == "cron"]


def _schedule(machine: Machine, trigger: Trigger) -> Schedule:
    main = machine.functions[0]
    return Schedule(
        workflow=machine.workflow,
        expression=trigger.cron or "",
        zone=trigger.zone or "",
        catch_up=trigger.catch_up or "",
        overlap=trigger.overlap or "",
        jitter=round((trigger.jitter or 0) * 1_000_000),
        takes_time=bool(main.parameters or main.keyword_only),
    )


def plan(schedule: Schedule, first: int, now: int, live: Sequence[str]) -> Plan:
    """Decide about the due ticks, the earliest of which is `first`. `live`: ids of the schedule's runs that are not over."""
    due, following = _due(schedule, first, now)
    if len(due) > TICKS_AT_ONCE:  # too many at once: those at the front are surely skipped
        kept = due[-CATCH_UP_LIMIT]
        front = due[:-CATCH_UP_LIMIT]
        return Plan(kept, front[-1], skips=_skips(dict.fromkeys(front, _missed(schedule))))
    found = Plan(following, due[-1])
    reasons: dict[int, str | None] = dict.fromkeys(due)
    reasons.update(_not_caught_up(schedule, due, now))
    _overlap(schedule, reasons, live, found)
    found.starts = [at for at, reason in reasons.items() if reason is None]
    found.skips = _skips(reasons)
    return found


def _due(schedule: Schedule, first: int, now: int) -> tuple[list[int], int | None]:
    """The due ticks, in order, a few more than one transaction handles at most, and the tick after them. One that is due before
    an earlier one, by its jitter, waits for that."""
    due: list[int] = []
    for at in chain([first], schedule.after(first)):
        if schedule.due(at) > now or len(due) > TICKS_AT_ONCE:
            return due, at
        due.append(at)
    return due, None


def _not_caught_up(schedule: Schedule, due: list[int], now: int) -> dict[int, str]:
    """The missed ticks that the policy leaves out, with the reason."""
    missed = [at for at in due if schedule.due(at) + ON_TIME < now]
    if schedule.catch_up == "all":
        missed = missed[:-CATCH_UP_LIMIT]
    elif schedule.catch_up == "latest" and missed and missed[-1] == due[-1]:
        missed = missed[:-1]
    return dict.fromkeys(missed, _missed(schedule))


def _missed(schedule: Schedule) -> str:
    why = {
        "skip": "nobody was there to fire it in time",
        "latest": "nobody was there to fire it in time, and a later tick stands for it",
        "all": f"nobody was there to fire it in time, nor at least {CATCH_UP_LIMIT} ticks after it",
    }
    return f'missed: {why[schedule.catch_up]} (catch_up="{schedule.catch_up}")'


def _overlap(schedule: Schedule, reasons: dict[int, str | None], live: Sequence[str], found: Plan) -> None:
    """One run at a time, unless the policy allows several: give reasons to the ticks that are left out, say what is cancelled."""
    wanted = [at for at, reason in reasons.items() if reason is None]
    if schedule.overlap == "skip":
        others = wanted if live else wanted[1:]
        earlier = f"run {live[-1]}" if live else "the run of an earlier tick"
        reasons.update(dict.fromkeys(others, f'overlap: {earlier} is not over (overlap="skip")'))
    elif schedule.overlap == "cancel_old" and wanted:
        reasons.update(dict.fromkeys(wanted[:-1], 'overlap: a later tick is due as well (overlap="cancel_old")'))
        found.cancels = list(live)


def _skips(reasons: dict[int, str | None] | dict[int, str]) -> list[Skip]:
    """Neighbours with one reason together."""
    groups = [(reason, list(group)) for reason, group in groupby(reasons, key=reasons.__getitem__)]
    return [Skip(group[0], group[-1], len(group), reason) for reason, group in groups if reason is not None]
