"""The physical limit here: a loop that inserts one 130-byte row per unit of work and waits for the disk as the engine does.

python -m benchmarks.raw grouped|single URL --size ROWS

`grouped` inserts 1,000 rows a commit (SQLite: `executemany`; PostgreSQL: one statement over `unnest` with binary parameters, the
fastest of four ways tried), `single` one row a commit.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import psycopg

from benchmarks.databases import durability, fresh, sqlite_path
from benchmarks.gauge import Gauge, answer, arguments, insist, say, spread

GROUP = 1000
"""Rows of a commit."""
TEXT = json.dumps(answer(0), separators=(",", ":"))

Row: TypeAlias = tuple[str, int, str]
Insert: TypeAlias = Callable[[list[Row]], None]
"""Stores rows in one durable transaction."""


@contextmanager
def sqlite_rows(path: Path) -> Iterator[tuple[Insert, Callable[[], int]]]:
    """A new file in WAL mode, synchronous=FULL -> what inserts, and what counts."""
    fresh(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table step (id integer primary key, run text, seq int, payload text)")

    def insert(rows: list[Row]) -> None:
        connection.execute("begin immediate")
        connection.executemany("insert into step (run, seq, payload) values (?, ?, ?)", rows)
        connection.execute("commit")

    yield insert, lambda: int(connection.execute("select count(*) from step").fetchone()[0])
    connection.close()


@contextmanager
def postgres_rows(url: str) -> Iterator[tuple[Insert, Callable[[], int]]]:
    """A new table on a connection that commits each statement -> what inserts, and what counts."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        connection.execute("create table step (id bigserial primary key, run text, seq bigint, payload text)")
        into = "insert into step (run, seq, payload)"

        def insert(rows: list[Row]) -> None:
            if len(rows) == 1:
                connection.execute(f"{into} values (%b, %b, %b)", rows[0])
            else:
                columns = [list(column) for column in zip(*rows, strict=True)]
                connection.execute(f"{into} select * from unnest(%b::text[], %b::bigint[], %b::text[])", columns)

        def count() -> int:
            row = connection.execute("select count(*) from step").fetchone()
            assert row is not None
            return int(row[0])

        yield insert, count


def loop(url: str, rows: int, per_commit: int, postmaster: int | None) -> dict[str, object]:
    """Insert `rows` rows, made in that time -> the sample, with the time of each commit."""
    path = sqlite_path(url)
    with sqlite_rows(path) if path is not None else postgres_rows(url) as (insert, count):
        insert([("run_warm", 0, TEXT)] * per_commit)
        seconds: list[float] = []
        gauge = Gauge(postmaster)
        for first in range(0, rows, per_commit):
            began = time.perf_counter()
            insert([(f"run_{n % 1000:026d}", n, TEXT) for n in range(first, min(first + per_commit, rows))])
            seconds.append(time.perf_counter() - began)
        sample = gauge.sample(rows, **spread(seconds), per_commit=per_commit)
        insist(count(), rows + per_commit, "rows in the table")
    return {**sample, "durability": durability(url)}


def main() -> None:
    """Run one loop and print its sample."""
    given = arguments(__doc__, ("grouped", "single"))
    say(loop(given.url, given.size, GROUP if given.workload == "grouped" else 1, given.postmaster))


if __name__ == "__main__":
    main()
