"""Databases for measuring: each sample gets an empty one, with every durability setting as it is in production."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import create_engine, text

from verification.postgres import PostgresServer, server_binaries, temporary_server


def fresh(path: Path) -> None:
    """Remove a SQLite database with its companions."""
    for suffix in ("", "-wal", "-shm", "-journal", ".lock", "-lock"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def prepare(url: str) -> None:
    """Make the database empty: a file is removed, a PostgreSQL database dropped and made."""
    path = sqlite_path(url)
    if path is not None:
        fresh(path)
        return
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(url.replace(f"/{name}?", "/postgres?", 1), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')


@contextmanager
def postgres() -> Iterator[PostgresServer | None]:
    """A server with PostgreSQL's own defaults, which wait for the disk; None where its programs are not installed."""
    binaries = server_binaries()
    if binaries is None:
        yield None
        return
    with temporary_server(binaries, durable=True) as server:
        yield server


def postmaster(server: PostgresServer) -> int:
    """Return the server's process, whose descendants do its work."""
    return int((server.folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0])


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Run a query on a connection of its own."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]
    finally:
        engine.dispose()


def stored_bytes(url: str) -> int:
    """Return the size of the database with all its indexes; PostgreSQL has cleaned up before."""
    path = sqlite_path(url)
    if path is not None:
        return sum(Path(f"{path}{end}").stat().st_size for end in ("", "-wal") if Path(f"{path}{end}").exists())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])


def durability(url: str) -> str:
    """Return what the database says of how it commits, for one that flowgraph's own settings opened."""
    if sqlite_path(url) is not None:
        return "journal_mode=wal synchronous=full"
    ((commit, sync),) = ask(url, "SELECT current_setting('synchronous_commit'), current_setting('fsync')")
    return f"synchronous_commit={commit} fsync={sync}"
