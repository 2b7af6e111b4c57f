"""Displays, comprehensions and assignment to targets: values with parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from flowgraph_compiler.assignability import assignable
from flowgraph_compiler.expressions import (
    Attribute,
    Bound,
    Clause,
    Comprehension,
    DictOf,
    Expr,
    ListOf,
    Local,
    SetOf,
    Starred,
    Subscript,
    Target,
    TupleOf,
)
from flowgraph_compiler.infer.asked import Asked
from flowgraph_compiler.infer.environment import Env, path_of
from flowgraph_compiler.spans import Span
from flowgraph_compiler.types import (
    UNKNOWN,
    class_of,
    covers,
    element,
    fields,
    generic,
    is_any,
    is_namedtuple,
    joined_items,
    mapping_of,
    members,
    normal,
    union,
)


def display(asked: Asked, expr: Expr) -> Any:
    """The type of a list, tuple, set or dict display."""
    match expr:
        case ListOf(items):
            return generic(list, _items(asked, items))
        case SetOf(items):
            return generic(set, _items(asked, items))
        case TupleOf(items) if any(isinstance(item, Starred) for item in items):
            return generic(tuple, _items(asked, items), ...)
        case TupleOf(items):
            return generic(tuple, *asked.many(items))
        case DictOf():
            return _dict(asked, expr)
        case Starred(value):
            return asked.iterated(value)
        case _:
            return UNKNOWN


_EMPTY = (ListOf(()), TupleOf(()), DictOf((), ()))
"""What adds nothing where it is spread, not even a type."""


def _items(asked: Asked, items: tuple[Expr, ...]) -> Any:
    kept = tuple(item for item in items if not (isinstance(item, Starred) and item.value in _EMPTY))
    return joined_items(asked.many(kept)) if kept else UNKNOWN


def _dict(asked: Asked, expr: DictOf) -> Any:
    keys: list[Any] = []
    values: list[Any] = []
    for key, value in zip(expr.keys, expr.values, strict=True):
        if key is None and value in _EMPTY:
            continue
        if key is None:
            pair = mapping_of(asked.of(value)) or (UNKNOWN, UNKNOWN)
            keys.append(pair[0])
            values.append(pair[1])
        else:
            keys.append(asked.of(key))
            values.append(asked.of(value))
    return generic(dict, joined_items(keys), joined_items(values)) if keys else generic(dict, UNKNOWN, UNKNOWN)


def comprehension(asked: Asked, expr: Comprehension) -> Any:
    """The type of a comprehension; its variables are `Bound` and gone afterwards, a walrus in it stays."""
    outer = asked.env
    bind_clauses(asked, expr.clauses)
    item = asked.of(expr.element)
    value = UNKNOWN if expr.value is None else asked.of(expr.value)
    leave_clauses(asked, outer)
    made: dict[str, Any] = {"list": list, "set": set, "generator": Iterable}
    return generic(dict, item, value) if expr.kind == "dict" else generic(made[expr.kind], item)


def bind_clauses(asked: Asked, clauses: Iterable[Clause]) -> None:
    """Bind the names of `for` clauses, narrowed by their conditions."""
    for clause in clauses:
        bind(asked, clause.target, asked.iterated(clause.iterable))
        for condition in clause.conditions:
            asked.env = asked.split(condition)[0] or asked.env


def leave_clauses(asked: Asked, outer: Env) -> None:
    """Go on behind the clauses, `outer` being the place before them: their names are gone, a walrus in them stays."""
    kept = {path: tp for path, tp in asked.env.types.items() if not path.startswith("^") and path not in outer.types}
    asked.env = Env({**kept, **outer.types}, outer.facts, outer.timeouts)


# --- targets


def bind(asked: Asked, target: Target, tp: Any, timeout: Span | None = None) -> None:
    """Assign a value of a type to a target; `timeout` is the wait that it came from."""
    match target:
        case Local(name):
            declared = asked.world.declared.get(name)
            asked.env = asked.env.assigned(name, tp if declared is None else settled(declared, tp), timeout)
        case Bound(name):
            asked.env = asked.env.assigned(f"^{name}", tp)
        case TupleOf(items) | ListOf(items):
            for item, part in zip(items, unpacked(tp, items), strict=True):
                _bind_inner(asked, item, part)
        case Starred(value):
            _bind_inner(asked, value, tp)
        case Attribute() | Subscript():
            _bind_part(asked, target, tp)


def _bind_inner(asked: Asked, target: Expr, tp: Any) -> None:
    if isinstance(target, Local | Bound | Attribute | Subscript | Starred | TupleOf | ListOf):
        bind(asked, target, tp)


def grown(container: Any, *parts: Any) -> Any:
    """The type of a comprehension's temporary once it holds an item: `list[unknown]` with an `int` is `list[int]`."""
    return union(_grown(member, parts) for member in members(container))


def _grown(container: Any, parts: tuple[Any, ...]) -> Any:
    known = get_args(container)
    if class_of(container) not in (list, set, dict) or len(known) != len(parts):
        return container
    pairs = zip(known, parts, strict=True)
    return generic(get_origin(container), *(union([part] if item is UNKNOWN else [item, part]) for item, part in pairs))


def _bind_part(asked: Asked, target: Attribute | Subscript, tp: Any) -> None:
    asked.some(target.value, asked.of(target.value))
    if isinstance(target, Subscript):
        index, owner = asked.of(target.index), path_of(target.value)
        if owner is not None and owner.startswith("$") and class_of(asked.of(target.value)) is dict:
            asked.env = asked.env.narrowed(owner, grown(asked.of(target.value), index, tp))
    path = path_of(target)
    if path is None:
        return
    bare = asked.env.assigned(path, UNKNOWN)
    quiet = asked.quiet(Env({p: t for p, t in bare.types.items() if p != path}))
    cleared = asked.env.assigned(path, settled(quiet.of(target), tp))
    asked.env = Env(cleared.types, cleared.facts, asked.env.timeouts)


def settled(declared: Any, tp: Any) -> Any:
    """The type that an annotated variable has after an assignment: the value's, where that says more than the annotation."""
    if declared is UNKNOWN:
        return tp
    parts = [part for one in members(tp) for part in _settled(declared, one)]
    return union(parts) if parts else normal(declared)


def _settled(declared: Any, value: Any) -> list[Any]:
    """A display takes its context's type (`xs: list[float] = [1]`), so containers keep what is declared."""
    fitting = [member for member in members(declared) if assignable(value, member)]
    exact = not is_any(value) and get_origin(value) is None and not any(covers(value, member) for member in fitting)
    return [value] if exact and fitting and Any not in fitting else fitting


def unpacked(tp: Any, items: tuple[Expr, ...]) -> list[Any]:
    """The types of the targets that a value is unpacked into."""
    named = is_namedtuple(class_of(tp))
    args = tuple((fields(tp) or {}).values()) if named else get_args(tp)
    exact = named or (get_origin(tp) is tuple and Ellipsis not in args)
    stars = [i for i, item in enumerate(items) if isinstance(item, Starred)]
    if exact and not stars and len(args) == len(items):
        return list(args)
    if exact and stars and len(args) >= len(items) - 1:
        at, after = stars[0], len(items) - stars[0] - 1
        return [*args[:at], generic(list, union(args[at : len(args) - after] or [UNKNOWN])), *args[len(args) - after :]]
    item = element(tp)
    return [generic(list, item) if isinstance(one, Starred) else item for one in items]
