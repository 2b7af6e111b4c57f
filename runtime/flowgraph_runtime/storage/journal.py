"""Journal rows on their way into their table: nearly all that is written, and most of what a short step costs on that way.

A value is touched a handful of times, and never by a line of Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple, cast

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
    """Which columns the rows of a statement have, which of them are texts of the author's, and what all rows have in common."""

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
"""First attempts that returned, as nearly all rows are: a text less to hand over for each is a fifth of that (measured)."""


class JournalValues(Struct):
    """Rows as they are inserted, one value after the other. `is_ready`: the runs are known by their numbers, and the texts can be
    stored."""

    rows: Sequence[JournalRow]
    runs: list[str]
    values: list[Any]
    form: _Form
    is_ready: bool = False


def values_of(rows: Sequence[JournalRow]) -> JournalValues:
    """Rows as they are inserted, but for what only the writer may know."""
    values: list[Any] = list(chain.from_iterable(rows))
    runs, form = values[_RUN::_WIDTH], _ANY
    if values[_KIND::_WIDTH].count("done") == values[_ATTEMPT::_WIDTH].count(1) == len(rows):
        del values[_ATTEMPT::_WIDTH], values[_KIND :: _WIDTH - 1]
        form = _FIRST_DONE
    return JournalValues(rows, runs, values, form)


def only_rows(decisions: Sequence[Decided], known: Mapping[str, int]) -> JournalValues | None:
    """The rows of decisions that write nothing else, ready where all runs are `known`; None for any other group.

    Whoever made the rows calls this, in his own thread: his processor has at hand what that of the writer would have to fetch,
    while it holds the interpreter's lock."""
    if set(map(type, decisions)) != {JournalRow}:
        return None
    journal = values_of(cast("Sequence[JournalRow]", decisions))
    with suppress(KeyError, UnstorableText):  # the writer says which it is, and to whom
        _make_ready(journal, lambda runs: list(map(known.__getitem__, runs)))
    return journal


def append(tx: Tx, journal: JournalValues) -> None:
    """Write rows. Raises UnknownRun and UnstorableText."""
    if not journal.is_ready:
        _make_ready(journal, tx.numbers_of)
    tx.sql.insert(_TABLE, journal.form.columns, journal.values, journal.form.same)


def _make_ready(journal: JournalValues, numbers_of: Callable[[Sequence[str]], list[int]]) -> None:
    journal.values[_RUN :: journal.form.width] = numbers_of(journal.runs)
    _check(journal)
    journal.is_ready = True


def _check(journal: JournalValues) -> None:
    """One look at all texts together; at each of them only if there is something to find."""
    values, form = journal.values, journal.form
    try:
        check_text("", "".join(values[form.payload :: form.width]), *set(values[form.site :: form.width]))
    except UnstorableText:
        for row in journal.rows:
            check_text(f"journal row {row.seq} of run {row.run_id!r}", row.payload, row.site)
