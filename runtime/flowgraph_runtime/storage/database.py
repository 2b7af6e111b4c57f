"""What a database does for the writer: one connection that writes, statements over many rows, locks, and connections that read.

Statements are written once for both databases, with `:name` parameters. `each` gives a statement its rows as a table called
`given`, in ONE call of the driver: with a call a row a busy engine beside the writer starves it (measured: 461,000 rows/s fall
to 1,750, because every call hands the interpreter lock back and forth).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

from sqlalchemy import Connection

from flowgraph_runtime.storage.errors import StorageError

Rows: TypeAlias = list[tuple[Any, ...]]
Same: TypeAlias = tuple[tuple[str, str], ...]
"""Columns that are alike in all rows of a statement, each with the SQL of its value."""


class Writing(ABC):
    """The one connection that writes. Used by one thread at a time."""

    @abstractmethod
    def begin(self) -> None:
        """Start a transaction."""

    @abstractmethod
    def commit(self) -> None:
        """Make it durable. When it is not known whether that happened, finds out; raises OutcomeUnknown if it cannot."""

    @abstractmethod
    def rollback(self) -> None:
        """Forget the transaction, if there is one; never raises."""

    @abstractmethod
    def rows(self, sql: str, **parameters: Any) -> Rows:
        """Run a statement that answers rows."""

    @abstractmethod
    def run(self, sql: str, **parameters: Any) -> int:
        """Run a statement that answers none; how many rows it touched."""

    @abstractmethod
    def each(self, sql: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> Rows:
        """Run a statement that reads the table `given`. `columns`: `run int, payload text`. Answers what it returns."""

    @abstractmethod
    def insert(self, table: str, columns: str, values: list[Any], same: Same = ()) -> None:
        """Insert rows, whose values come one after the other in one list, when convenient: the list is lent until the transaction
        ends. `columns`: as for `each`; `same`: more columns, and the SQL of what all rows have there."""

    @abstractmethod
    def insert_new(self, table: str, columns: str, values: Sequence[Sequence[Any]], *, every: bool = False) -> dict[str, int]:
        """Insert those rows that a unique index does not forbid -> their `number`s, by `id`, which is the first column. `values`:
        those of each column, of one row or more; what is the same in all rows costs next to nothing. `columns`: as for `each`.
        `every`: the caller refuses an answer that is short of a row, so that the database may do it."""

    @abstractmethod
    def change(self, sql: str, columns: str, rows: Sequence[tuple[Any, ...]], then: Callable[[int], None] | None = None) -> None:
        """Like `each` for a statement that returns nothing, when convenient; `then` hears how many rows it touched."""

    @abstractmethod
    def demand(self, then: Callable[[Rows], None], sql: str, **parameters: Any) -> None:
        """Run a statement when convenient; `then` hears what it answers, and may raise."""

    @abstractmethod
    def flush(self) -> None:
        """Run now what was left for when it is convenient: at the latest together with the next statement that answers, or
        before the commit. Its errors are raised there, in order."""

    @abstractmethod
    def lock_buckets(self, buckets: Iterable[int]) -> None:
        """Wait, before the next statement, until nobody else has one of these buckets (0 to 255, and 256 for limits); they are
        given back with the transaction."""

    @abstractmethod
    def ask_time(self) -> None:
        """Let `now` be a moment after everything that was asked before."""

    @abstractmethod
    def now(self) -> int | None:
        """Microseconds by the database's own clock when `ask_time` was called, None where it has none."""

    @abstractmethod
    def tidy(self) -> None:
        """Between transactions, when nobody waits: do what a later one would have to do."""

    @abstractmethod
    def understand(self, error: Exception) -> StorageError:
        """The driver's error as one of ours: Transient, Refused, DatabaseFull, DatabaseUnavailable; ours as it is."""

    @abstractmethod
    def unbroken(self, span: int) -> bool:
        """Whether this connection has been in touch with the database all of the last `span` microseconds, or ever since it was
        made: who has just been cut off knows nothing of how others are."""

    @abstractmethod
    def cut(self) -> None:
        """From any thread: break the line under a statement that gets no answer, so that it fails."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class Database(ABC):
    """A database that holds the tables."""

    share_lock: str
    """Appended to a SELECT so that the rows it answers stay as they are until commit."""
    update_lock: str
    skip_locked: str
    lateral: bool
    """Whether a joined subquery may read the tables before it (LATERAL)."""
    has_other_writers: bool
    """Whether other processes may write at the same time."""
    epochs: set[int]
    """Those that this process has opened: what happens to their runs need not be announced to itself."""
    workers: int
    """How many workers there were at the last claim."""

    def free(self) -> int | None:
        """Bytes that are free on its disk, None where that cannot be told."""
        return None

    @abstractmethod
    def writing(self) -> Writing:
        """The connection that writes; the same one each time."""

    @abstractmethod
    def writer(self) -> str | None:
        """The name by which others find the writing connection when they have to end it."""

    @abstractmethod
    def end_writers(self, names: Collection[str]) -> None:
        """End the writing connections of other processes, so that a process that was stopped in a transaction blocks nobody."""

    @abstractmethod
    def beside(self) -> Database | None:
        """The same database with a writing connection of its own, for what may not queue behind commits: signs of life. None
        where only one connection may write."""

    @abstractmethod
    def listening(self) -> AsyncGenerator[str]:
        """What other processes announce, as it is committed; an empty text after each time that something may have been missed.
        Ends at once where nobody else writes."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that reads one consistent state."""

    @abstractmethod
    def altering(self) -> AbstractContextManager[Connection]:
        """A connection that may make and change tables, in one transaction; nobody else has one at the same time."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections and give up the lock."""


def parse_columns(columns: str) -> tuple[tuple[str, str], ...]:
    """`run int, payload text` -> (("run", "int"), ("payload", "text"))."""
    pairs = [column.split() for column in columns.split(",")]
    return tuple((name, kind) for name, kind in pairs)
