"""PostgreSQL: any number of processes on one database; psycopg writes, SQLAlchemy over psycopg reads."""

# ruff: noqa: D102, S608 - the methods are described in `database`; statements are literals of this package

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import lru_cache
from typing import Any
from uuid import uuid4

import orjson
import psycopg
from psycopg import errors
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from flowgraph_runtime.storage.database import Database, Rows, Same, Writing, parse_columns
from flowgraph_runtime.storage.errors import (
    DatabaseFull,
    DatabaseUnavailable,
    OutcomeUnknown,
    Refused,
    StorageError,
    TooSlow,
    Transient,
    WriterFailed,
)
from flowgraph_runtime.storage.line import Line, Value
from flowgraph_runtime.storage.listening import announcements
from flowgraph_runtime.storage.schema import SCHEMA_LOCK

_KINDS = {"int": "bigint", "text": "text"}
_LOCKS = 0x666C6F77  # "flow": the class of our advisory locks
_BESIDE = "-beside"
_NETWORK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A computer at the other end that is gone is noticed after some 10 seconds."""
OUT_OF_TOUCH = 0.75
"""Of a lease without a transaction: who knew nothing of others for so long does not judge them."""
_SHORTEST_TIMEOUT = 500  # milliseconds
_LONGEST_TIMEOUT = 2**31 - 1  # milliseconds: what PostgreSQL takes
_BY_INDEX = " ".join(f"-c {setting}=off" for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"))
"""What the writer does, it does to rows that it names, and each table has an index for them. The planner, which takes a table
that has just grown for a small one, and keeps its plan, would read whole tables (measured: an event for one of 10,000 waits took
18 ms of the server, by indexes 5). A plan with something that is switched off seems dear to it, so worth compiling: not that
either."""
_FEW = " WHERE v @> '[]'"
"""True of each row; but the planner expects one row of a hundred to pass, and so a handful, for which it uses
indexes. Not needed where no other table is read."""
READ_TIMEOUT = "30s"
"""Of a query for a page or a worker."""
_PATIENCE = 5.0  # seconds to find out what became of a commit, while all writing waits
_LOCK = f"SELECT pg_advisory_xact_lock({_LOCKS}, b) FROM unnest($1::int[]) b"
_TIME = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_current_xact_id()::text"


class PostgresDatabase(Database):
    """A PostgreSQL database. Its own clock counts when `by_its_clock`."""

    share_lock = "FOR SHARE"
    update_lock = "FOR UPDATE"
    skip_locked = "FOR UPDATE SKIP LOCKED"
    has_other_writers = lateral = True

    def __init__(self, url: str, *, by_its_clock: bool, lease: float) -> None:
        self.epochs, self.workers = set(), 1
        self._url = url
        self._name = f"flowgraph-writer-{uuid4().hex}"
        self._writing = PostgresWriting(url, self._name, by_its_clock=by_its_clock, lease=lease)
        self._writing.connect()
        self._engine = create_engine(
            "postgresql+psycopg://" + url.removeprefix("postgresql://"),
            pool_size=4,
            max_overflow=4,
            pool_pre_ping=True,
            isolation_level="REPEATABLE READ",
            connect_args={**_NETWORK, "options": f"-c statement_timeout={READ_TIMEOUT}"},
        )

    def writing(self) -> Writing:
        return self._writing

    def writer(self) -> str | None:
        return self._name

    def end_writers(self, names: Collection[str]) -> None:
        self._writing.each(
            "SELECT pg_terminate_backend(a.pid) FROM given JOIN pg_stat_activity a ON a.application_name = given.name"
            " WHERE a.datname = current_database()",
            "name text",
            [(each,) for name in names if name != self._name for each in (name, name + _BESIDE)],
        )

    def beside(self) -> PostgresDatabase:
        other = copy(self)
        other._writing = self._writing.beside()
        return other

    def listening(self) -> AsyncGenerator[str]:
        return announcements(self._url, _NETWORK)

    @contextmanager
    def reading(self) -> Generator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise DatabaseUnavailable(f"the database does not answer: {str(error.__cause__ or error).strip()}") from error

    @contextmanager
    def altering(self) -> Generator[Connection]:
        engine = self._engine.execution_options(isolation_level="READ COMMITTED")
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise DatabaseUnavailable(f"the database does not answer: {str(error.__cause__ or error).strip()}") from error

    def close(self) -> None:
        self._engine.dispose()
        self._writing.close()


class PostgresWriting(Writing):
    """The writing connection; made when it is needed, and again when it breaks. `name`: by which others find it. Its statements
    end before the `lease` (seconds) does: whoever was stopped in a transaction must not hold up whoever takes over."""

    def __init__(self, url: str, name: str, *, by_its_clock: bool, lease: float) -> None:
        self._url = url
        self._by_its_clock = by_its_clock
        self._lease = lease
        self.name = name
        self._xid = ""
        self._now = 0
        self._in_touch_since = 0
        self._waiting: list[tuple[str, Sequence[Value], Callable[[PGresult], None] | None]] = []
        self._line: Line | None = None

    def beside(self) -> PostgresWriting:
        return PostgresWriting(self._url, self.name + _BESIDE, by_its_clock=self._by_its_clock, lease=self._lease)

    @property
    def _open(self) -> Line:
        assert self._line is not None
        return self._line

    @property
    def _broken(self) -> bool:
        return self._line is None or self._line.closed

    def connect(self) -> None:
        """Make the connection."""
        limit = min(max(round(self._lease * 2 / 3 * 1000), _SHORTEST_TIMEOUT), _LONGEST_TIMEOUT)
        options = f"-c statement_timeout={limit} -c idle_in_transaction_session_timeout={limit} -c lock_timeout={limit * 3 // 4}"
        options = f"{options} {_BY_INDEX}"
        told: dict[str, Any] = {"application_name": self.name, "client_encoding": "UTF8", "options": options, **_NETWORK}
        self._line = Line(psycopg.connect(self._url, autocommit=True, **told))

    def begin(self) -> None:
        if self._broken:
            self.connect()
        self._waiting.clear()
        self._open.tidy()
        self._later("BEGIN")

    def commit(self) -> None:
        self.flush()
        try:
            self._open.say(b"COMMIT")
        except psycopg.OperationalError as error:
            if not self._broken:
                raise
            if not self._was_committed():
                raise Transient("the connection broke before the transaction was committed") from error

    def _was_committed(self) -> bool:
        """Ask a new connection what became of the transaction whose COMMIT was cut off; the client alone cannot tell."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                if self._broken:
                    self.connect()
                status = self.rows("SELECT pg_xact_status(CAST(:xid AS xid8))", xid=self._xid)[0][0]
                if status in ("committed", "aborted"):
                    return bool(status == "committed")
            time.sleep(0.1)
        raise OutcomeUnknown(f"the connection was lost while committing transaction {self._xid}; its end could not be found out")

    def rollback(self) -> None:
        self._waiting.clear()
        with suppress(psycopg.Error):
            if not self._broken:
                self._open.say(b"ROLLBACK")

    def rows(self, sql: str, **parameters: Any) -> Rows:
        return self._open.rows(self._execute(*_query(sql, parameters)))

    def run(self, sql: str, **parameters: Any) -> int:
        return _count(self._execute(*_query(sql, parameters)))

    def each(self, sql: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> Rows:
        if not rows:
            return []
        return self._open.rows(self._execute(_given(sql, columns), [orjson.dumps(rows)]))

    def change(self, sql: str, columns: str, rows: Sequence[tuple[Any, ...]], then: Callable[[int], None] | None = None) -> None:
        def heard(answer: PGresult) -> None:
            if then is not None:
                then(_count(answer))

        if rows:
            self._later(_given(sql, columns), [orjson.dumps(rows)], heard)

    def insert(self, table: str, columns: str, values: list[Any], same: Same = ()) -> None:
        own, each_value = [name for name, _ in parse_columns(columns)], iter(values)
        rows = list(zip(*[each_value] * len(own), strict=True))
        if rows:
            names, given = (", ".join([*own, *(pair[part] for pair in same)]) for part in (0, 1))
            query = _given(f"INSERT INTO {table} ({names}) SELECT {given} FROM given", columns, few="")
            self._later(query, [orjson.dumps(rows)])

    def tidy(self) -> None:
        """The server does it by itself."""

    def insert_new(self, table: str, columns: str, values: Sequence[Sequence[Any]], *, every: bool = False) -> dict[str, int]:
        names = ", ".join(name for name, _ in parse_columns(columns))
        known = "" if every else "ON CONFLICT DO NOTHING "  # which looks before it inserts: 6 of the 32 microseconds of a run
        new = f"INSERT INTO {table} ({names}) SELECT {names} FROM given {known}RETURNING id, number"
        return {str(id): int(number) for id, number in self.each(new, columns, list(zip(*values, strict=True)))}

    def demand(self, then: Callable[[Rows], None], sql: str, **parameters: Any) -> None:
        self._later(*_query(sql, parameters), lambda answer: then(self._open.rows(answer)))

    def lock_buckets(self, buckets: Iterable[int]) -> None:
        wanted = sorted(set(buckets))
        if wanted:
            self._later(_LOCK, [f"{{{','.join(map(str, wanted))}}}"])

    def ask_time(self) -> None:
        self._later(_TIME, then=self._hear_time)

    def _hear_time(self, answer: PGresult) -> None:
        ((now, self._xid),) = self._open.rows(answer)
        now = max(self._now, now)
        if self._now and now - self._now > self._lease * OUT_OF_TOUCH * 1_000_000:
            self._in_touch_since = now
        self._now = now

    def now(self) -> int | None:
        self.flush()
        return self._now if self._by_its_clock else None

    # --- the way to the server

    def _later(self, query: str, values: Sequence[Value] = (), then: Callable[[PGresult], None] | None = None) -> None:
        self._waiting.append((query, values, then))

    def _execute(self, query: str, values: Sequence[Value] = ()) -> PGresult:
        answered: list[PGresult] = []
        self._later(query, values, answered.append)
        self.flush()
        return answered[0]

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        answers, failure = self._open.post([(query, values) for query, values, _ in waiting])
        for answer, (_, _, then) in zip(answers, waiting, strict=False):
            if then is not None:
                then(answer)  # what an earlier statement says counts before a later one's failure
        if failure is not None:
            raise failure

    def unbroken(self, span: int) -> bool:
        self.flush()  # for the time of this transaction
        return self._now - self._in_touch_since >= span

    def cut(self) -> None:
        if self._line is None:
            return
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._line.fileno())) as line:  # or closed meanwhile
            line.shutdown(socket.SHUT_RDWR)

    def understand(self, error: Exception) -> StorageError:
        match error:
            case StorageError():
                return error
            case errors.DeadlockDetected() | errors.SerializationFailure() | errors.IdleInTransactionSessionTimeout():
                return Transient(str(error))
            case errors.QueryCanceled():
                return TooSlow(str(error))
            case errors.DiskFull():
                return DatabaseFull(str(error))
            case psycopg.OperationalError():
                return Transient(str(error)) if self._broken else DatabaseUnavailable(str(error))
            case psycopg.Error():
                return Refused(str(error))
            case _:
                return WriterFailed(repr(error))

    def close(self) -> None:
        if self._line is not None:
            self._line.close()


def _count(answer: PGresult) -> int:
    """How many rows a statement touched."""
    return answer.command_tuples or 0


def _query(statement: str, parameters: Mapping[str, Value]) -> tuple[str, list[Value]]:
    query, names = _numbered(statement)
    return query, [parameters[name] for name in names]


@lru_cache(maxsize=512)
def _numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2 and so on for its parameters, and their names."""
    parameter = re.compile(r"(?<!:):(\w+)")
    names = tuple(dict.fromkeys(parameter.findall(statement)))
    return parameter.sub(lambda found: f"${names.index(found[1]) + 1}", statement), names


@lru_cache(maxsize=512)
def _given(statement: str, columns: str, few: str = _FEW) -> str:
    """One JSON document with all rows costs the client 1 microsecond a row, lists for `unnest` 30 (measured). No object of the
    user is in it, only rows of numbers and texts, so jsonb's ordering of keys and refusal of NUL do not matter."""
    pairs = parse_columns(columns)
    values = ", ".join(f"(v->>{position})::{_KINDS[kind]}" for position, (_, kind) in enumerate(pairs))
    names = ", ".join(name for name, _ in pairs)
    return f"WITH given({names}) AS (SELECT {values} FROM jsonb_array_elements($1::jsonb) v{few}) {statement}"
