"""The table `given` of a statement is the rows that were given, whatever their number and values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowgraph_runtime.storage.sqlite import SqliteDatabase

_NUMBERS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1)
_TEXTS = (
    st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["\0", "a\0b", "\\u0000", '"', "[1]", "7"])
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteDatabase]:
    path: Path = tmp_path_factory.mktemp("given") / "a.db"
    opened = SqliteDatabase(str(path), "full")
    yield opened
    opened.close()


@given(st.lists(st.tuples(_NUMBERS, _TEXTS), min_size=1, max_size=40))
def test_rows_arrive_in_order_as_they_are(database: SqliteDatabase, rows: list[tuple[Any, ...]]) -> None:
    sql = database.writing()
    sql.begin()
    found = sql.each("SELECT number, text, typeof(number), typeof(text) FROM given", "number int, text text", rows)
    sql.rollback()
    kinds = {type(None): "null", bool: "integer", int: "integer", str: "text"}
    assert [row[:2] for row in found] == rows
    assert [row[2:] for row in found] == [(kinds[type(number)], kinds[type(text)]) for number, text in rows]


@pytest.mark.parametrize("count", [1, 8, 9, 63, 64, 65, 130, 1_024, 1_025, 3_000])
def test_every_row_is_changed_and_inserted_once(database: SqliteDatabase, count: int) -> None:
    sql = database.writing()
    sql.begin()
    sql.run("CREATE TEMP TABLE some (id TEXT UNIQUE, number INTEGER PRIMARY KEY, text TEXT)")
    sql.insert("some", "id text, text text", [value for one in range(count) for value in (f"a{one}", None)])
    new = sql.insert_new("some", "id text, text text", [[f"b{one}" for one in range(count)], ["b"] * count])
    assert list(new.values()) == list(range(count + 1, 2 * count + 1))
    counted: list[int] = []
    sql.change(
        "UPDATE some SET text = given.text FROM given WHERE some.id = given.id",
        "id text, text text",
        [(f"a{one}", f"t{one}") for one in range(count)],
        counted.append,
    )
    assert counted == [count]
    assert sql.rows("SELECT COUNT(*), COUNT(DISTINCT text), SUM(text LIKE 't%') FROM some") == [(2 * count, count + 1, count)]
    sql.rollback()
