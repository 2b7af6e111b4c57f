"""PostgreSQL: how many rows the server looks at, among many that its planner has not counted yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.storage.tables import METADATA
from tests.storage.site import Site

pytestmark = pytest.mark.postgres
MANY = 1_000
TRIED = (7, 8, 9)
"""Which of them: the least counts, because other connections tell the server seconds later what they had looked at before."""


class Looks:
    """How many rows the statements of a block have looked at."""

    rows = 0


@contextmanager
def looks(site: Site) -> Iterator[Looks]:
    before, found = _looked_at(site), Looks()
    yield found
    found.rows = _looked_at(site) - before


def _looked_at(site: Site) -> int:
    site.store._database.writing().rows("SELECT pg_stat_force_next_flush()")
    with psycopg.connect(site.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_user_tables WHERE relname LIKE 'fg_%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def uncounted(postgres_url: str, runner: asyncio.Runner) -> Iterator[Site]:
    """A new database whose server counts a table when it is told to: by itself it may do so at any moment of a test."""
    site = Site(postgres_url, runner)
    try:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for table in METADATA.tables:
                connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        yield site
        assert violations(site.store) == []
    finally:
        site.close()


@pytest.fixture
def runs(uncounted: Site) -> list[str]:
    """Many that this epoch owns."""
    return uncounted.started(MANY)


def test_an_event_for_one_of_many_waits_looks_at_few_rows(uncounted: Site, runs: list[str]) -> None:
    site = uncounted
    site.commit(*(site.wait(run, booking=f"b-{number}") for number, run in enumerate(runs)))
    found = []
    for number in TRIED:
        with looks(site) as looked:
            site.ingest(site.event("paid", booking=f"b-{number}"))
        found.append(looked.rows)
    assert [len(site.offered(run)) for run in runs[6:11]] == [0, 1, 1, 1, 0]
    assert 0 < min(found) < 100


def test_a_wait_among_many_is_closed_with_a_look_at_few_rows(uncounted: Site, runs: list[str]) -> None:
    site = uncounted
    site.commit(*(site.wait(run, booking=f"b-{number}", release=False) for number, run in enumerate(runs)))
    found = []
    for run in (runs[number] for number in TRIED):
        with looks(site) as looked:
            site.commit(Transition(run, rows=[site.journal(run, 1)], closed_waits=[1], cleared_timers=[1], status="running"))
        assert site.seqs(run) == [1]
        found.append(looked.rows)
    assert 0 < min(found) < 100


def test_a_table_that_was_counted_while_it_was_empty_is_not_read_as_a_whole(uncounted: Site, runs: list[str]) -> None:
    site = uncounted
    with psycopg.connect(site.url, autocommit=True) as connection:
        for counted in (False, True):
            site.commit(*(site.wait(run, booking=f"b-{number}", release=False) for number, run in enumerate(runs)))
            if not counted:
                connection.execute("DELETE FROM fg_wait; DELETE FROM fg_timer; ANALYZE fg_wait, fg_timer")
    found = []
    for run in (runs[number] for number in TRIED):
        with looks(site) as looked:
            site.commit(Transition(run, rows=[site.journal(run, 1)], closed_waits=[1], cleared_timers=[1], status="running"))
        found.append(looked.rows)
    assert 0 < min(found) < 100


def test_owners_change_their_runs_with_a_look_at_each(uncounted: Site, runs: list[str]) -> None:
    site = uncounted
    changed = runs[: MANY // 10]
    with looks(site) as looked:
        site.commit(*(Transition(run, rows=[site.journal(run, 1)], status="running") for run in changed))
        site.commit(*(Transition(run, rows=[site.journal(run, 2)], status="completed") for run in changed))
    assert [site.seqs(run) for run in (runs[0], changed[-1], runs[-1])] == [[1, 2], [1, 2], []]
    assert len(changed) <= looked.rows < 20 * len(changed)
