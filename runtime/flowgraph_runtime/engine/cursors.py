"""Iterators that can be stored: what a `for` with a suspension inside iterates with.

A cursor behaves as CPython's iterator of the same iterable: a list is read by live index, so what is appended behind the
position is still reached; a dict whose size changed raises; an exhausted one stays exhausted. It stores its operands (which
keep their identity, see `snapshots`) and how far it has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeAlias

State: TypeAlias = "list[Any]"

_INDEXED = (list, tuple, str, range, bytes)


class Cursor:
    """What all cursors have. `operands` are values or cursors again; `state()` is plain numbers and flags."""

    __slots__ = ("kind", "operands")

    def __init__(self, kind: str, operands: list[Any]) -> None:
        self.kind = kind
        self.operands = operands

    def __iter__(self) -> Cursor:
        return self

    def __next__(self) -> Any:
        raise NotImplementedError

    def state(self) -> State:
        """Return the position, to be given to `restore`."""
        raise NotImplementedError

    def restore(self, state: State) -> None:
        """Take a position that `state` returned."""
        raise NotImplementedError


class Simple(Cursor):
    """Over one value: `iter`, `reversed`, `items`, `keys`, `values`. `size` is the operand's length when it began."""

    __slots__ = ("_count", "_done", "_items", "_size")

    def __init__(self, kind: str, operands: list[Any]) -> None:
        if not isinstance(operands[0], (*_INDEXED, dict, Cursor)):
            operands = [list(_OPENERS["iter"](operands[0]))]
        super().__init__(kind, operands)
        self._items: Iterator[Any] = _OPENERS[kind](operands[0])
        self._count = 0
        self._size = len(operands[0]) if isinstance(operands[0], (list, dict)) else 0
        self._done = False

    def __next__(self) -> Any:
        if isinstance(self.operands[0], dict) and not self._done and len(self.operands[0]) != self._size:
            raise RuntimeError("dictionary changed size during iteration")
        try:
            item = next(self._items)
        except StopIteration:
            self._done = True
            raise
        self._count += 1
        return item

    def state(self) -> State:
        """Return the position."""
        return [self._count, self._size, self._done]

    def restore(self, state: State) -> None:
        """Take a position that `state` returned."""
        self._count, self._size, self._done = state
        value = self.operands[0]
        if self._done:
            self._items = iter(())
        elif isinstance(value, _INDEXED) and self.kind == "iter":
            self._items = iter(value[self._count :]) if isinstance(value, range) else _at(value, self._count)
        elif isinstance(value, list):
            self._items = reversed(value)
            self._items.__setstate__(self._size - 1 - self._count)  # type: ignore[attr-defined]
        elif not isinstance(value, Cursor):
            self._items = iter(_OPENERS[self.kind](value))
            next(islice(self._items, self._count, self._count), None)


def _at(value: Any, index: int) -> Iterator[Any]:
    items: Iterator[Any] = iter(value)
    items.__setstate__(index)  # type: ignore[attr-defined]
    return items


def _reversed_keys(value: Any) -> Iterator[Any]:
    return iter(reversed(value))


_OPENERS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "iter": iter,
    "reversed": _reversed_keys,
    "items": lambda value: iter(value.items()),
    "keys": lambda value: iter(value.keys()),
    "values": lambda value: iter(value.values()),
}


class Enumerated(Cursor):
    """`enumerate(operand, start)`."""

    __slots__ = ("_index",)

    def __init__(self, kind: str, operands: list[Any], start: int = 0) -> None:
        super().__init__(kind, [_inner(operands[0])])
        self._index = start

    def __next__(self) -> Any:
        item = next(self.operands[0])
        index = self._index
        self._index += 1
        return (index, item)

    def state(self) -> State:
        """Return the position."""
        return [self._index]

    def restore(self, state: State) -> None:
        """Take a position that `state` returned."""
        (self._index,) = state


class Zipped(Cursor):
    """`zip(*operands, strict=...)`."""

    __slots__ = ("_strict",)

    def __init__(self, kind: str, operands: list[Any], strict: bool = False) -> None:
        super().__init__(kind, [_inner(operand) for operand in operands])
        self._strict = strict

    def __next__(self) -> Any:
        row: list[Any] = []
        for position, operand in enumerate(self.operands):
            try:
                row.append(next(operand))
            except StopIteration:
                self._check_equal(position)
                raise
        if not row:
            raise StopIteration
        return tuple(row)

    def _check_equal(self, position: int) -> None:
        if not self._strict:
            return
        if position:
            raise ValueError(f"zip() argument {position + 1} is shorter than argument{_others(position)}")
        for later, operand in enumerate(self.operands[1:], 1):
            if next(operand, self) is not self:
                raise ValueError(f"zip() argument {later + 1} is longer than argument{_others(later)}")

    def state(self) -> State:
        """Return the position."""
        return [self._strict]

    def restore(self, state: State) -> None:
        """Take a position that `state` returned."""
        (self._strict,) = state


def _others(count: int) -> str:
    return " 1" if count == 1 else f"s 1-{count}"


def _inner(operand: Any) -> Cursor:
    return operand if isinstance(operand, Cursor) else Simple("iter", [operand])


def open_cursor(kind: str, *operands: Any, **options: Any) -> Cursor:
    """Begin iterating: `kind` and operands as in `expressions.Cursor`. Raises TypeError for what cannot be iterated."""
    if kind == "enumerate":
        start = operands[1] if len(operands) > 1 else options.get("start", 0)
        return Enumerated(kind, [operands[0]], start)
    if kind == "zip":
        return Zipped(kind, list(operands), bool(options.get("strict", False)))
    if kind == "iter" and isinstance(operands[0], Cursor):
        return operands[0]
    return Simple(kind, list(operands))


def reopen_cursor(kind: str, operands: list[Any], state: State) -> Cursor:
    """Make the cursor that had these operands and this state."""
    cls: type[Cursor] = {"enumerate": Enumerated, "zip": Zipped}.get(kind, Simple)
    cursor = cls.__new__(cls)
    Cursor.__init__(cursor, kind, operands)
    cursor.restore(state)
    return cursor


KINDS = frozenset({*_OPENERS, "enumerate", "zip"})
"""Every kind of cursor."""
