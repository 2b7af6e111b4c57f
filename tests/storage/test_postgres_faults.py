"""PostgreSQL: the connection breaks before, at and after COMMIT; what was answered is what is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage.errors import Transient
from tests.conftest import PostgresServer
from tests.storage.site import Site

pytestmark = pytest.mark.postgres


class Cut:
    """Stands in for the writing connection until a COMMIT, which it lets through or not before it cuts the line."""

    def __init__(self, connection: Any, *, let_through: bool) -> None:
        self._connection = connection
        self._let_through = let_through

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def say(self, command: bytes) -> None:
        if command != b"COMMIT":
            self._connection.say(command)
            return
        if self._let_through:
            self._connection.say(command)
        self._connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


def _cut(site: Site, *, let_through: bool) -> Callable[[], None]:
    writing: Any = site.store._database.writing()
    writing._line = Cut(writing._line, let_through=let_through)
    return lambda: None


@pytest.mark.parametrize("let_through", [True, False])
def test_a_connection_cut_around_commit_commits_once(shared_site: Site, let_through: bool) -> None:
    site = shared_site
    runs = site.started(3)
    _cut(site, let_through=let_through)
    site.commit(*(site.step(run, 1) for run in runs))
    event = site.event(client_id="c-1")
    _cut(site, let_through=let_through)
    (result,) = site.ingest(event, runs=[site.new_run(event)])
    assert (result.event_id, result.duplicate) == (event.id, False)
    assert [site.seqs(run) for run in runs] == [[1]] * 3
    assert len(site.run(site.store.claim(site.epoch, 10))) == 1


def test_a_terminated_backend_is_replaced(shared_site: Site) -> None:
    site = shared_site
    (run,) = site.started()
    with psycopg.connect(site.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    site.commit(site.step(run, 1))
    assert site.seqs(run) == [1]


def _ask_now_and_then(connection: psycopg.Connection[Any]) -> None:
    for _ in range(100):
        time.sleep(0.1)
        connection.execute("SELECT 1")


def test_a_transaction_that_idled_for_too_long_is_an_outage_and_no_refusal(shared_site: Site) -> None:
    """The process got no processor for a while: no run is to blame, and no sender's event is refused."""
    with psycopg.connect(shared_site.url) as idle:
        idle.execute("SET idle_in_transaction_session_timeout = 20")
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout) as ended:
            _ask_now_and_then(idle)
    assert isinstance(shared_site.store._database.writing().understand(ended.value), Transient)


@pytest.mark.ci
def test_a_restart_of_the_server_is_survived(shared_site: Site, postgres_server: PostgresServer) -> None:
    site = shared_site
    (run,) = site.started()
    postgres_server.stop()
    assert site.refusals(site.step(run, 1)) == ["Transient"]
    postgres_server.start()
    assert site.load(run).journal == []
    site.commit(site.step(run, 1))
    assert site.seqs(run) == [1]


def test_a_statement_that_takes_too_long_is_tried_with_less_and_refuses_nobody(shared_site: Site) -> None:
    site = shared_site
    runs = site.started(2)
    with psycopg.connect(
        site.url
    ) as other:  # holds a row that one of the transitions needs, for longer than a statement may take
        other.execute("SELECT 1 FROM fg_run WHERE id = %s FOR UPDATE", (runs[0],))
        writing: Any = site.store._database.writing()
        writing._line.say(b"SET statement_timeout = 200")
        steps = [Transition(run, [site.journal(run, 1)], status="running") for run in runs]
        assert site.refusals(*steps) == ["TooSlow", None]
        other.rollback()
    assert site.run(site.store.commit(site.epoch, steps[:1], again=True)) == [None]
    assert [site.seqs(run) for run in runs] == [[1], [1]]
