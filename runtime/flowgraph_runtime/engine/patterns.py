"""Patterns of the closed vocabulary as Python's own (see `expressions`), so that CPython itself matches.

A pattern can bind names of the generated function only, so what it captures is put into the frame by the guard::

    case [x, *_] if x > 1:      ->      case [x_1, *_] if (V.put("x", x_1),) and V["x"] > 1:
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from flowgraph_compiler import expressions as forms
from flowgraph_compiler import patterns as p
from flowgraph_runtime.engine.errors import ProgramError
from flowgraph_runtime.engine.expressions import Expressions
from flowgraph_runtime.engine.names import checked_attribute, load


def case(
    x: Expressions, temporary: Callable[[], str], pattern: p.Pattern, guard: forms.Expr | None, body: Sequence[ast.stmt]
) -> ast.match_case:
    """Return one case; `temporary` makes names of the generated function."""
    made = _Pattern(x, temporary)
    built = made(pattern)
    put = ast.Attribute(load("V"), "put", ast.Load())
    puts: list[ast.expr] = [ast.Call(put, [ast.Constant(name), load(held)], []) for name, held in made.captured.items()]
    tests: list[ast.expr] = [ast.Tuple(puts, ast.Load())] if puts else []
    if guard is not None:
        tests.append(x(guard))
    test = ast.BoolOp(ast.And(), tests) if len(tests) > 1 else next(iter(tests), None)
    return ast.match_case(built, test, list(body))


class _Pattern:
    """Turns the pattern of one case into `ast`; `captured` maps the names it binds to those of the generated function."""

    def __init__(self, x: Expressions, temporary: Callable[[], str]) -> None:
        self._x = x
        self._temporary = temporary
        self.captured: dict[str, str] = {}

    def __call__(self, pattern: p.Pattern) -> ast.pattern:
        match pattern:
            case p.ValuePattern(value):
                return ast.MatchValue(self._value(value))
            case p.SingletonPattern(value):
                return ast.MatchSingleton(value)
            case p.SequencePattern(items):
                return ast.MatchSequence([self(item) for item in items])
            case p.StarPattern(name):
                return ast.MatchStar(self._held(name))
            case p.MappingPattern(keys, values, rest):
                return ast.MatchMapping([self._value(key) for key in keys], [self(each) for each in values], self._held(rest))
            case p.ClassPattern():
                return self._class(pattern)
            case p.CapturePattern(inner, name):
                return ast.MatchAs(None if inner is None else self(inner), self._held(name))
            case p.EitherPattern(options):
                return ast.MatchOr([self(option) for option in options])
        raise ProgramError(f"the machine contains {type(pattern).__name__!r}, which is no pattern of the vocabulary")

    def _class(self, pattern: p.ClassPattern) -> ast.pattern:
        positional = [] if pattern.whole is None else [self(pattern.whole)]
        names = [checked_attribute(name) for name in pattern.names]
        cls = load(self._x.names.class_name(pattern.cls))
        return ast.MatchClass(cls, positional, names, [self(value) for value in pattern.values])

    def _held(self, name: str | None) -> str | None:
        if name is None:
            return None
        return self.captured.setdefault(name, self.captured.get(name) or self._temporary())

    def _value(self, value: forms.Expr) -> ast.expr:
        """Python takes literals and dotted names, so what the machine calls by one name is read from an object that holds it."""
        built = self._x(value)
        return ast.Attribute(load("HELD"), built.id, ast.Load()) if isinstance(built, ast.Name) else built
