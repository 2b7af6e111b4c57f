"""`match`: patterns to the closed vocabulary; what they name is looked up once, so that the machine stays as it is."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.statements import Statements
from flowgraph_compiler.expressions import ClassRef, Const, Expr
from flowgraph_compiler.graph import Case, Match
from flowgraph_compiler.patterns import (
    CapturePattern,
    ClassPattern,
    EitherPattern,
    MappingPattern,
    Pattern,
    SequencePattern,
    SingletonPattern,
    StarPattern,
    ValuePattern,
)

_WHOLE = (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)
"""Classes whose only positional part is matched against the value itself, as are those of their subclasses without fields."""
ANYTHING = CapturePattern(None, None)


class Matches(Statements):
    """`match` statements."""

    def do_Match(self, node: ast.Match) -> None:  # noqa: N802
        """`match`: the subject once, then the cases from the first to the last."""
        name, subject = self.node_id("match"), self.translate(node.subject)
        cases = tuple(self._case(case) for case in node.cases)
        self.emit(Match(name, self.span(node), subject, cases))

    def _case(self, node: ast.match_case) -> Case:
        pattern = self.pattern(node.pattern)
        return Case(pattern, self._guard(node.guard), self.statements(node.body), self.span(node.pattern))

    def _guard(self, node: ast.expr | None) -> Expr | None:
        if node is None:
            return None
        if self.has_await(node):
            message = f"the guard 'if {ast.unparse(node)}' awaits"
            self.report("FG123", node, message, "await it before the 'match', or test it with an 'if' in the case")
            return Const(True, self.span(node))
        return self.translate(node)

    # --- patterns

    def pattern(self, node: ast.pattern) -> Pattern:
        """A pattern in the closed vocabulary."""
        span = self.span(node)
        match node:
            case ast.MatchValue(value=value):
                return ValuePattern(self._value(value), span)
            case ast.MatchSingleton(value=value):
                return SingletonPattern(value, span)
            case ast.MatchSequence(patterns=items):
                return SequencePattern(self._all(items), span)
            case ast.MatchStar(name=name):
                return StarPattern(name, span)
            case ast.MatchMapping(keys=keys, patterns=values, rest=rest):
                return MappingPattern(tuple(self._value(key) for key in keys), self._all(values), rest, span)
            case ast.MatchClass():
                return self._class_pattern(node)
            case ast.MatchAs(pattern=inner, name=name):
                return CapturePattern(None if inner is None else self.pattern(inner), name, span)
            case ast.MatchOr(patterns=options):
                return EitherPattern(self._all(options), span)
            case _:
                self.refuse(node, f"the pattern '{ast.unparse(node)}'", "write an 'if'")
                return ANYTHING

    def _all(self, nodes: Sequence[ast.pattern]) -> tuple[Pattern, ...]:
        return tuple(self.pattern(node) for node in nodes)

    def _value(self, node: ast.expr) -> Expr:
        """A literal or a dotted name; `1 + 2j` is refused as a complex number is anywhere."""
        if isinstance(node, ast.BinOp):
            return self.refuse(node, "a complex number", "compute with it in a '@step'")
        return self.translate(node)

    # --- classes

    def _class_pattern(self, node: ast.MatchClass) -> Pattern:
        found = callees.static(self, node.cls)
        if found is None or not isinstance(found.value, type):
            self.refuse(node.cls, f"'{ast.unparse(node.cls)}' as the class of a pattern", "name a class of the module")
            return ANYTHING
        cls: type[Any] = found.value
        ref = self.class_value(node.cls, cls)
        values = [self.pattern(value) for value in (*node.patterns, *node.kwd_patterns)]
        whole = values.pop(0) if node.patterns and _matches_whole(cls) else None
        named = list(getattr(cls, "__match_args__", ()))[: len(node.patterns) - (whole is not None)]
        names = (*named, *node.kwd_attrs)
        self._check_fields(node, cls, names, len(node.patterns) - (whole is not None) - len(named))
        if not isinstance(ref, ClassRef) or len(names) != len(values):
            return ANYTHING
        return ClassPattern(ref.name, whole, names, tuple(values), self.span(node))

    def _check_fields(self, node: ast.MatchClass, cls: type, names: Sequence[str], surplus: int) -> None:
        if surplus:
            takes = len(node.patterns) - surplus
            message = f"'{cls.__name__}' takes {takes} positional patterns, got {len(node.patterns)}"
            self.report("FG172", node, message, f"{cls.__name__}(field=...)")
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.report("FG172", node, f"'{name}' of '{cls.__name__}' has two patterns", "write one of them")
        for name in names:
            self._check_field(node, cls, name)

    def _check_field(self, node: ast.MatchClass, cls: type, name: str) -> None:
        member = inspect.getattr_static(cls, name, None)
        if name.startswith("_"):
            self.refuse(node, f"the private attribute '.{name}'", "use a public field")
        elif isinstance(member, property | cached_property) and self.is_users(cls, name):
            message = f"property '{cls.__name__}.{name}' runs code that the machine cannot pin"
            self.report("FG140", node, message, "match the fields that it is computed from")


def _matches_whole(cls: type[Any]) -> bool:
    """Whether `cls(x)` matches x against the value itself, in Python's order of asking."""
    return not hasattr(cls, "__match_args__") and issubclass(cls, _WHOLE)
