"""The tables. SQLModel declares them; nothing outside this package knows them.

Runs and events have a number beside their id: 26-letter ids in every row and index would triple the size of a sleeping run.
The journal is a heap with an index, not clustered: 1,000 runs that each append one row then dirty 60 pages, not 1,000 (measured
on SQLite: 1.4 times the rows a second of a table clustered by (run, seq)).
Names carry the prefix `fg_`, because an application may keep its own tables in the same database.
"""

# SQLModel reads `__tablename__` as text, whatever its type says:
# pyright: reportAssignmentType=false, reportIncompatibleVariableOverride=false

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, SmallInteger, Text, text
from sqlmodel import Field, SQLModel

SCHEMA_VERSION = 4
"""The number of the newest revision in `migrations/versions`. `fg_meta` holds it; a store refuses a database with another one."""

METADATA = MetaData()
_Big = BigInteger().with_variant(Integer(), "sqlite")  # SQLite makes only INTEGER keys an alias of the row id
_CLUSTERED = {"sqlite_with_rowid": False}


def _text(**options: Any) -> Any:
    return Field(sa_column=Column(Text, nullable=options.pop("nullable", False), **options))


def _optional_text() -> Any:
    return Field(default=None, sa_column=Column(Text))


def _big(**options: Any) -> Any:
    return Field(sa_column=Column(_Big, nullable=False, **options))


def _optional_big() -> Any:
    return Field(default=None, sa_column=Column(_Big))


def _number() -> Any:
    return Field(default=None, sa_column=Column(_Big, primary_key=True, autoincrement=True))


def _key_part(kind: Any = _Big) -> Any:
    return Field(sa_column=Column(kind, primary_key=True, autoincrement=False, nullable=False))


class Table(SQLModel):
    """Base of all tables: metadata of our own, so that an application's SQLModel tables stay apart."""

    metadata: ClassVar[MetaData] = METADATA


class Meta(Table, table=True):
    """Facts about the database: `schema` is the version of the tables."""

    __tablename__ = "fg_meta"
    key: str = _key_part(Text)
    value: str = _text()


class Epoch(Table, table=True):
    """One life of one worker. `state` is alive or dead; a dead epoch's commits are refused. `writer`: the name of its writing
    connection on PostgreSQL, which whoever takes over ends."""

    __tablename__ = "fg_epoch"
    id: int | None = _number()
    node: str = _text()
    state: str = _text()
    writer: str | None = _optional_text()
    opened_at: int = _big()
    closed_at: int | None = _optional_big()


class Heartbeat(Table, table=True):
    """When an epoch was last heard of. Apart from `Epoch`: every commit locks that row, a beat must not queue behind them.
    `trial_until`: until when what it has of suspected runs is on trial (see `ownership`)."""

    __tablename__ = "fg_heartbeat"
    epoch: int = _key_part()
    at: int = _big()
    trial_until: int | None = _optional_big()


class Workflow(Table, table=True):
    """`machine`: the number of the machine that new runs take."""

    __tablename__ = "fg_workflow"
    number: int | None = _number()
    name: str = _text(unique=True)
    machine: int | None = _optional_big()
    updated_at: int = _big()


class MachineText(Table, table=True):
    """A compiled machine as canonical JSON. `manifest`: what it needs of the deployed code."""

    __tablename__ = "fg_machine"
    number: int | None = _number()
    fingerprint: str = _text(unique=True)
    workflow: str = _text()
    text: str = _text()
    manifest: str = _text()
    created_at: int = _big()


class KeyPathRow(Table, table=True):
    """A field path of an event that waits look up by: every stored event of that name gets an `EventKey` for it."""

    __tablename__ = "fg_key_path"
    __table_args__ = (_CLUSTERED,)
    event: str = _key_part(Text)
    path: str = _key_part(Text)


class StoredEvent(Table, table=True):
    """A received or emitted event. `status`: stored, unknown, invalid. `client_id`: the sender's id, unique for what `dedup`
    says: the event (NULL: nearly all), `start`, `none`. `envelope`: what came beside the data, as JSON. `payload`: read
    by `rows.PAYLOAD`."""

    __tablename__ = "fg_event"
    __table_args__ = (
        Index("fg_event_received", "name", "received_at"),
        Index(
            "fg_event_client",
            "name",
            "client_id",
            unique=True,
            sqlite_where=text("client_id IS NOT NULL AND dedup IS NULL"),
            postgresql_where=text("client_id IS NOT NULL AND dedup IS NULL"),
        ),
        Index(
            "fg_event_start",
            "name",
            "client_id",
            "received_at",
            sqlite_where=text("dedup = 'start'"),
            postgresql_where=text("dedup = 'start'"),
        ),
        Index(
            "fg_event_unusual",
            "status",
            "number",
            sqlite_where=text("status <> 'stored'"),
            postgresql_where=text("status <> 'stored'"),
        ),
    )
    number: int | None = _number()
    id: str = _text(unique=True)
    name: str = _text()
    data: str = _text()
    payload: str = _text()
    ts: int = _big()
    received_at: int = _big()
    source: str | None = _optional_text()
    client_id: str | None = _optional_text()
    status: str = _text()
    reason: str | None = _optional_text()
    dedup: str | None = _optional_text()
    envelope: str | None = _optional_text()


class EventKey(Table, table=True):
    """The canonical text of one registered field of an event."""

    __tablename__ = "fg_event_key"
    __table_args__ = (_CLUSTERED,)
    name: str = _key_part(Text)
    path: str = _key_part(Text)
    value: str = _key_part(Text)
    event: int = _key_part()


class Run(Table, table=True):
    """A run. `epoch`: its owner. `ready`: 1 when it should be claimed as soon as nobody owns it. `takeovers`: owners lost since
    the journal last grew, as far as it is blamed for them (see `ownership`); `takeover_seq`: how far it was then.
    `input` is NULL when it is large, or just the event's payload in a list. `scheduled_at`: of which tick of `schedule` it is."""

    __tablename__ = "fg_run"
    __table_args__ = (
        Index("fg_run_workflow", "workflow", "number"),
        Index(
            "fg_run_ended",
            "ended_at",
            "number",
            sqlite_where=text("ended_at IS NOT NULL"),
            postgresql_where=text("ended_at IS NOT NULL"),
        ),
        Index("fg_run_status", "status", "workflow", "number"),
        Index("fg_run_event", "event", sqlite_where=text("event IS NOT NULL"), postgresql_where=text("event IS NOT NULL")),
        Index("fg_run_epoch", "epoch", sqlite_where=text("epoch IS NOT NULL"), postgresql_where=text("epoch IS NOT NULL")),
        Index(
            "fg_run_ready",
            text("takeovers DESC"),
            "number",
            sqlite_where=text("ready = 1 AND epoch IS NULL"),
            postgresql_where=text("ready = 1 AND epoch IS NULL"),
        ),
        Index("fg_run_parent", "parent", sqlite_where=text("parent IS NOT NULL"), postgresql_where=text("parent IS NOT NULL")),
        Index(
            "fg_run_idempotency",
            "workflow",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index(
            "fg_run_tick",
            "schedule",
            "scheduled_at",
            unique=True,
            sqlite_where=text("schedule IS NOT NULL"),
            postgresql_where=text("schedule IS NOT NULL"),
        ),
        Index(
            "fg_run_live_of_schedule",
            "schedule",
            sqlite_where=text("schedule IS NOT NULL AND ended_at IS NULL"),
            postgresql_where=text("schedule IS NOT NULL AND ended_at IS NULL"),
        ),
    )
    number: int | None = _number()
    id: str = _text(unique=True)
    workflow: int = _big()
    machine: int = _big()
    status: str = _text()
    input: str | None = _optional_text()
    event: int | None = _optional_big()
    created_at: int = _big()
    received_at: int = _big()
    started_at: int | None = _optional_big()
    ended_at: int | None = _optional_big()
    result: str | None = _optional_text()
    error: str | None = _optional_text()
    failed_step: str | None = _optional_text()
    failed_attempt: int | None = _optional_big()
    epoch: int | None = _optional_big()
    ready: int = Field(sa_column=Column(SmallInteger, nullable=False))
    takeovers: int = Field(sa_column=Column(SmallInteger, nullable=False))
    takeover_seq: int | None = _optional_big()
    parent: int | None = _optional_big()
    parent_serial: int | None = _optional_big()
    idempotency_key: str | None = _optional_text()
    reason: str | None = _optional_text()
    schedule: int | None = _optional_big()
    scheduled_at: int | None = _optional_big()


class LargeInput(Table, table=True):
    """The input of a run on SQLite when it is large: every change of a row of `fg_run` would write it anew (see `runs`)."""

    __tablename__ = "fg_large_input"
    run: int = _key_part()
    text: str = _text()


class Inbox(Table, table=True):
    """What somebody wants the owner of a run to put into its journal. `event`: the number of an offered event, whose payload is
    not copied. `more`: the last of a batch of early events; when it is consumed and the wait is still open, the next is due."""

    __tablename__ = "fg_inbox"
    __table_args__ = (Index("fg_inbox_run", "run", "id", unique=True), {"sqlite_autoincrement": True})
    position: int | None = _number()
    run: int = _big()
    id: str = _text()
    kind: str = _text()
    serial: int = _big()
    payload: str | None = _optional_text()
    event: int | None = _optional_big()
    serials: str | None = _optional_text()
    more: int | None = _optional_big()
    at: int = _big()


class Journal(Table, table=True):
    """The inputs of a run's `decide`, append-only."""

    __tablename__ = "fg_journal"
    run: int = _key_part()
    seq: int = _key_part()
    at: int = _big()
    kind: str = _text()
    serial: int = _big()
    payload: str = _text()
    digest: int = _big()
    site: str | None = _optional_text()
    visit: int | None = _optional_big()
    attempt: int | None = _optional_big()
    started_at: int | None = _optional_big()


class Snapshot(Table, table=True):
    """The newest stored state of a run: that after journal row `seq`."""

    __tablename__ = "fg_snapshot"
    run: int = _key_part()
    seq: int = _big()
    state: str = _text()


class Timer(Table, table=True):
    """A sleep, backoff or deadline, clustered by due time."""

    __tablename__ = "fg_timer"
    __table_args__ = (Index("fg_timer_run", "run", "serial"), _CLUSTERED)
    due: int = _key_part()
    run: int = _key_part()
    serial: int = _key_part()
    kind: str = _text()


class Wait(Table, table=True):
    """An open wait, one row for each event name. `path` and `value` are '' for a wait without a key; `more`: further keys as
    JSON `[[path, text], ...]`. `cursor`: number of the last early event offered while there are more; NULL when the
    wait takes events as they arrive."""

    __tablename__ = "fg_wait"
    __table_args__ = (Index("fg_wait_run", "run", "serial"), _CLUSTERED)
    name: str = _key_part(Text)
    path: str = _key_part(Text)
    value: str = _key_part(Text)
    run: int = _key_part()
    serial: int = _key_part()
    more: str | None = _optional_text()
    since_start: int = Field(sa_column=Column(SmallInteger, nullable=False))
    cursor: int | None = _optional_big()
    opened_at: int = _big()


class ScheduleState(Table, table=True):
    """A `Cron` of a workflow. `next_at`: the tick that comes next, which is fired at `due`; both are NULL when there is none, and
    when a deployment has retired the schedule. `last_at`: the latest tick that was due. Its runs take `machine`."""

    __tablename__ = "fg_schedule"
    __table_args__ = (Index("fg_schedule_identity", "workflow", "expression", "zone", unique=True),)
    number: int | None = _number()
    workflow: int = _big()
    expression: str = _text()
    zone: str = _text()
    machine: int = _big()
    catch_up: str = _text()
    overlap: str = _text()
    jitter: int = _big()
    takes_time: int = Field(sa_column=Column(SmallInteger, nullable=False))
    next_at: int | None = _optional_big()
    due: int | None = _optional_big()
    last_at: int | None = _optional_big()
    retired_at: int | None = _optional_big()


class SkippedTick(Table, table=True):
    """Ticks of a schedule that started no run, from `scheduled_at` to `until`: `count` in a row with one reason."""

    __tablename__ = "fg_skip"
    __table_args__ = (_CLUSTERED,)
    schedule: int = _key_part()
    scheduled_at: int = _key_part()
    until: int = _big()
    count: int = _big()
    reason: str = _text()
    at: int = _big()


class Taken(Table, table=True):
    """A run takes each event at most once."""

    __tablename__ = "fg_taken"
    __table_args__ = (Index("fg_taken_event", "event", "run"), _CLUSTERED)
    run: int = _key_part()
    event: int = _key_part()


class LimitSlot(Table, table=True):
    """A slot of a concurrency limit that somebody holds (`held` is 1) or waits for (see `limits`): an attempt of the worker
    `epoch`, or with epoch 0 a run. `ticket`: the request that it is part of; `most`: the limit; `at`: since when it is ready."""

    __tablename__ = "fg_limit_slot"
    __table_args__ = (
        Index("fg_limit_slot_turn", "pool", "key", "held", "at"),
        Index("fg_limit_slot_most", "pool", "key", "held", "most"),
        Index("fg_limit_slot_ticket", "epoch", "ticket"),
        Index("fg_limit_slot_run", "run"),
        _CLUSTERED,
    )
    pool: str = _key_part(Text)
    key: str = _key_part(Text)
    epoch: int = _key_part()
    ticket: int = _key_part()
    run: int = _big()
    serial: int = _big()
    most: int = _big()
    held: int = Field(sa_column=Column(SmallInteger, nullable=False))
    at: int = _big()


class ApiKey(Table, table=True):
    """A key of the API: only its SHA-256 is kept. `scopes`: separated by blanks."""

    __tablename__ = "fg_api_key"
    id: str = _key_part(Text)
    name: str = _text()
    prefix: str = _text()
    sha256: str = _text(unique=True)
    scopes: str = _text()
    created_at: int = _big()
    revoked_at: int | None = _optional_big()
