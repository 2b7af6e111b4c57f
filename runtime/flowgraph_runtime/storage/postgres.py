"""PostgreSQL: any number of processes on one database; psycopg writes, SQLAlchemy over psycopg reads."""

# ruff: noqa: D102, S608 - the methods are described in `database`; statements are literals of this package

from __future__ import annotations

import re
import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from uuid import uuid4

import orjson
import psycopg
from psycopg import errors, sql
from sqlalchemy import Connection, create_engine

from flowgraph_runtime.storage.database import Database, Rows, Writing, parse_columns
from flowgraph_runtime.storage.errors import (
    DatabaseFull,
    DatabaseUnavailable,
    OutcomeUnknown,
    Refused,
    StorageError,
    Transient,
    WriterFailed,
)
from flowgraph_runtime.storage.schema import SCHEMA_LOCK

_KINDS = {"int": "bigint", "text": "text"}
_LOCKS = 0x666C6F77  # "flow": the class of our advisory locks
_TIMEOUTS = "-c statement_timeout=10s -c idle_in_transaction_session_timeout=10s -c lock_timeout=8s"
"""Below the lease: a writer that was stopped inside its transaction must not hold up whoever takes over."""
_PATIENCE = 20.0  # seconds to find out what became of a commit


class PostgresDatabase(Database):
    """A PostgreSQL database. Its own clock counts when `by_its_clock`."""

    share_lock = "FOR SHARE"
    update_lock = "FOR UPDATE"
    skip_locked = "FOR UPDATE SKIP LOCKED"
    has_other_writers = lateral = True

    def __init__(self, url: str, *, by_its_clock: bool) -> None:
        self._writing = PostgresWriting(url, by_its_clock=by_its_clock)
        self._engine = create_engine(
            "postgresql+psycopg://" + url.removeprefix("postgresql://"),
            pool_size=4,
            max_overflow=4,
            pool_pre_ping=True,
            isolation_level="REPEATABLE READ",
        )

    def writing(self) -> Writing:
        return self._writing

    def writer(self) -> str | None:
        return self._writing.name

    def end_writers(self, names: Collection[str]) -> None:
        self._writing.each(
            "SELECT pg_terminate_backend(a.pid) FROM given JOIN pg_stat_activity a ON a.application_name = given.name"
            " WHERE a.datname = current_database()",
            "name text",
            [(name,) for name in names if name != self._writing.name],
        )

    @contextmanager
    def reading(self) -> Generator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def altering(self) -> Generator[Connection]:
        engine = self._engine.execution_options(isolation_level="READ COMMITTED")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
            yield connection

    def close(self) -> None:
        self._engine.dispose()
        self._writing.close()


class PostgresWriting(Writing):
    """The writing connection; made again when it breaks."""

    def __init__(self, url: str, *, by_its_clock: bool) -> None:
        self._url = url
        self._by_its_clock = by_its_clock
        self.name = f"flowgraph-writer-{uuid4().hex}"
        self._xid = ""
        self._now = 0
        self._connection = self._connect()

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self._url, autocommit=True, options=_TIMEOUTS, connect_timeout=10, application_name=self.name)

    def begin(self) -> None:
        if self._connection.closed:
            self._connection = self._connect()
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if not self._connection.closed:
                raise
            if not self._was_committed():
                raise Transient("the connection broke before the transaction was committed") from error

    def _was_committed(self) -> bool:
        """Ask a new connection what became of the transaction whose COMMIT was cut off; the client alone cannot tell."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                if self._connection.closed:
                    self._connection = self._connect()
                status = self._connection.execute("SELECT pg_xact_status(%s::xid8)", (self._xid,)).fetchone()
                if status is not None and status[0] in ("committed", "aborted"):
                    return bool(status[0] == "committed")
            time.sleep(0.1)
        raise OutcomeUnknown(f"the connection was lost while committing transaction {self._xid}; its end could not be found out")

    def rollback(self) -> None:
        with suppress(psycopg.Error):
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")

    def rows(self, sql: str, **parameters: Any) -> Rows:
        return self._connection.execute(_query(sql), parameters).fetchall()

    def run(self, sql: str, **parameters: Any) -> int:
        return self._connection.execute(_query(sql), parameters).rowcount

    def each(self, sql: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> Rows:
        if not rows:
            return []
        cursor = self._connection.execute(_given(sql, columns), (orjson.dumps(rows).decode(),))
        return cursor.fetchall() if cursor.description else []

    def lock_buckets(self, buckets: Iterable[int]) -> None:
        wanted = sorted(set(buckets))
        if wanted:
            self._connection.execute("SELECT pg_advisory_xact_lock(%s, b) FROM unnest(%s::int[]) b", (_LOCKS, wanted))

    def now(self) -> int | None:
        row = self._connection.execute(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_current_xact_id()::text"
        ).fetchone()
        assert row is not None
        self._now, self._xid = max(self._now, int(row[0])), str(row[1])
        return self._now if self._by_its_clock else None

    def understand(self, error: Exception) -> StorageError:
        match error:
            case StorageError():
                return error
            case errors.DeadlockDetected() | errors.SerializationFailure():
                return Transient(str(error))
            case errors.DiskFull():
                return DatabaseFull(str(error))
            case psycopg.OperationalError():
                return Transient(str(error)) if self._connection.closed else DatabaseUnavailable(str(error))
            case psycopg.Error():
                return Refused(str(error))
            case _:
                return WriterFailed(repr(error))

    def close(self) -> None:
        self._connection.close()


@lru_cache(maxsize=512)
def _query(statement: str) -> sql.SQL:
    return _trusted(re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement.replace("%", "%%")))


@lru_cache(maxsize=512)
def _given(statement: str, columns: str) -> sql.SQL:
    """One JSON document with all rows costs the client 1 microsecond a row, lists for `unnest` 30 (measured). No object of the
    user is in it, only rows of numbers and texts, so jsonb's ordering of keys and refusal of NUL do not matter."""
    pairs = parse_columns(columns)
    values = ", ".join(f"(v->>{position})::{_KINDS[kind]}" for position, (_, kind) in enumerate(pairs))
    names = ", ".join(name for name, _ in pairs)
    return _trusted(f"WITH given({names}) AS (SELECT {values} FROM jsonb_array_elements(%s::jsonb) v) {statement}")


def _trusted(statement: str) -> sql.SQL:
    """psycopg takes statements as literals only; ours are put together from literals of this package."""
    return sql.SQL(statement)  # type: ignore[arg-type,unused-ignore]
