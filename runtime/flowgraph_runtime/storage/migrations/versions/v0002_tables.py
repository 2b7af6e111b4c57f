"""The tables of 0.1, the oldest schema that a database in use may have."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = None

METADATA = sa.MetaData()
TEXT, SMALL = sa.Text(), sa.SmallInteger()
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def number(name: str) -> sa.Column[Any]:
    """A key that the database counts up."""
    return sa.Column(name, BIG, primary_key=True, autoincrement=True)


def key(name: str, kind: Any) -> sa.Column[Any]:
    """A part of the key."""
    return sa.Column(name, kind, primary_key=True, autoincrement=False, nullable=False)


def required(name: str, kind: Any, *, unique: bool = False) -> sa.Column[Any]:
    """A column that always has a value."""
    return sa.Column(name, kind, nullable=False, unique=unique or None)


def optional(name: str, kind: Any) -> sa.Column[Any]:
    """A column that may be NULL."""
    return sa.Column(name, kind)


def where(name: str, condition: str, *columns: Any, unique: bool = False) -> sa.Index:
    """An index of some of the rows."""
    return sa.Index(name, *columns, unique=unique, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


sa.Table(
    "fg_meta",
    METADATA,
    key("key", TEXT),
    required("value", TEXT),
)
sa.Table(
    "fg_epoch",
    METADATA,
    number("id"),
    required("node", TEXT),
    required("state", TEXT),
    optional("writer", TEXT),
    required("opened_at", BIG),
    optional("closed_at", BIG),
)
sa.Table(
    "fg_heartbeat",
    METADATA,
    key("epoch", BIG),
    required("at", BIG),
    optional("trial_until", BIG),
)
sa.Table(
    "fg_workflow",
    METADATA,
    number("number"),
    required("name", TEXT, unique=True),
    optional("machine", BIG),
    required("updated_at", BIG),
)
sa.Table(
    "fg_machine",
    METADATA,
    number("number"),
    required("fingerprint", TEXT, unique=True),
    required("workflow", TEXT),
    required("text", TEXT),
    required("manifest", TEXT),
    required("created_at", BIG),
)
sa.Table(
    "fg_key_path",
    METADATA,
    key("event", TEXT),
    key("path", TEXT),
    sqlite_with_rowid=False,
)
sa.Table(
    "fg_event",
    METADATA,
    number("number"),
    required("id", TEXT, unique=True),
    required("name", TEXT),
    required("data", TEXT),
    required("payload", TEXT),
    required("ts", BIG),
    required("received_at", BIG),
    optional("source", TEXT),
    optional("client_id", TEXT),
    required("status", TEXT),
    optional("reason", TEXT),
    optional("dedup", TEXT),
    optional("envelope", TEXT),
    where("fg_event_client", "client_id IS NOT NULL AND dedup IS NULL", "name", "client_id", unique=True),
    where("fg_event_unusual", "status <> 'stored'", "status", "number"),
    where("fg_event_start", "dedup = 'start'", "name", "client_id", "received_at"),
    sa.Index("fg_event_received", "name", "received_at"),
)
sa.Table(
    "fg_event_key",
    METADATA,
    key("name", TEXT),
    key("path", TEXT),
    key("value", TEXT),
    key("event", BIG),
    sqlite_with_rowid=False,
)
sa.Table(
    "fg_run",
    METADATA,
    number("number"),
    required("id", TEXT, unique=True),
    required("workflow", BIG),
    required("machine", BIG),
    required("status", TEXT),
    optional("input", TEXT),
    optional("event", BIG),
    required("created_at", BIG),
    required("received_at", BIG),
    optional("started_at", BIG),
    optional("ended_at", BIG),
    optional("result", TEXT),
    optional("error", TEXT),
    optional("failed_step", TEXT),
    optional("failed_attempt", BIG),
    optional("epoch", BIG),
    required("ready", SMALL),
    required("takeovers", SMALL),
    optional("takeover_seq", BIG),
    optional("parent", BIG),
    optional("parent_serial", BIG),
    optional("idempotency_key", TEXT),
    optional("reason", TEXT),
    optional("schedule", BIG),
    optional("scheduled_at", BIG),
    sa.Index("fg_run_status", "status", "workflow", "number"),
    where("fg_run_parent", "parent IS NOT NULL", "parent"),
    where("fg_run_event", "event IS NOT NULL", "event"),
    where("fg_run_tick", "schedule IS NOT NULL", "schedule", "scheduled_at", unique=True),
    where("fg_run_epoch", "epoch IS NOT NULL", "epoch"),
    where("fg_run_ready", "ready = 1 AND epoch IS NULL", sa.text("takeovers DESC"), "number"),
    where("fg_run_idempotency", "idempotency_key IS NOT NULL", "workflow", "idempotency_key", unique=True),
    sa.Index("fg_run_workflow", "workflow", "number"),
    where("fg_run_live_of_schedule", "schedule IS NOT NULL AND ended_at IS NULL", "schedule"),
)
sa.Table(
    "fg_inbox",
    METADATA,
    number("position"),
    required("run", BIG),
    required("id", TEXT),
    required("kind", TEXT),
    required("serial", BIG),
    optional("payload", TEXT),
    optional("event", BIG),
    optional("serials", TEXT),
    optional("more", BIG),
    required("at", BIG),
    sa.Index("fg_inbox_run", "run", "id", unique=True),
    sqlite_autoincrement=True,
)
sa.Table(
    "fg_journal",
    METADATA,
    key("run", BIG),
    key("seq", BIG),
    required("at", BIG),
    required("kind", TEXT),
    required("serial", BIG),
    required("payload", TEXT),
    required("digest", BIG),
    optional("site", TEXT),
    optional("visit", BIG),
    optional("attempt", BIG),
    optional("started_at", BIG),
)
sa.Table(
    "fg_snapshot",
    METADATA,
    key("run", BIG),
    required("seq", BIG),
    required("state", TEXT),
)
sa.Table(
    "fg_timer",
    METADATA,
    key("due", BIG),
    key("run", BIG),
    key("serial", BIG),
    required("kind", TEXT),
    sa.Index("fg_timer_run", "run", "serial"),
    sqlite_with_rowid=False,
)
sa.Table(
    "fg_wait",
    METADATA,
    key("name", TEXT),
    key("path", TEXT),
    key("value", TEXT),
    key("run", BIG),
    key("serial", BIG),
    optional("more", TEXT),
    required("since_start", SMALL),
    optional("cursor", BIG),
    required("opened_at", BIG),
    sa.Index("fg_wait_run", "run", "serial"),
    sqlite_with_rowid=False,
)
sa.Table(
    "fg_schedule",
    METADATA,
    number("number"),
    required("workflow", BIG),
    required("expression", TEXT),
    required("zone", TEXT),
    required("machine", BIG),
    required("catch_up", TEXT),
    required("overlap", TEXT),
    required("jitter", BIG),
    required("takes_time", SMALL),
    optional("next_at", BIG),
    optional("due", BIG),
    optional("last_at", BIG),
    optional("retired_at", BIG),
    sa.Index("fg_schedule_identity", "workflow", "expression", "zone", unique=True),
)
sa.Table(
    "fg_skip",
    METADATA,
    key("schedule", BIG),
    key("scheduled_at", BIG),
    required("until", BIG),
    required("count", BIG),
    required("reason", TEXT),
    required("at", BIG),
    sqlite_with_rowid=False,
)
sa.Table(
    "fg_taken",
    METADATA,
    key("run", BIG),
    key("event", BIG),
    sa.Index("fg_taken_event", "event", "run"),
    sqlite_with_rowid=False,
)
sa.Table(
    "fg_limit_slot",
    METADATA,
    key("pool", TEXT),
    key("key", TEXT),
    key("epoch", BIG),
    key("ticket", BIG),
    required("run", BIG),
    required("serial", BIG),
    required("most", BIG),
    required("held", SMALL),
    required("at", BIG),
    sa.Index("fg_limit_slot_most", "pool", "key", "held", "most"),
    sa.Index("fg_limit_slot_run", "run"),
    sa.Index("fg_limit_slot_turn", "pool", "key", "held", "at"),
    sa.Index("fg_limit_slot_ticket", "epoch", "ticket"),
    sqlite_with_rowid=False,
)
sa.Table(
    "fg_api_key",
    METADATA,
    key("id", TEXT),
    required("name", TEXT),
    required("prefix", TEXT),
    required("sha256", TEXT, unique=True),
    required("scopes", TEXT),
    required("created_at", BIG),
    optional("revoked_at", BIG),
)


def upgrade() -> None:
    """Make them."""
    METADATA.create_all(op.get_bind(), checkfirst=False)
