"""SQLite: one server a file, durable by default, refusing what it does not know."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from flowgraph_runtime.records import NewRun
from flowgraph_runtime.storage import DatabaseFull, DatabaseInUse, Store, StoreClosed, WrongSchema
from flowgraph_runtime.storage import sqlite as sqlite_files
from flowgraph_runtime.storage.tables import SCHEMA_VERSION

_ENDLESS = """
import asyncio, sys
from flowgraph_runtime.records import JournalRow, NewRun, Transition
from flowgraph_runtime.storage import Store, sqlite

async def main(url, checkpoint):
    sqlite._EARLY_CHECKPOINT = int(checkpoint)
    store = Store.open(url)
    await store.save_machine("m", "w", "{}", "{}")
    epoch = await store.open_epoch("victim")
    await store.start_run(NewRun("run_1", "w", "m", "[]", 0))
    await store.claim(epoch, 1)
    for seq in range(1, 1_000_000):
        (error,) = await store.commit(epoch, [Transition("run_1", [JournalRow("run_1", seq, 0, "done", seq, "null", 0)])])
        assert error is None
        print(seq, flush=True)

asyncio.run(main(*sys.argv[1:]))
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


@pytest.mark.parametrize("checkpoint", [1_000, 1], ids=["seldom", "after-each-commit"])
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, checkpoint: int) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    victim = subprocess.Popen([sys.executable, "-c", _ENDLESS, url, str(checkpoint)], stdout=subprocess.PIPE, text=True)
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


def _busy(store: Store, commits: int, prefix: str = "run") -> None:
    async def work() -> None:
        await store.save_machine("m", "w", "{}", "{}")
        for number in range(commits):
            await store.start_run(NewRun(f"{prefix}_{number}", "w", "m", "[]", 0))

    asyncio.run(work())


def _copied_as_it_is(path: Path, to: Path) -> int:
    """What a machine that goes down leaves behind -> how many runs SQLite finds there."""
    to.mkdir()
    for name in ("", "-wal"):
        shutil.copy(f"{path}{name}", f"{to / 'runs.db'}{name}")
    store = Store.open(f"sqlite:///{to}/runs.db")
    found = store.read(lambda connection: connection.exec_driver_sql("SELECT COUNT(*) FROM fg_run").scalar_one())
    store.close()
    return found


def test_the_log_of_a_busy_process_has_its_full_length_early_and_is_read_up_to_its_real_end(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    log = Path(f"{path}-wal")
    store = Store.open(f"sqlite:///{path}")
    _busy(store, 20)
    assert log.stat().st_size < 2_000_000, "a process that writes little has a short log"
    _busy(store, 100, "more")
    length = log.stat().st_size
    assert length > 6_000_000
    _busy(store, 30, "last")
    assert log.stat().st_size == length
    assert _copied_as_it_is(path, tmp_path / "crashed") == 150
    store.close()
    assert not log.exists()


def test_the_log_is_copied_into_the_file_while_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before it is so long that a commit has to."""

    def in_the_file() -> int:
        shutil.copy(path, tmp_path / "copy.db")
        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            return int(copy.execute("SELECT COUNT(*) FROM fg_run").fetchone()[0])

    path = tmp_path / "runs.db"
    store = Store.open(f"sqlite:///{path}")
    _busy(store, 100)
    assert in_the_file() == 0
    monkeypatch.setattr(sqlite_files, "_EARLY_CHECKPOINT", 250)
    _busy(store, 1, "more")
    until = time.monotonic() + 5
    while in_the_file() < 100 and time.monotonic() < until:
        time.sleep(0.05)
    copied = in_the_file()
    assert copied in (100, 101)
    _busy(store, 50, "last")
    assert _copied_as_it_is(path, tmp_path / "crashed") == 151
    assert in_the_file() == copied, "a copy is not made for each commit"
    store.close()


@pytest.mark.parametrize("how", ["little", "none"])
def test_a_disk_without_room_keeps_the_log_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    if how == "none":
        monkeypatch.setattr(sqlite_files.os, "fsync", full)
    else:
        monkeypatch.setattr(sqlite_files.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 9 * 10**8, 10**8))
    path = tmp_path / "runs.db"
    store = Store.open(f"sqlite:///{path}")
    _busy(store, 130)
    assert Path(f"{path}-wal").stat().st_size < 3_000_000
    assert _copied_as_it_is(path, tmp_path / "crashed") == 130
    store.close()
