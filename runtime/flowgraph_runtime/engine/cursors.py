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

_FIXED = (tuple, str, range, bytes)


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


class OverList(Cursor):
    """Over a list, from either end, by live index: `iter`, `reversed`."""

    __slots__ = ("_done", "_index")

    def __init__(self, kind: str, operands: list[Any]) -> None:
        super().__init__(kind, operands)
        self._index = 0 if kind == "iter" else len(operands[0]) - 1
        self._done = False

    def __next__(self) -> Any:
        values, index = self.operands[0], self._index
        if self._done or not 0 <= index < len(values):
            self._done = True
            raise StopIteration
        self._index = index + 1 if self.kind == "iter" else index - 1
        return values[index]

    def state(self) -> State:
        """Return the position."""
        return [self._index, self._done]

    def restore(self, state: State) -> None:
        """Take a position that `state` returned."""
        self._index, self._done = state


class Fixed(Cursor):
    """Over what cannot change, from the front."""

    __slots__ = ("_count", "_items", "_size")

    def __init__(self, kind: str, operands: list[Any]) -> None:
        super().__init__(kind, operands)
        self._items: Iterator[Any] = iter(operands[0])
        self._count = 0
        self._size = len(operands[0])

    def __next__(self) -> Any:
        item = next(self._items)
        self._count += 1
        return item

    def state(self) -> State:
        """Return the position, as `Simple` does: an exhausted one is told by its count."""
        return [self._count, self._size, False]

    def restore(self, state: State) -> None:
        """Take a position that `state` returned."""
        self._count, self._size, _ = state
        self._items = iter(self.operands[0][self._count :])


class Simple(Cursor):
    """Over a dict, or backwards over what cannot change: `iter`, `reversed`, `items`, `keys`, `values`. `size`: of the dict when
    it began."""

    __slots__ = ("_count", "_done", "_items", "_size")

    def __init__(self, kind: str, operands: list[Any]) -> None:
        super().__init__(kind, operands)
        self._items: Iterator[Any] = _OPENERS[kind](operands[0])
        self._count = 0
        self._size = len(operands[0])
        self._done = False

    def __next__(self) -> Any:
        if not self._done and len(self.operands[0]) != self._size:
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
        if self._done:
            self._items = iter(())
        else:
            self._items = _OPENERS[self.kind](self.operands[0])
            next(islice(self._items, self._count, self._count), None)


_OPENERS: dict[str, Callable[[Any], Iterator[Any]]] = {
    "iter": iter,
    "reversed": lambda value: iter(reversed(value)),
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
    return operand if isinstance(operand, Cursor) else _over("iter", operand)


def _over(kind: str, value: Any) -> Cursor:
    """A cursor over one value; what has no position that could be stored is taken as a list."""
    if not _has_position(kind, value):
        kind, value = "iter", list(_OPENERS[kind](value))
    return _class_over(kind, value)(kind, [value])


def _has_position(kind: str, value: object) -> bool:
    return isinstance(value, (*_FIXED, dict)) or (isinstance(value, list) and kind in ("iter", "reversed"))


def open_cursor(kind: str, *given: Any, **options: Any) -> Cursor:
    """Begin iterating: `kind` and operands as in `expressions.Cursor`. Raises TypeError for what cannot be iterated."""
    operands = list(given)
    if kind == "iter" and type(operands[0]) is range:  # most loops, in half the time
        return Fixed(kind, operands)
    if kind == "enumerate":
        start = operands[1] if len(operands) > 1 else options.get("start", 0)
        return Enumerated(kind, [operands[0]], start)
    if kind == "zip":
        return Zipped(kind, operands, bool(options.get("strict", False)))
    if kind == "iter" and isinstance(operands[0], Cursor):
        return operands[0]
    return _over(kind, operands[0])


def _class_over(kind: str, value: object) -> type[OverList | Fixed | Simple]:
    if isinstance(value, list):
        return OverList
    return Fixed if kind == "iter" and isinstance(value, _FIXED) else Simple


def reopen_cursor(kind: str, operands: list[Any], state: State) -> Cursor:
    """Make the cursor that had these operands and this state."""
    cls = {"enumerate": Enumerated, "zip": Zipped}.get(kind) or _class_over(kind, operands[0])
    cursor = cls.__new__(cls)
    Cursor.__init__(cursor, kind, operands)
    cursor.restore(state)
    return cursor


KINDS = frozenset({*_OPENERS, "enumerate", "zip"})
"""Every kind of cursor."""
