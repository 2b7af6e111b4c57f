"""Machines as canonical JSON: the same bytes on every Python version; and their fingerprint.

A node is a list of its class's name and its fields in the order of their declaration: `["Local", "x"]`, `["CallStep", site,
step, [...], [...], ["Policy", ...]]`. Places in the source stand in a section of their own, `places`, outside the
fingerprint, so that a comment above a workflow does not make another machine of it. Reading is directed by the declared
types: a list that is no node of a type that belongs there, or has too many or too few fields, is refused.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NoReturn

from flowgraph_compiler.machine import FORMAT, Machine
from flowgraph_compiler.spans import Span
from flowgraph_compiler.traversal import is_tuple
from flowgraph_compiler.verify import MachineError, verify

__all__ = ["MachineError", "fingerprint", "from_json", "to_json"]

_PLACES = frozenset({"span", "line", "lines", "file", "format"})
"""Fields that are no part of the JSON form of their node: places in the source, and the format, which stands on top."""


def to_json(machine: Machine) -> str:
    """The canonical text (ASCII)."""
    return _dumps({"format": machine.format, "machine": _encode(machine), "places": _places(machine)})


def fingerprint(machine: Machine) -> str:
    """`m_` and 16 hexadecimal digits of the SHA-256 of the canonical text without places."""
    text = _dumps({"format": machine.format, "machine": _encode(machine)})
    return "m_" + hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def from_json(text: str) -> Machine:
    """The machine of a text. Raises `MachineError` for text that is none, or that names what no machine may name."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        return verify(_read(document))
    except (json.JSONDecodeError, UnicodeError) as error:
        raise MachineError(f"no JSON: {error}") from None
    except RecursionError:
        raise MachineError("nested too deeply") from None


def _read(document: Any) -> Machine:
    if not isinstance(document, dict) or document.keys() != {"format", "machine", "places"}:
        _refuse("a machine is an object with format, machine and places", document)
    if document["format"] != FORMAT:
        _refuse(f"the format is not {FORMAT}", document["format"])
    machine: Machine = _decoder(Machine)(document["machine"])
    return _placed(machine, document["places"])


def _dumps(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _refuse(problem: str, found: Any) -> NoReturn:
    shown = repr(found)
    raise MachineError(f"{problem}: found {shown if len(shown) <= 80 else shown[:77] + '...'}")


def _refuse_constant(name: str) -> NoReturn:
    raise MachineError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        _refuse("a key stands twice", [key for key, _ in pairs])
    return dict(pairs)


# --- writing


@cache
def _fields(cls: type) -> tuple[tuple[str, Any], ...]:
    """The fields that a node's list holds, with their declared types."""
    known = typing.get_type_hints(cls)
    return tuple((field.name, known[field.name]) for field in dataclasses.fields(cls) if field.name not in _PLACES)


def _encode(value: Any) -> Any:
    if is_tuple(value):
        return [_encode(item) for item in value]
    cls = value.__class__
    if _is_node(cls):
        return [cls.__name__, *(_field(getattr(value, name), tp) for name, tp in _fields(cls))]
    return _scalar(value)


def _is_node(tp: Any) -> bool:
    return isinstance(tp, type) and dataclasses.is_dataclass(tp)


def _field(value: Any, tp: Any) -> Any:
    """A number in a field of fractions is written as one, so that `1` and `1.0` are one machine."""
    return (
        _scalar(float(value))
        if type(value) is int and float in (tp, *typing.get_args(tp)) and not _is_scalar(tp)
        else _encode(value)
    )


def _is_scalar(tp: Any) -> bool:
    return bytes in typing.get_args(tp)


def _scalar(value: Any) -> Any:
    """A literal; what JSON lacks has the tags of `flowgraph.codec`."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if type(value) is int and not -(2**63) <= value < 2**63:
        return {"$int": hex(value)}
    if type(value) is float and not math.isfinite(value):
        return {"$float": repr(value)}
    return value


# --- reading

Decoder: typing.TypeAlias = Callable[[Any], Any]


@cache
def _decoder(tp: Any) -> Decoder:
    """What reads a value of the declared type. Raises `MachineError`."""
    if _is_node(tp):
        return _union((tp,))
    origin, arguments = typing.get_origin(tp), typing.get_args(tp)
    if origin is tuple:
        return _sequence(arguments[0]) if arguments[-1] is Ellipsis else _record(arguments)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    return _simple((tp,))


def _is_list(tree: Any) -> bool:
    return isinstance(tree, list)


def _is_object(tree: Any) -> bool:
    return isinstance(tree, dict)


def _sequence(item: Any) -> Decoder:
    def read(tree: Any) -> tuple[Any, ...]:
        if not _is_list(tree):
            _refuse("a list belongs here", tree)
        return tuple(_decoder(item)(part) for part in tree)

    return read


def _record(items: tuple[Any, ...]) -> Decoder:
    def read(tree: Any) -> tuple[Any, ...]:
        if not _is_list(tree) or len(tree) != len(items):
            _refuse(f"a list of {len(items)} belongs here", tree)
        return tuple(_decoder(item)(part) for item, part in zip(items, tree, strict=True))

    return read


def _union(members: tuple[Any, ...]) -> Decoder:
    """Nodes are told apart by their names; a union holds at most one kind of list besides."""
    nodes: dict[str, type] = {member.__name__: member for member in members if _is_node(member)}
    rest = [member for member in members if not _is_node(member)]
    tuples = [member for member in rest if typing.get_origin(member) is tuple]
    simple = _simple(tuple(member for member in rest if member not in tuples))

    def read(tree: Any) -> Any:
        if not _is_list(tree):
            return simple(tree)
        if tuples:
            return _decoder(tuples[0])(tree)
        cls = nodes.get(tree[0]) if tree and isinstance(tree[0], str) else None
        if cls is None:
            _refuse(f"one of {', '.join(sorted(nodes)) or 'no nodes'} belongs here", tree)
        return _node(cls, tree[1:])

    return read


def _node(cls: type, values: list[Any]) -> Any:
    expected = _fields(cls)
    if len(values) != len(expected):
        _refuse(f"'{cls.__name__}' has {len(expected)} fields", values)
    given = {name: _decoder(tp)(value) for (name, tp), value in zip(expected, values, strict=True)}
    return cls(**given, **({"line": 0} if cls.__name__ == "NodeInfo" else {}))


def _simple(allowed: tuple[Any, ...]) -> Decoder:
    kinds = tuple(type(None) if each is None else each for each in allowed)

    def read(tree: Any) -> Any:
        value = _untagged(tree) if _is_object(tree) else tree
        if type(value) not in kinds:
            _refuse(f"{' or '.join(kind.__name__ for kind in kinds) or 'a list'} belongs here", tree)
        return value

    return read


def _untagged(tree: Any) -> Any:
    match tree:
        case {"$bytes": str(text), **rest} if not rest:
            return _parsed(lambda: base64.b64decode(text, validate=True), tree)
        case {"$int": str(text), **rest} if not rest:
            return _parsed(lambda: int(text, 16), tree)
        case {"$float": "nan" | "inf" | "-inf" as text, **rest} if not rest:
            return float(text)
        case _:
            _refuse("a literal belongs here", tree)


def _parsed(parse: Callable[[], Any], tree: Any) -> Any:
    try:
        return parse()
    except ValueError:
        _refuse("a literal belongs here", tree)


# --- places


def _places(machine: Machine) -> dict[str, Any]:
    return {
        "file": machine.file,
        "span": [*dataclasses.astuple(machine.span)],
        "nodes": [node.line for node in machine.nodes],
        "blocks": [[[*block.lines] for block in function.blocks] for function in machine.functions],
    }


def _placed(machine: Machine, places: Any) -> Machine:
    """The machine with its places. They are only shown, but numbers they have to be."""
    if not isinstance(places, dict) or places.keys() != {"file", "span", "nodes", "blocks"}:
        _refuse("places are file, span, nodes and blocks", places)
    file, span = _decoder(str)(places["file"]), _decoder(tuple[str, int, int, int, int])(places["span"])
    lines = _decoder(tuple[int, ...])(places["nodes"])
    blocks = _decoder(tuple[tuple[tuple[int, ...], ...], ...])(places["blocks"])
    if [len(lines), len(blocks)] != [len(machine.nodes), len(machine.functions)]:
        _refuse("every node and function has a place", places)
    nodes = tuple(replace(node, line=line) for node, line in zip(machine.nodes, lines, strict=True))
    return replace(machine, file=file, span=Span(*span), nodes=nodes, functions=tuple(_lined(machine, blocks)))


def _lined(machine: Machine, lines: tuple[tuple[tuple[int, ...], ...], ...]) -> Iterator[Any]:
    for function, each in zip(machine.functions, lines, strict=True):
        if len(each) != len(function.blocks):
            _refuse("every block has lines", each)
        yield replace(function, blocks=tuple(replace(block, lines=own) for block, own in zip(function.blocks, each, strict=True)))
