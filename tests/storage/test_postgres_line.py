"""PostgreSQL: statements in parcels; what a failure, a NUL, an interruption and very many statements do to the line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from flowgraph_runtime.storage.line import MOST_PREPARED, Line
from flowgraph_runtime.storage.postgres import PostgresWriting

pytestmark = pytest.mark.postgres


@pytest.fixture
def line(postgres_url: str) -> Iterator[Line]:
    opened = Line(psycopg.connect(postgres_url, autocommit=True))
    yield opened
    opened.close()


def _value(line: Line, query: str, *values: Any) -> Any:
    (answer,), failure = line.post([(query, values)])
    assert failure is None
    return line.rows(answer)[0][0]


def test_answers_up_to_the_first_failure_are_heard(line: Line) -> None:
    answers, failure = line.post([("SELECT 1", ()), ("SELECT 1 / $1", (0,)), ("SELECT 2", ())])
    assert [line.rows(answer) for answer in answers] == [[(1,)]]
    assert isinstance(failure, psycopg.errors.DivisionByZero)
    assert _value(line, "SELECT 3") == 3


@pytest.mark.parametrize("value", [None, 0, -(2**63), 2**63 - 1, "", "é\n\\x", "{}"])
def test_values_come_back_as_they_went(line: Line, value: str | int | None) -> None:
    query = "SELECT $1" if isinstance(value, int) else "SELECT $1::text"
    assert [_value(line, query, value) for _ in range(3)] == [value] * 3


def test_a_text_with_a_nul_is_refused_and_not_cut_off(line: Line) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        line.post([("SELECT 1", ()), ("SELECT $1::text", ("a\0b",))])
    assert _value(line, "SELECT 2") == 2


def test_a_statement_that_cannot_be_parsed_is_parsed_again_later(line: Line) -> None:
    create = ("CREATE TEMPORARY TABLE late (n bigint)", ())
    _, failure = line.post([("SELECT count(*) FROM late", ()), create])
    assert isinstance(failure, psycopg.errors.UndefinedTable)
    assert line.post([create])[1] is None
    assert _value(line, "SELECT count(*) FROM late") == 0


def test_no_more_statements_are_kept_than_a_server_can_bear(line: Line) -> None:
    for number in range(MOST_PREPARED + 1):
        assert _value(line, f"SELECT {number} + $1", 1) == number + 1
    line.tidy()
    assert _value(line, "SELECT count(*) FROM pg_prepared_statements") == 1
    assert _value(line, "SELECT 0 + $1", 1) == 1


def test_a_line_that_broke_says_so_and_is_closed(line: Line, postgres_url: str) -> None:
    pid = _value(line, "SELECT pg_backend_pid()")
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with pytest.raises(psycopg.OperationalError):
        _failed(line)
    assert line.closed


def _failed(line: Line) -> None:
    _, failure = line.post([("SELECT 1", ())])
    assert failure is not None
    raise failure


def test_an_interruption_closes_the_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the next question would be given the answers to this one."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(psycopg.Connection, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        line.post([("SELECT 1", ())])
    assert line.closed


def test_a_parcel_larger_than_all_buffers_goes_and_its_answers_come(line: Line) -> None:
    """The server sends answers before it has read all; who only wrote would wait for it for ever."""
    text = "é" * 1_000_000
    answers, failure = line.post([("SELECT $1::text", (text,))] * 12)
    assert failure is None
    assert {line.rows(answer)[0][0] for answer in answers} == {text}
    assert len(answers) == 12


def test_a_connection_of_any_encoding_keeps_texts(postgres_url: str) -> None:
    """The store's own connection, to a database that was made with another encoding than UTF-8."""
    writing = PostgresWriting(_latin(postgres_url), "latin", by_its_clock=True, lease=5.0)
    writing.begin()
    writing.run("CREATE TABLE word (text text)")
    writing.insert("word", "text text", ["é"])
    writing.commit()
    assert writing.rows("SELECT text, octet_length(text) FROM word WHERE text = :text", text="é") == [("é", 1)]
    writing.close()


def _latin(url: str) -> str:
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    return url.replace(f"/{name}?", f"/{name}_latin?", 1)
