"""What the inference knows at one point of a flow: a type for each access path, and what follows from temporaries.

A path is a variable (`paid`), a comprehension's variable (`^p`), or what is reached from one (`event.payment`, `rows[0]`): paths
beyond a variable stand here only while a test has narrowed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowgraph_compiler.expressions import Assigned, Attribute, Bound, Const, Expr, Local, Subscript
from flowgraph_compiler.spans import Span
from flowgraph_compiler.types import UNKNOWN, union


@dataclass(frozen=True)
class Outcomes:
    """What held where a temporary was computed from a short circuit: if it is true, and if it is false."""

    true: Env | None
    false: Env | None


@dataclass(frozen=True)
class Env:
    """Types by path. `facts` maps a temporary to the expression it was assigned or to its `Outcomes`; `timeouts` maps a
    variable to the wait with a timeout that filled it."""

    types: Mapping[str, Any] = field(default_factory=dict[str, Any])
    facts: Mapping[str, Expr | Outcomes] = field(default_factory=dict[str, "Expr | Outcomes"], compare=False)
    timeouts: Mapping[str, Span] = field(default_factory=dict[str, Span], compare=False)

    def narrowed(self, path: str, tp: Any) -> Env:
        """The same place after a test of the path."""
        return Env({**self.types, path: tp}, self.facts, self.timeouts)

    def assigned(self, name: str, tp: Any, timeout: Span | None = None) -> Env:
        """After an assignment: what was known of paths through the variable is gone."""
        types = self.types
        prefixes = (f"{name}.", f"{name}[")
        if any(path.startswith(prefixes) for path in types):
            types = {path: known for path, known in types.items() if not is_below(path, name)}
        facts = {temp: fact for temp, fact in self.facts.items() if name.startswith("$") and temp != name}
        timeouts = {variable: span for variable, span in self.timeouts.items() if variable != name}
        if timeout is not None:
            timeouts[name] = timeout
        return Env({**types, name: tp}, facts, timeouts)

    def with_fact(self, temporary: str, fact: Expr | Outcomes) -> Env:
        """The same place, with how a temporary came about."""
        return Env(self.types, {**self.facts, temporary: fact}, self.timeouts)

    def without(self, name: str) -> Env:
        """After `del name`."""
        return replace(
            self.assigned(name, UNKNOWN), types={p: t for p, t in self.types.items() if p != name and not is_below(p, name)}
        )


def is_below(path: str, name: str) -> bool:
    """Whether a path is reached through a variable."""
    return path.startswith((f"{name}.", f"{name}["))


def joined(left: Env | None, right: Env | None) -> Env | None:
    """Where two paths meet: unions; a variable of one path only keeps its type (FG210 is about its being unbound)."""
    if left is None or right is None or left is right:
        return right if left is None else left
    types = left.types if left.types == right.types else _joined_types(left.types, right.types)
    facts = {temp: fact for temp, fact in left.facts.items() if right.facts.get(temp) is fact}
    return Env(types, facts, {**left.timeouts, **right.timeouts})


def _joined_types(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    types = {path: _either(tp, right[path]) for path, tp in left.items() if path in right}
    for path, tp in [*left.items(), *right.items()]:
        if path not in types and "." not in path and "[" not in path:
            types[path] = tp
    return types


def _either(left: Any, right: Any) -> Any:
    return left if left is right or left == right else union([left, right])


def path_of(expr: Expr) -> str | None:
    """The access path that an expression reads, or None."""
    match expr:
        case Local(name) | Assigned(name):
            return name
        case Bound(name):
            return f"^{name}"
        case Attribute(value, name):
            inner = path_of(value)
            return None if inner is None else f"{inner}.{name}"
        case Subscript(value, Const(int() | str() as index)):
            inner = path_of(value)
            return None if inner is None else f"{inner}[{index!r}]"
        case _:
            return None
