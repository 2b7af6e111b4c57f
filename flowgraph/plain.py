"""Stored trees as people read them: no tags, no references; for pages and answers, not to be read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MAX_NODES = 100_000
_MAX_DEPTH = 150


def plain(tree: object) -> Any:
    """Return `tree` as ordinary JSON.

    Never fails: what is no stored value is shown as it is; shared objects are repeated, cycles cut.
    """
    return _Reader().visit(tree, 0)


class _Reader:
    def __init__(self) -> None:
        self._objects: dict[Any, Any] = {}
        self._open: set[Any] = set()
        self._nodes = 0

    def visit(self, tree: Any, depth: int) -> Any:
        self._nodes += 1
        kind: type[Any] = type(tree)  # pyright: ignore[reportUnknownVariableType]
        if kind is not list and kind is not dict:
            return tree
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            return "..."
        if kind is list:
            return [self.visit(item, depth + 1) for item in tree]
        try:
            return self._tagged(tree, depth)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            return self.members(tree, depth)

    def members(self, tree: dict[Any, Any], depth: int) -> dict[str, Any]:
        return {str(key): self.visit(item, depth + 1) for key, item in tree.items()}

    def _tagged(self, tree: dict[str, Any], depth: int) -> Any:
        tag = next(iter(tree), "")
        if tag == "$id":
            return self._numbered(tree["$id"], tree["v"], depth)
        if tag == "$ref":
            return self._referred(tree["$ref"], depth)
        show = _SHOW.get(tag)
        return self.members(tree, depth) if show is None else show(self, tree, depth)

    def _numbered(self, number: Any, inner: Any, depth: int) -> Any:
        self._objects[number] = inner
        self._open.add(number)
        try:
            return self.visit(inner, depth + 1)
        finally:
            self._open.discard(number)

    def _referred(self, number: Any, depth: int) -> Any:
        if number in self._open or number not in self._objects:
            return "..."
        return self._numbered(number, self._objects[number], depth)


def _text(tag: str) -> Callable[[_Reader, dict[str, Any], int], Any]:
    return lambda reader, tree, depth: reader.visit(tree[tag], depth + 1)


def _pairs(reader: _Reader, tree: dict[str, Any], depth: int) -> Any:
    pairs = [(reader.visit(key, depth + 1), reader.visit(item, depth + 1)) for key, item in tree["$dict"]]
    if all(isinstance(key, (str, int, float)) or key is None for key, _ in pairs):
        return {str(key): item for key, item in pairs}
    return [list(pair) for pair in pairs]


def _fields(reader: _Reader, tree: dict[str, Any], depth: int) -> Any:
    return reader.members({**tree["v"], **tree.get("extra", {})}, depth)


def _error(reader: _Reader, tree: dict[str, Any], depth: int) -> Any:
    shown = [reader.visit(arg, depth + 1) for arg in tree["args"]]
    text = str(shown[0]) if len(shown) == 1 else ", ".join(str(arg) for arg in shown)
    return {"type": tree["$error"], "message": tree.get("text", text)}


def _span(_: _Reader, tree: dict[str, Any], __: int) -> Any:
    days, seconds, micros = tree["$timedelta"]
    return f"{days * 86_400 + seconds + micros / 1_000_000:g}s"


def _offset(_: _Reader, tree: dict[str, Any], __: int) -> Any:
    if isinstance(tree.get("name"), str):
        return tree["name"]
    days, seconds, _micros = tree["$offset"]
    minutes = (days * 86_400 + seconds) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


_SHOW: dict[str, Callable[[_Reader, dict[str, Any], int], Any]] = {
    **{
        tag: _text(tag)
        for tag in ("$tuple", "$set", "$frozenset", "$datetime", "$date", "$time", "$decimal", "$uuid", "$bytes", "$float")
    },
    "$int": lambda _, tree, __: int(tree["$int"]),
    "$timedelta": _span,
    "$range": _text("$range"),
    "$zone": _text("$zone"),
    "$offset": _offset,
    "$enum": lambda _, tree, __: tree["$enum"][1] or str(tree["$enum"][2]),
    "$named": lambda reader, tree, depth: reader.visit(tree["v"], depth + 1),
    "$dict": _pairs,
    "$model": _fields,
    "$data": _fields,
    "$error": _error,
}
