"""`flowgraph doctor`: what is sound is said to be, what is broken has rows and an advice, and servers may go on meanwhile."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flowgraph_runtime.storage import Store, checkup
from flowgraph_runtime.storage.checkup import examine
from flowgraph_runtime.storage.invariants import INVARIANTS
from flowgraph_runtime.storage.migrations import upgrade
from flowgraph_runtime.storage.tables import SCHEMA_VERSION
from tests.cli.program import Program
from tests.migrations.test_migrations import left_by

_OTHER = """
from flowgraph import step, workflow

@step
async def note(what: str) -> str:
    return what

@workflow
async def short() -> str:
    return await note("done")
"""


@pytest.fixture
def url(program: Program) -> str:
    url = f"sqlite:///{program.folder}/runs.db"
    left_by("0.1", url)
    upgrade(url)
    return url


def found(url: str, **how: Any) -> dict[str, Any]:
    return {finding.check: finding for finding in examine(url, **how)}


def test_a_sound_database_passes_every_check_while_a_server_uses_it(program: Program, url: str) -> None:
    store = Store.open(url)
    ended = program("doctor", "--db", url, "--format", "json")
    store.close()
    findings = {one["check"]: one for one in json.loads(ended.stdout)["findings"]}
    assert ended.code == 0
    assert set(INVARIANTS) < set(findings)
    assert {"schema", "code", "durability", "journal mode", "file", "disk", "clock", "workers", "timers"} < set(findings)
    assert {name for name, one in findings.items() if one["level"] == "broken"} == set()


def test_what_is_broken_is_shown_with_rows_and_what_to_do(program: Program, url: str) -> None:
    _execute(url, "DELETE FROM fg_timer WHERE run = 2")
    ended = program("doctor", "--db", url)
    lines = ended.stdout.splitlines()
    place = next(number for number, line in enumerate(lines) if "a sleeping run has a timer" in line)
    assert ended.code == 1
    assert lines[place] == "broken   a sleeping run has a timer: 1 row breaks it"
    assert lines[place + 1].strip().startswith("run_")
    assert lines[place + 2].strip().startswith("do: nothing would wake these runs: cancel them")
    assert "2 broken" in lines[-1]


def test_code_that_runs_under_way_miss_is_named(program: Program, url: str) -> None:
    program.write("shop.py", _OTHER)
    ended = program("doctor", "shop.py", "--db", url)
    assert ended.code == 1
    assert "broken   code: runs under way need what this code lacks" in ended.stdout
    assert "of waiting (m_" in ended.stdout


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_tables_of_another_version_end_the_examination_early(url: str, version: int) -> None:
    _execute(url, f"UPDATE fg_meta SET value = '{version}'")
    seen = found(url)
    assert seen["schema"].level == "broken"
    assert f"schema version {version}" in seen["schema"].found
    assert "durability" in seen
    assert not set(seen) & set(INVARIANTS)


def test_no_database_is_a_usage_error_and_none_is_made(program: Program) -> None:
    ended = program("doctor", "--db", f"sqlite:///{program.folder}/none.db")
    assert ended.code == 2
    assert "cannot examine the database" in ended.stderr
    assert not (program.folder / "none.db").exists()


def test_a_database_without_tables_says_so(program: Program) -> None:
    with sqlite3.connect(program.folder / "empty.db") as file:
        file.execute("CREATE TABLE mine (x)")
    file.close()
    assert "there are no tables of flowgraph" in program("doctor", "--db", f"sqlite:///{program.folder}/empty.db").stderr


def test_settings_that_risk_something_are_warned_of(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _execute(url, "PRAGMA journal_mode=DELETE")
    _execute(url, "UPDATE fg_timer SET due = 5 WHERE run = 2")
    _execute(url, "UPDATE fg_heartbeat SET at = at + 1000000000000000")
    monkeypatch.setattr(checkup, "LITTLE_SPACE", 1 << 60)
    seen = found(url, durability="normal")
    for name in ("durability", "journal mode", "disk", "timers", "clock", "workers"):
        assert seen[name].level == "warning", name
        assert seen[name].advice, name
    monkeypatch.setattr(checkup, "NO_SPACE", 1 << 60)
    assert found(url)["disk"].level == "broken"


def test_a_damaged_file_is_told(url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    _execute(url, "PRAGMA journal_mode=DELETE")
    with sqlite3.connect(path) as file:
        (root,) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'fg_run_status'").fetchone()
        (size,) = file.execute("PRAGMA page_size").fetchone()
    file.close()
    with path.open("r+b") as raw:
        raw.seek((root - 1) * size)
        raw.write(b"\0" * 100)
    seen = found(url)
    assert seen["file"].level == "broken"
    assert any(finding.found.startswith("cannot be looked at") for finding in seen.values())
    assert set(INVARIANTS) < set(seen)


@pytest.mark.ci
@pytest.mark.postgres
def test_a_server_is_examined_while_others_hold_transactions(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by("0.1", postgres_url)
    upgrade(postgres_url)
    monkeypatch.setattr(checkup, "LONG", 0.0)
    with psycopg.connect(postgres_url, application_name="report") as other:
        other.execute("UPDATE fg_run SET reason = 'locked'")
        seen = found(postgres_url)
    assert set(INVARIANTS) < set(seen)
    assert {name for name, finding in seen.items() if finding.level == "broken"} == {"server settings"}
    assert seen["server settings"].found == "fsync, full_page_writes off"  # of the tests' own server
    assert "(report), idle in transaction" in " ".join(seen["long transactions"].examples)
    assert seen["clock"].level == "ok"


def _execute(url: str, statement: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        file.execute(statement)
    file.close()
