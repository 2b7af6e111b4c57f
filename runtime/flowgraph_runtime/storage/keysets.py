"""Pages by key: a page begins beyond the last key of the one before it, whatever was added since, and costs the same anywhere.

Rows are found in two steps: an index gives candidates in order, and what it cannot tell is looked at in their rows. So that a
rare match costs a bounded time, a page ends after `MOST` candidates even when it is not full; the next one goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import Connection, bindparam, text

T = TypeVar("T")
Key: TypeAlias = tuple[int, ...]
Found: TypeAlias = list[tuple[Key, T]]
MOST = 2_500
"""Candidates that are looked at for one page."""
_BATCH = 500
_CURSOR = re.compile(r"[0-9]{1,18}(-[0-9]{1,18}){0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: beyond `key` (None: at the newest), towards older rows or, with `newer`, towards newer ones."""

    key: Key | None = None
    newer: bool = False

    @property
    def order(self) -> str:
        """The SQL word for the order in which candidates come."""
        return "ASC" if self.newer else "DESC"

    @property
    def beyond(self) -> str:
        """The SQL operator between a candidate's key and the edge."""
        return ">" if self.newer else "<"

    def passed(self, key: Key) -> bool:
        """Whether a row with this key belongs to the page."""
        return self.key is None or (key > self.key if self.newer else key < self.key)


@dataclass(frozen=True, slots=True)
class KeyPage(Generic[T]):
    """Rows, newest first, and the cursors of the pages beside it (None: there is none). `cut`: how many candidates were looked at
    when the page ended before it was full; None when it did not."""

    items: list[T]
    newer: str | None
    older: str | None
    cut: int | None = None


def cursor_of(text: str, *, newer: bool = False) -> Cursor:
    """Return the cursor that a page gave as text. Raises ValueError for anything else."""
    if not _CURSOR.fullmatch(text):
        raise ValueError("a cursor is what the link to another page holds")
    return Cursor(tuple(map(int, text.split("-"))), newer)


def read_page(
    candidates: Callable[[Key | None, int], Sequence[Key]],
    rows: Callable[[Sequence[Key]], Found[T]],
    cursor: Cursor,
    limit: int,
) -> KeyPage[T]:
    """Return a page of at most `limit` rows. `candidates(edge, count)`: the next keys beyond an edge; `rows(keys)`: the rows
    among them that match, in the same order, each with its own key."""
    found: Found[T] = []
    edge, looked, batch, exhausted = cursor.key, 0, limit + 1, False
    while len(found) <= limit and looked < MOST and not exhausted:
        keys = candidates(edge, batch)
        found += [row for row in rows(keys) if cursor.passed(row[0])]
        looked += len(keys)
        exhausted = len(keys) < batch
        edge = keys[-1] if keys else edge
        batch = _BATCH
    full = len(found) > limit
    following = found[limit - 1][0] if full else None if exhausted else edge
    return _page(found[:limit], following, cursor, None if full or exhausted else looked)


def _page(found: Found[T], following: Key | None, cursor: Cursor, cut: int | None) -> KeyPage[T]:
    items = [row for _, row in found]
    back = None if cursor.key is None else _text(found[0][0] if found else cursor.key)
    ahead = None if following is None else _text(following)
    if cursor.newer:
        return KeyPage(items[::-1], ahead, back, cut)
    return KeyPage(items, back, ahead, cut)


def _text(key: Key) -> str:
    return "-".join(map(str, key))


def rows_of(connection: Connection, statement: str, **lists: Sequence[int] | Sequence[str]) -> list[Any]:
    """Return the rows of a statement with lists of numbers or names, written `IN :name`; none when a list is empty."""
    if not all(lists.values()):
        return []
    expanded: list[Any] = [bindparam(name, expanding=True) for name in lists]
    prepared = text(statement).bindparams(*expanded)
    return list(connection.execute(prepared, {name: list(values) for name, values in lists.items()}))


def placed(found: Sequence[tuple[Any, T]], order: Sequence[Any]) -> list[T]:
    """Return rows, each with its own key, in the order of the keys; keys without a row are left out."""
    by_key = dict(found)
    return [by_key[key] for key in order if key in by_key]
