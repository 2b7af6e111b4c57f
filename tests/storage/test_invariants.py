"""Each invariant finds what breaks it: a violation of each is planted into a database with runs in flight."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from flowgraph_runtime.storage.invariants import INVARIANTS, advice_for
from flowgraph_runtime.storage.migrations import upgrade
from tests.migrations.test_migrations import left_by

_SCHEDULE = (
    "INSERT INTO fg_schedule"
    " (number, workflow, expression, zone, machine, catch_up, overlap, jitter, takes_time, next_at, last_at)"
    " VALUES (1, 1, '* * * * *', 'UTC', 1, 'none', 'skip', 0, 0, 90, 60);"
)
_SLOT = "INSERT INTO fg_limit_slot (pool, key, epoch, ticket, run, serial, most, held, at) VALUES "
_JOURNAL = "INSERT INTO fg_journal (run, seq, at, kind, serial, payload, digest, site, visit, attempt) VALUES "
_INBOX = "INSERT INTO fg_inbox (run, id, kind, serial, at, event) VALUES "
_TAKEN = "INSERT INTO fg_taken (run, event) VALUES "
_SKIP = "INSERT INTO fg_skip (schedule, scheduled_at, until, count, reason, at) VALUES "
_OF_SCHEDULE = "UPDATE fg_run SET schedule = 1, scheduled_at ="
_NOW = 1_800_000_000_000_000
_NOBODY = 999

PLANTS: dict[str, str] = {
    "a step's visit has one result": f"{_JOURNAL} (1, 2, {_NOW}, 'done', 9, '1', 0, 'waiting/note', 1, 1)",
    "a journal has no gap": "DELETE FROM fg_journal WHERE run = 3 AND seq = 2",
    "an attempt follows a failed one": "UPDATE fg_journal SET attempt = 2 WHERE run = 1",
    "a timer fires once and a child ends once": f"{_JOURNAL} (2, 2, {_NOW}, 'timer', 2, '', 0, NULL, NULL, NULL),"
    f" (2, 3, {_NOW}, 'timer', 2, '', 0, NULL, NULL, NULL)",
    "what has fired or ended is not waited for any more": f"{_JOURNAL} (2, 2, {_NOW}, 'timer', 2, '', 0, NULL, NULL, NULL)",
    "a run has one timer for a thing": "INSERT INTO fg_timer (due, run, serial, kind) VALUES (5, 2, 2, 'sleep')",
    "a child's end is heard after it": f"{_JOURNAL} (4, 1, {_NOW}, 'child', 1, '', 0, NULL, NULL, NULL)",
    "nothing happens after the end": f"{_JOURNAL} (6, 2, {_NOW}, 'timer', 9, '', 0, NULL, NULL, NULL)",
    "time in a journal does not run backwards": "UPDATE fg_journal SET at = 1 WHERE run = 3 AND seq = 2",
    "a snapshot is not ahead of its journal": "UPDATE fg_snapshot SET seq = 9 WHERE run = 1",
    "an owner is alive": "UPDATE fg_run SET epoch = 1 WHERE number = 1",
    "a run is over when it has an end": "UPDATE fg_run SET ended_at = NULL WHERE number = 6",
    "a run that is over has nothing to wait for": "INSERT INTO fg_timer (due, run, serial, kind) VALUES (5, 6, 2, 'sleep')",
    "an unowned run with a full inbox can be claimed": f"{_INBOX} (1, 'x', 'cancel', 0, 0, NULL)",
    "an unowned run waits for something": "UPDATE fg_run SET ready = 0 WHERE number = 8",
    "a sleeping run has a timer": "DELETE FROM fg_timer WHERE run = 2",
    "a wait that reads early events has some to read": "UPDATE fg_wait SET cursor = 1 WHERE run = 1",
    "an event is stored once": "DROP INDEX fg_event_client; UPDATE fg_event SET client_id = 'c';"
    " INSERT INTO fg_event (id, name, data, payload, ts, received_at, status, client_id) SELECT 'again', name, data, payload, ts,"
    " received_at, status, client_id FROM fg_event",
    "a run takes only what it was offered": f"{_TAKEN} (1, 1); UPDATE fg_event SET status = 'invalid'",
    "an event that was taken is offered no more": f"{_TAKEN} (1, 1); {_INBOX} (1, 'x', 'event', 2, 0, 1)",
    "an event starts a workflow once": "UPDATE fg_run SET event = 1 WHERE number IN (1, 8)",
    "a cron tick has one run": f"{_SCHEDULE} DROP INDEX fg_run_tick; {_OF_SCHEDULE} 60 WHERE number < 3",
    "a cron run is not early": f"{_SCHEDULE} {_OF_SCHEDULE} created_at + 1 WHERE number = 1",
    "a skipped tick has no run": f"{_SCHEDULE} {_OF_SCHEDULE} 60 WHERE number = 1; {_SKIP} (1, 30, 60, 2, 'overlap', 60)",
    "a schedule has passed its ticks": f"{_SCHEDULE} UPDATE fg_schedule SET next_at = 60",
    "a parent hears of its child's end": f"UPDATE fg_run SET status = 'completed', ended_at = {_NOW} WHERE number = 7",
    "a limit is not exceeded": f"{_SLOT} ('p', 'k', 0, 1, 1, 0, 1, 1, 0), ('p', 'k', 0, 2, 2, 0, 1, 1, 0)",
    "a slot of an attempt belongs to a live worker": f"{_SLOT} ('p', 'k', 1, 1, 1, 0, 1, 1, 0)",
    "a run that is over holds no slot of a run and waits for none": f"{_SLOT} ('p', 'k', 0, 1, 6, 0, 1, 1, 0)",
    "a request has all its slots or none": f"{_SLOT} ('p', 'k', 0, 1, 1, 0, 1, 1, 0), ('q', 'k', 0, 1, 1, 0, 1, 0, 0)",
    "who waits for a slot has a full limit before it": f"{_SLOT} ('p', 'k', 0, 1, 1, 0, 1, 0, 0)",
    "fg_run.workflow points to a row": f"UPDATE fg_run SET workflow = {_NOBODY} WHERE number = 6",
    "fg_run.machine points to a row": f"UPDATE fg_run SET machine = {_NOBODY} WHERE number = 6",
    "fg_run.event points to a row": f"UPDATE fg_run SET event = {_NOBODY} WHERE number = 6",
    "fg_run.parent points to a row": f"UPDATE fg_run SET parent = {_NOBODY} WHERE number = 6",
    "fg_run.schedule points to a row": f"UPDATE fg_run SET schedule = {_NOBODY}, scheduled_at = 1 WHERE number = 6",
    "fg_workflow.machine points to a row": f"UPDATE fg_workflow SET machine = {_NOBODY} WHERE number = 6",
    "fg_schedule.workflow points to a row": f"{_SCHEDULE} UPDATE fg_schedule SET workflow = {_NOBODY}",
    "fg_schedule.machine points to a row": f"{_SCHEDULE} UPDATE fg_schedule SET machine = {_NOBODY}",
    "fg_skip.schedule points to a row": f"{_SKIP} (9, 1, 1, 1, '', 1)",
    "fg_event_key.event points to a row": f"UPDATE fg_event_key SET event = {_NOBODY}",
    "fg_taken.event points to a row": f"{_TAKEN} (1, {_NOBODY})",
    "fg_inbox.event points to a row": f"{_INBOX} (1, 'x', 'event', 2, 0, {_NOBODY})",
    "fg_journal.run points to a row": f"UPDATE fg_journal SET run = {_NOBODY} WHERE run = 6",
    "fg_snapshot.run points to a row": f"UPDATE fg_snapshot SET run = {_NOBODY} WHERE run = 7",
    "fg_inbox.run points to a row": f"{_INBOX} ({_NOBODY}, 'x', 'cancel', 0, 0, NULL)",
    "fg_timer.run points to a row": f"UPDATE fg_timer SET run = {_NOBODY} WHERE run = 7",
    "fg_wait.run points to a row": f"UPDATE fg_wait SET run = {_NOBODY} WHERE run = 1",
    "fg_taken.run points to a row": f"{_TAKEN} ({_NOBODY}, 1)",
    "fg_large_input.run points to a row": f"INSERT INTO fg_large_input (run, text) VALUES ({_NOBODY}, '[]')",
    "fg_limit_slot.run points to a row": f"{_SLOT} ('p', 'k', 0, 1, {_NOBODY}, 0, 1, 1, 0)",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with runs in flight in which all holds."""
    file = tmp_path_factory.mktemp("sound") / "runs.db"
    left_by("0.1", f"sqlite:///{file}")
    upgrade(f"sqlite:///{file}")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        content = connection.serialize()
    assert broken(content) == set()
    return content


def broken(content: bytes, plant: str = "") -> set[str]:
    """The names of the invariants that do not hold once something is planted."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(content)
        connection.executescript(plant)
        return {name for name, statement in INVARIANTS.items() if connection.execute(statement).fetchone()}


def test_every_invariant_has_a_planted_violation_and_an_advice() -> None:
    assert set(PLANTS) == set(INVARIANTS)
    assert all(len(advice_for(name)) > 40 for name in INVARIANTS)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_violation_is_found(name: str, sound: bytes) -> None:
    assert name in broken(sound, PLANTS[name])
