"""Plain rows that pass between the worker, the API and `storage`. Times are integer microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from msgspec import Struct, field

from flowgraph_runtime.factories import list_of


class JournalRow(NamedTuple):
    """One input of a run's `decide`, in order. A tuple in the order of its table, so that the writer only has to put the run's
    number for its id. `kind`: done, failed, timer, event, child, cancel. `payload`: see `engine.inputs`. `digest`: of the
    commands decided, checked when the journal is folded. `started_at`: of the attempt, for step rows."""

    run_id: str
    seq: int
    at: int
    kind: str
    serial: int
    payload: str
    digest: int
    site: str | None = None
    visit: int | None = None
    attempt: int | None = None
    started_at: int | None = None


class TimerRow(Struct):
    """A timer: when it is due, and what it wakes: `serial` of the run; `kind`: sleep, backoff, deadline."""

    run_id: str
    serial: int
    due: int
    kind: str


class WaitRow(Struct):
    """An open wait. `keys`: (path, canonical text); the first is the indexed one, none for an unkeyed wait. `sent`: how many of
    its transition's events were sent before it."""

    run_id: str
    serial: int
    names: tuple[str, ...]
    keys: tuple[tuple[str, str], ...]
    since_start: bool
    sent: int = 0


class EventRow(Struct):
    """A received event. `keys`: one (path, canonical text) per registered key path of its name. `payload`: the codec text of the
    model (what a workflow receives), `data`: its JSON as sent. `status`: stored, unknown, invalid. `dedup`: what `client_id` is
    unique for: the event itself (None), `start` (the runs that it starts, for a day), `none`. `envelope`: what came beside the
    data, as JSON. `names`: those that waits may know it by besides `name`, when its class was renamed. `later`: microseconds
    after its transaction's instant."""

    id: str
    name: str
    data: str
    payload: str
    ts: int
    received_at: int
    source: str | None = None
    client_id: str | None = None
    status: str = "stored"
    reason: str | None = None
    keys: tuple[tuple[str, str], ...] = ()
    dedup: str | None = None
    envelope: str | None = None
    names: tuple[str, ...] = ()
    later: int = 0

    def every_name(self) -> tuple[str, ...]:
        """Return the event's own name and the others that waits may know it by, each once."""
        return (self.name, *(name for name in self.names if name != self.name))


class PostedAlike(NamedTuple):
    """Events that somebody sends with one name and nothing but their data, as JSON texts, and perhaps ids of the sender's own."""

    name: str
    data: list[str]
    ids: list[str] | None = None


class AlikeEvents(NamedTuple):
    """Received events of one name that differ in their ids and data alone, have no keys and start nothing. `frame`: what their
    payloads have before the data, between it and the id, and after that. `names`: as of `EventRow`. `client_ids`: None, or the
    sender's id of each, all different."""

    name: str
    names: tuple[str, ...]
    ids: list[str]
    data: list[str]
    frame: tuple[str, str, str]
    ts: int
    source: str | None
    client_ids: list[str] | None = None

    def payloads(self) -> list[str]:
        """Return the payload of each event."""
        before, between, after = self.frame
        return [f"{before}{data}{between}{id}{after}" for data, id in zip(self.data, self.ids, strict=True)]

    def every_client_id(self) -> Sequence[str | None]:
        """Return the sender's id of each event, None where there is none."""
        return [None] * len(self.ids) if self.client_ids is None else self.client_ids

    def rows(self) -> list[EventRow]:
        """Return each event as a row of its own."""
        return [
            EventRow(id, self.name, data, payload, self.ts, self.ts, self.source, client_id, names=self.names)
            for id, data, payload, client_id in zip(self.ids, self.data, self.payloads(), self.every_client_id(), strict=True)
        ]


class NewRun(Struct):
    """A run to be created: by an event, by hand, by another run (`parent_run`, which waits for it with a `parent_serial`).
    `later`: microseconds after its transaction's instant, from when on its waits see events. `owner`: the epoch, alive, that
    works on it from the first moment on; without one it waits to be claimed."""

    id: str
    workflow: str
    machine: str
    input: str  # codec text of the list of arguments
    created_at: int
    event_id: str | None = None
    received_at: int = 0  # of the trigger: waits read events from here on
    idempotency_key: str | None = None
    parent_run: str | None = None
    parent_serial: int | None = None
    schedule: int | None = None  # number of the schedule whose tick it is
    scheduled_at: int | None = None
    later: int = 0
    owner: int | None = None


class RunRow(Struct):
    """A run as stored. `epoch`: its owner. `parent_run`: the run that started it and, with a `parent_serial`, waits for it."""

    id: str
    workflow: str
    machine: str
    status: str
    input: str
    created_at: int
    received_at: int
    event_id: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    result: str | None = None
    error: str | None = None
    failed_step: str | None = None
    failed_attempt: int | None = None
    epoch: int | None = None
    takeovers: int = 0
    parent_run: str | None = None
    parent_serial: int | None = None
    idempotency_key: str | None = None
    reason: str | None = None
    scheduled_at: int | None = None  # of the tick that started it


class InboxRow(Struct):
    """What somebody else wants the owner to put into the journal. `position`: commit order over the database; `kind` and
    `payload` as in the journal, `id` makes it idempotent per run."""

    position: int
    run_id: str
    id: str
    kind: str
    serial: int
    payload: str
    at: int
    serials: tuple[int, ...] = ()


class SlotNeed(Struct, frozen=True):
    """One slot of a concurrency limit: of `pool`, where at most `limit` are held with this `key` (canonical text, or '')."""

    pool: str
    key: str
    limit: int


class SlotRequest(Struct):
    """An attempt that needs all of `needs` before it starts. `ticket`: its number among those of the epoch; `ready_at`: since
    when it could run, which decides whose turn it is."""

    ticket: int
    run_id: str
    serial: int
    ready_at: int
    needs: tuple[SlotNeed, ...]


class WaitingSlot(Struct, frozen=True):
    """A full limit that a run (`serial` 0) or one of its attempts waits for since `at`."""

    serial: int
    pool: str
    key: str
    limit: int
    at: int


class LoadedRun(Struct):
    """All that is needed to go on with a run: the row, the newest snapshot, the journal after it, and the inbox."""

    run: RunRow
    snapshot_seq: int
    snapshot: str | None
    journal: list[JournalRow] = field(default_factory=list_of(JournalRow))
    inbox: list[InboxRow] = field(default_factory=list_of(InboxRow))


class Transition(Struct):
    """One decision as it is committed: all of it or nothing, and only while the epoch is alive.

    `rows` has the journal row (none for the start). `taken`: the event that a wait took. `status`, when given, is written to the
    run; `result`/`error` with an end. `snapshot` is written when the run parks or its journal tail has grown; `release` gives the
    run up (epoch null; claimable again at once when its inbox is not empty). `frees_slots`: the run ends and may hold or wait for
    slots of limits. A decision that writes nothing but its journal row, as nearly all do, is committed as that row."""

    run_id: str
    rows: list[JournalRow] = field(default_factory=list_of(JournalRow))
    inbox: list[int] = field(default_factory=list_of(int))  # positions consumed
    timers: list[TimerRow] = field(default_factory=list_of(TimerRow))
    cleared_timers: list[int] = field(default_factory=list_of(int))  # serials
    waits: list[WaitRow] = field(default_factory=list_of(WaitRow))
    closed_waits: list[int] = field(default_factory=list_of(int))  # serials
    taken: str | None = None
    events: list[EventRow] = field(default_factory=list_of(EventRow))
    event_runs: list[NewRun] = field(default_factory=list_of(NewRun))  # runs that those events start
    runs: list[NewRun] = field(default_factory=list_of(NewRun))  # children
    cancel_runs: list[tuple[str, str]] = field(default_factory=list_of(tuple[str, str]))
    status: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    result: str | None = None
    error: str | None = None
    failed_step: str | None = None
    failed_attempt: int | None = None
    reason: str | None = None
    snapshot: tuple[int, str] | None = None
    release: bool = False
    frees_slots: bool = False


class Completed(Struct, frozen=True):
    """The decision by which nearly every run ends well, some time: with nothing beside its journal row, for a run without slots.
    `ended_at`: microseconds since 1970; `result`: codec text. Of a `Transition` the writer looks at twenty members, one by
    one."""

    run_id: str
    row: JournalRow
    ended_at: int
    result: str


Decided: TypeAlias = Transition | JournalRow | Completed
"""A decision as it is committed: mostly nothing but its journal row."""


def transition_of(decided: Decided) -> Transition:
    """Return a decision in its long form."""
    if isinstance(decided, JournalRow):
        return Transition(decided.run_id, [decided])
    if isinstance(decided, Completed):
        return Transition(decided.run_id, [decided.row], status="completed", ended_at=decided.ended_at, result=decided.result)
    return decided
