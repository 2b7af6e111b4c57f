"""What helpers of the inference ask an evaluator, so that they need not import it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from flowgraph_compiler.expressions import Expr, Target
from flowgraph_compiler.infer.environment import Env
from flowgraph_compiler.infer.world import World
from flowgraph_compiler.spans import Span


class Asked(Protocol):
    """An evaluator of expressions at one place; `env` moves on with every walrus."""

    world: World
    env: Env

    def quiet(self, env: Env) -> Asked:
        """An evaluator at another place that reports nothing."""
        ...

    def of(self, expr: Expr) -> Any:
        """The type of an expression."""
        ...

    def many(self, exprs: Iterable[Expr]) -> list[Any]:
        """The types of expressions that are evaluated in this order."""
        ...

    def split(self, test: Expr) -> tuple[Env | None, Env | None]:
        """Evaluate a condition: the places where it holds and where it does not."""
        ...

    def iterated(self, expr: Expr) -> Any:
        """The type of the items of an iterable."""
        ...

    def some(self, expr: Expr, tp: Any) -> Any:
        """The type of a value that is about to be used: reports where it may be None."""
        ...

    def bind(self, target: Target, tp: Any, timeout: Span | None = None) -> None:
        """Assign a value of a type to a target."""
        ...
