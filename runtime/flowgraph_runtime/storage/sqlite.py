"""SQLite: one file, one process, one connection that writes; others only read."""

# ruff: noqa: D102, S608 - the methods are described in `database`; statements are put together from constants of this package

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import chain, compress, count
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import QueuePool, StaticPool

from flowgraph_runtime.storage.database import Database, Rows, Same, Writing, parse_columns
from flowgraph_runtime.storage.errors import DatabaseFull, DatabaseInUse, DatabaseUnavailable, Refused, StorageError, WriterFailed

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_MOST, _STEP, _SMALL_STEP = 1024, 64, 8
"""Rows of the largest statement that inserts, and by how many others differ at least. A group is a statement or two, and each is
prepared once (measured: for 512 rows 2 ms, eight times what it takes to run it). Every statement gives the interpreter's lock
away three times, and a busy loop keeps it for a switch interval then."""
_FEW = 8
"""Rows that a statement takes as parameters. More are one parameter, a JSON text, whatever their number: to prepare a statement
for each number of rows takes three times as long as to run it (measured)."""
_NOTHING, _IS_A_ROW = 0, "column1 <> 0"
"""A value of an empty row, which only makes a statement as long as one that is prepared already; no row begins with it. Not None:
the driver looks for an adapter for each, and holds the interpreter's lock meanwhile (measured: 0.27 microseconds, 0.02 for an
int)."""
_PARAMETERS = 30_000  # SQLite's own default limit of parameters in a statement is 32,766
_WAL_PAGES = 1_500
"""Pages of the write-ahead log, 6 MB, after which it is copied into the file: a commit waits for that, and the same pages change
again and again."""
_EARLY_CHECKPOINT = 1_000
"""Pages from which on it is copied while nobody waits, so that hardly a commit has to (measured: 5 ms, once or twice in 1,000
runs of ten steps)."""
_PAGES_OF_COMMIT, _ROWS_OF_PAGE = 3, 7
"""What a commit of one row writes, and how many rows of a large commit share a page (measured): a guess will do, and to read the
log's length from its index is to open and close that file, and so to lose SQLite's locks on it."""
_WAL_BYTES = 32 + (_WAL_PAGES + 200) * (24 + 4096)
"""Its header, those pages and a group more, each behind a header of its own."""
_ROOMY = 16
"""As many logs would have to find room on a disk before one gets its full length."""
_LENGTHENED_AFTER = 32
"""Commits of a process after which it gives the log its full length at once: as long as the file grows, each commit waits for the
file system, too, which notes the new length (measured: 0.2 to 0.4 ms for one row, else 0.15)."""
_DURABILITY = {"full": "FULL", "normal": "NORMAL"}


class SqliteDatabase(Database):
    """A SQLite file, or with an empty path a database in memory that dies with the store."""

    share_lock = update_lock = skip_locked = ""
    has_other_writers = lateral = False

    def __init__(self, path: str, durability: str) -> None:
        self._path = path
        self.epochs, self.workers = set(), 1
        self._busy = threading.RLock()  # in memory readers share the writer's connection
        self._lock = _FileLock(path) if path else None
        try:
            self._writing = SqliteWriting(_connect(path), durability, self._busy, path)
        except BaseException:
            self._unlock()
            raise
        self._engine = self._engine_in_memory() if not path else self._engine_on_file()

    def _engine_in_memory(self) -> Engine:
        return create_engine("sqlite://", creator=lambda: self._writing.connection, poolclass=StaticPool)

    def _engine_on_file(self) -> Engine:
        return create_engine("sqlite://", creator=self._reader, poolclass=QueuePool, pool_size=4, max_overflow=4)

    def _reader(self) -> sqlite3.Connection:
        connection = _connect(self._path)
        connection.execute("PRAGMA query_only=1")
        return connection

    def free(self) -> int | None:
        return shutil.disk_usage(Path(self._path).resolve().parent).free if self._path else None

    def writing(self) -> Writing:
        return self._writing

    def writer(self) -> str | None:
        return None

    def end_writers(self, names: Collection[str]) -> None:
        """Nobody else writes: the file is locked."""

    def beside(self) -> None:
        return None

    async def listening(self) -> AsyncGenerator[str]:
        nobody: tuple[str, ...] = ()
        for text in nobody:
            yield text

    @contextmanager
    def reading(self) -> Generator[Connection]:
        if not self._path:
            with self._busy, self._engine.connect() as connection:
                yield connection
            return
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def altering(self) -> Generator[Connection]:
        engine = self._engine
        if self._path:
            engine = create_engine("sqlite://", creator=lambda: _connect(self._path), poolclass=StaticPool)
        try:
            with self._busy, engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
        finally:
            if self._path:
                engine.dispose()

    def close(self) -> None:
        self._engine.dispose()
        self._writing.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()


class SqliteWriting(Writing):
    """The writing connection. `commit` waits for the disk when durability is full.

    A transaction begins with its first statement that changes anything, and one that only inserts rows into one table is that
    one statement, by which SQLite begins and commits: nobody else writes, so what was read before is still true."""

    def __init__(self, connection: sqlite3.Connection, durability: str, busy: threading.RLock, path: str) -> None:
        self.connection = connection
        self._busy = busy
        self._path = path
        self._short_for = _LENGTHENED_AFTER if path else 0  # commits until the log is lengthened
        self._commits = self._changes = 0  # commits, and changes up to then, since the log was copied
        self._open = False
        self._only: tuple[str, str, list[Any], Same] | None = None  # the rows to insert, if there is nothing else so far
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={_DURABILITY[durability]}")
        connection.execute("PRAGMA cache_size=-65536")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")

    def begin(self) -> None:
        self._busy.acquire()
        self._open, self._only = True, None

    def _changing(self) -> sqlite3.Connection:
        """The connection, in a transaction."""
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN IMMEDIATE")
            if self._only is not None:
                only, self._only = self._only, None
                self.insert(*only)
        return self.connection

    def commit(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")
        elif self._only is not None:
            self._insert_all(*self._only)
        self._commits += 1
        if self._short_for:
            self._short_for -= 1
            if not self._short_for:
                _lengthen(f"{self._path}-wal")
        self._end()

    def rollback(self) -> None:
        if self.connection.in_transaction:
            with suppress(sqlite3.Error):  # a full disk has rolled it back already
                self.connection.execute("ROLLBACK")
        if self._open:
            self._end()

    def _end(self) -> None:
        self._open, self._only = False, None
        self._busy.release()

    def rows(self, sql: str, **parameters: Any) -> Rows:
        return self._changing().execute(sql, parameters).fetchall()

    def run(self, sql: str, **parameters: Any) -> int:
        return self._changing().execute(sql, parameters).rowcount

    def each(self, sql: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> Rows:
        connection = self._changing()
        return [row for statement, given in _statements(sql, columns, rows) for row in connection.execute(statement, given)]

    def change(self, sql: str, columns: str, rows: Sequence[tuple[Any, ...]], then: Callable[[int], None] | None = None) -> None:
        connection = self._changing()
        before = connection.total_changes
        for statement, given in _statements(sql, columns, rows):
            connection.execute(statement, given)
        if then is not None:
            then(connection.total_changes - before)

    def demand(self, then: Callable[[Rows], None], sql: str, **parameters: Any) -> None:
        then(self.connection.execute(sql, parameters).fetchall())

    def flush(self) -> None:
        """What is left for later is the whole transaction, or nothing."""

    def insert(self, table: str, columns: str, values: list[Any], same: Same = ()) -> None:
        width = columns.count(",") + 1
        if not self.connection.in_transaction and self._only is None and len(values) // width <= _MOST:
            self._only = (table, columns, values, same)
            return
        self._changing()
        for start in range(0, len(values), _MOST * width):
            self._insert_all(table, columns, values[start : start + _MOST * width], same)

    def _insert_all(self, table: str, columns: str, values: list[Any], same: Same) -> None:
        """Insert by one statement. The list is filled up, and cut again: to make a longer one would be to touch each value."""
        width, size = columns.count(",") + 1, len(values)
        count = size // width
        missing = _missing(count)
        statement = _insert(table, columns, same, count + missing, filled=bool(missing))
        values += [_NOTHING] * (missing * width)
        try:
            self.connection.execute(statement, values)
        finally:
            del values[size:]

    def insert_new(self, table: str, columns: str, values: Sequence[Sequence[Any]], *, every: bool = False) -> dict[str, int]:
        """SQLite's own numbers go up by one, so they are known: to have them returned costs a third of all (measured)."""
        del every  # the count tells
        connection, ids = self._changing(), values[0]
        names = tuple(name for name, _ in parse_columns(columns))
        varying = tuple(one.count(one[0]) < len(one) or not place for place, one in enumerate(values))
        shared = [one[0] for one, varies in zip(values, varying, strict=True) if not varies]
        width, before, last = sum(varying), connection.total_changes, 0
        most = _most(width)
        for start in range(0, len(ids), most):
            own = [one[start : start + most] for one in compress(values, varying)]
            missing = _missing(len(own[0]))
            parameters = [*shared, *chain.from_iterable(zip(*own, strict=True)), *[_NOTHING] * (missing * width)]
            last = connection.execute(_insert_sharing(table, names, varying, len(own[0]) + missing), parameters).lastrowid or 0
        new = connection.total_changes - before
        if new == len(ids):
            return dict(zip(ids, range(last - new + 1, last + 1), strict=True))
        return self._those_after(table, last - new, ids) if new else {}

    def _those_after(self, table: str, number: int, ids: Sequence[str]) -> dict[str, int]:
        """Of the rows with these ids the numbers of those that have come after the one with this number."""
        found = f"SELECT t.id, t.number FROM given JOIN {table} t ON t.id = given.id AND t.number > {number:d}"
        return {str(id): int(one) for id, one in self.each(found, "id text", [(id,) for id in ids])}

    def lock_buckets(self, buckets: Iterable[int]) -> None:
        """Nothing to do: nobody else writes."""

    def ask_time(self) -> None:
        """It has no clock."""

    def now(self) -> int | None:
        return None

    def unbroken(self, span: int) -> bool:
        return span >= 0

    def cut(self) -> None:
        """Nothing stands between this process and the file."""

    def understand(self, error: Exception) -> StorageError:
        if isinstance(error, StorageError):
            return error
        if isinstance(error, sqlite3.OperationalError):
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            return DatabaseFull(str(error)) if full else DatabaseUnavailable(str(error))
        return Refused(str(error)) if isinstance(error, sqlite3.Error) else WriterFailed(repr(error))

    def tidy(self) -> None:
        changes = self.connection.total_changes
        pages = _PAGES_OF_COMMIT * self._commits + (changes - self._changes) // _ROWS_OF_PAGE
        if self._path and pages >= _EARLY_CHECKPOINT:
            self._commits, self._changes = 0, changes
            with self._busy, suppress(sqlite3.Error):  # then a commit does it, or says what is wrong
                self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self.connection.close()


def _lengthen(path: str) -> None:
    """Append zeros to a write-ahead log, which SQLite takes for its end and writes over. Only while nobody writes to it. A disk
    with little room, or with none, keeps the log as it was."""
    with suppress(OSError), open(path, "r+b", buffering=0) as log:
        length = log.seek(0, os.SEEK_END)
        if shutil.disk_usage(path).free < _ROOMY * _WAL_BYTES:
            return
        try:
            log.write(bytes(max(0, _WAL_BYTES - length)))
            os.fsync(log.fileno())
        except OSError:
            log.truncate(length)


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute("PRAGMA busy_timeout=5000")
    return connection


def _statements(sql: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """The statement or statements by which the table `given` is these rows, each with its parameters."""
    text = _as_text(rows) if len(rows) > _FEW else None
    if text is not None:
        yield _statement_of_text(sql, columns), (text,)
        return
    for start in range(0, len(rows), _FEW):
        part = rows[start : start + _FEW]
        yield _statement(sql, columns, len(part)), list(chain.from_iterable(part))


def _as_text(rows: Sequence[tuple[Any, ...]]) -> str | None:
    """The rows as a JSON text; None where that would not be the same: SQLite's reader of JSON ends a text at a NUL character."""
    try:
        text = orjson.dumps(rows).decode()
    except TypeError:
        return None
    return None if "\\u0000" in text else text


def _most(width: int) -> int:
    """How many rows of so many columns a statement takes."""
    return min(_MOST, 1 << (_PARAMETERS // width).bit_length() - 1)


def _missing(count: int) -> int:
    """How many empty rows bring so many rows to one of the sizes that statements come in."""
    if count <= _SMALL_STEP:
        return 0
    return -count % (_SMALL_STEP if count <= _STEP else max(_STEP, 1 << (count - 1).bit_length() - 2))


@lru_cache(maxsize=512)
def _statement(sql: str, columns: str, size: int) -> str:
    names = [name for name, _ in parse_columns(columns)]
    return f"WITH given({', '.join(names)}) AS (VALUES {_places(len(names), size)}) {sql}"


@lru_cache(maxsize=256)
def _statement_of_text(sql: str, columns: str) -> str:
    names = [name for name, _ in parse_columns(columns)]
    values = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(names)))
    return f"WITH given({', '.join(names)}) AS (SELECT {values} FROM json_each(?)) {sql}"


@lru_cache(maxsize=256)
def _insert(table: str, columns: str, same: Same, size: int, *, filled: bool = False) -> str:
    """Without `given`: a quarter less of the database's time (measured). `filled`: empty rows are left out."""
    own = [name for name, _ in parse_columns(columns)]
    names, shared = ", ".join([*own, *(name for name, _ in same)]), "".join(f", {value}" for _, value in same)
    if filled:
        return f"INSERT INTO {table} ({names}) SELECT *{shared} FROM (VALUES {_places(len(own), size)}) WHERE {_IS_A_ROW}"
    return f"INSERT INTO {table} ({names}) VALUES {_places(len(own), size, shared)}"


@lru_cache(maxsize=64)
def _insert_sharing(table: str, names: tuple[str, ...], varying: tuple[bool, ...], size: int) -> str:
    """The first parameters are the values that all rows share. Empty rows are left out, and those that a unique index
    forbids. (No numbered parameters: SQLite looks for each among all before it when it prepares the statement.)"""
    own = count(1)
    chosen = ", ".join(f"column{next(own)}" if varies else "?" for varies in varying)
    rows = f"(VALUES {_places(sum(varying), size)}) WHERE {_IS_A_ROW}"
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} FROM {rows} ON CONFLICT DO NOTHING"


def _places(width: int, size: int, shared: str = "") -> str:
    return ", ".join(["(" + ", ".join("?" * width) + shared + ")"] * size)


class _FileLock:
    """An exclusive lock on `<path>.lock`, held by this process until `release`; the system frees it when the process dies."""

    def __init__(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take()
        except OSError:
            holder = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise DatabaseInUse(
                f"another server (process {holder}) writes to {path!r}; stop it, use another file, or use PostgreSQL "
                "for more than one process"
            ) from None
        os.truncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def _take(self) -> None:
        if sys.platform == "win32":
            msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
