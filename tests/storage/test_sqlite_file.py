"""SQLite: one server a file, durable by default, refusing what it does not know."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flowgraph_runtime.records import NewRun
from flowgraph_runtime.storage import DatabaseFull, DatabaseInUse, Store, StoreClosed, WrongSchema
from flowgraph_runtime.storage.tables import SCHEMA_VERSION

_ENDLESS = """
import asyncio, sys
from flowgraph_runtime.records import JournalRow, NewRun, Transition
from flowgraph_runtime.storage import Store

async def main(url):
    store = Store.open(url)
    await store.save_machine("m", "w", "{}", "{}")
    epoch = await store.open_epoch("victim")
    await store.start_run(NewRun("run_1", "w", "m", "[]", 0))
    await store.claim(epoch, 1)
    for seq in range(1, 1_000_000):
        (error,) = await store.commit(epoch, [Transition("run_1", [JournalRow("run_1", seq, 0, "done", seq, "null", 0)])])
        assert error is None
        print(seq, flush=True)

asyncio.run(main(sys.argv[1]))
"""


def test_a_second_server_on_one_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    first = Store.open(url)
    with pytest.raises(DatabaseInUse, match=f"another server \\(process {os.getpid()}\\) writes to"):
        Store.open(url)
    first.close()
    Store.open(url).close()


def test_what_was_stored_is_there_after_opening_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/folder/runs.db"

    async def fill(store: Store) -> None:
        await store.save_machine("m", "w", "{}", "{}")
        await store.start_run(NewRun("run_1", "w", "m", "[1]", 5))

    store = Store.open(url)
    asyncio.run(fill(store))
    store.close()
    store = Store.open(url)
    run = asyncio.run(store.run("run_1"))
    store.close()
    assert run is not None
    assert (run.input, run.created_at, run.status) == ("[1]", 5, "queued")


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    victim = subprocess.Popen([sys.executable, "-c", _ENDLESS, url], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    acknowledged = [int(victim.stdout.readline()) for _ in range(200)]
    victim.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in victim.stdout.read().split()]
    victim.stdout.close()
    assert victim.wait() == -signal.SIGKILL
    store = Store.open(url)
    stored = [row.seq for row in asyncio.run(store.load("run_1")).journal]
    store.close()
    assert len(acknowledged) >= 200
    assert stored[: len(acknowledged)] == acknowledged
    assert len(stored) <= len(acknowledged) + 1


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    Store.open(url).close()
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        connection.execute("UPDATE fg_meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(WrongSchema, match=f"schema version 99, this program knows version {SCHEMA_VERSION}"):
        Store.open(url)


def test_a_full_disk_has_its_own_error_and_is_recovered_from(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/runs.db", inline=True)
    connection = store._database.writing().connection  # type: ignore[attr-defined]
    asyncio.run(store.save_machine("m", "w", "{}", "{}"))
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DatabaseFull):
        asyncio.run(store.start_run(NewRun("run_1", "w", "m", '"' + "x" * 100_000 + '"', 0)))
    connection.execute("PRAGMA max_page_count=1000000")
    assert asyncio.run(store.start_run(NewRun("run_1", "w", "m", "[]", 0))) == ("run_1", True)
    store.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/runs.db")
    store.close()
    store.close()
    with pytest.raises(StoreClosed):
        asyncio.run(store.open_epoch("late"))
    with pytest.raises(StoreClosed):
        asyncio.run(store.next_timer())


@pytest.mark.parametrize("url", ["mysql://x", "runs.db", "sqlite:/runs.db"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a database is sqlite:///path"):
        Store.open(url)
