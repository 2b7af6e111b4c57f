"""Journal rows on their way into their table: nearly all that is written, and most of what a short step costs on that way.

A value is touched a handful of times, and never by a line of Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple, TypeGuard

from msgspec import Struct

from flowgraph_runtime.records import Decided, JournalRow
from flowgraph_runtime.storage.database import Same
from flowgraph_runtime.storage.errors import UnstorableText
from flowgraph_runtime.storage.text import check_text
from flowgraph_runtime.storage.transaction import Tx

_TABLE = "fg_journal"
_RUN, _WIDTH = 0, len(JournalRow._fields)
_KIND, _ATTEMPT = JournalRow._fields.index("kind"), JournalRow._fields.index("attempt")


class _Form(NamedTuple):
    """The columns of which each row has its own value, how many they are, the places of payload and site among them, and what is
    the same in all rows."""

    columns: str
    width: int
    payload: int
    site: int
    same: Same = ()


def _form(columns: str, same: Same = ()) -> _Form:
    names = [column.split()[0] for column in columns.split(", ")]
    return _Form(columns, len(names), names.index("payload"), names.index("site"), same)


_ANY = _form(
    "run int, seq int, at int, kind text, serial int, payload text, digest int, site text, visit int, attempt int, started_at int"
)
_FIRST_DONE = _form(
    _ANY.columns.replace("kind text, ", "").replace("attempt int, ", ""), same=(("kind", "'done'"), ("attempt", "1"))
)
"""First attempts that returned, as nearly all rows are."""


class JournalValues(Struct):
    """Rows as they are inserted, one value after the other. `is_ready`: each row's run is known by its number, and the texts can
    be stored."""

    rows: Sequence[JournalRow]
    runs: list[str]
    values: list[Any]
    form: _Form
    is_ready: bool = False


def are_rows(decisions: Sequence[Decided]) -> TypeGuard[Sequence[JournalRow]]:
    """Whether decisions write nothing but their journal rows. False for none."""
    return set(map(type, decisions)) == {JournalRow}


def values_of(rows: Sequence[JournalRow], known: Mapping[str, int] | None = None) -> JournalValues:
    """Rows as they are inserted, ready if all their runs are `known` by number and their texts can be stored.

    Best called in the thread that has made the rows: its processor has at hand what the writer's would have to fetch, while it
    holds the interpreter's lock."""
    values: list[Any] = list(chain.from_iterable(rows))
    runs, form = values[_RUN::_WIDTH], _ANY
    if values[_KIND::_WIDTH].count("done") == values[_ATTEMPT::_WIDTH].count(1) == len(rows):
        del values[_ATTEMPT::_WIDTH], values[_KIND :: _WIDTH - 1]
        form = _FIRST_DONE
    journal = JournalValues(rows, runs, values, form)
    if known is not None:
        with suppress(KeyError, UnstorableText):  # the writer says which it is, and to whom
            _make_ready(journal, list(map(known.__getitem__, runs)))
            journal.is_ready = True
    return journal


def append(tx: Tx, journal: JournalValues) -> None:
    """Write rows. Raises UnknownRun and UnstorableText."""
    if not journal.is_ready:  # looked up whenever the transaction is tried: a run that it makes has another number then
        _make_ready(journal, tx.numbers_of(journal.runs))
    tx.sql.insert(_TABLE, journal.form.columns, journal.values, journal.form.same)


def _make_ready(journal: JournalValues, numbers: list[int]) -> None:
    """Put in the runs' numbers and look at the texts: at all together, and at each only if there is something to find."""
    values, form = journal.values, journal.form
    values[_RUN :: form.width] = numbers
    try:
        check_text("", "".join(values[form.payload :: form.width]), *set(values[form.site :: form.width]))
    except UnstorableText:
        for row in journal.rows:
            check_text(f"journal row {row.seq} of run {row.run_id!r}", row.payload, row.site)
