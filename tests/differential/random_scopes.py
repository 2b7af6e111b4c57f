"""Random `async with timeout(...)` and `async with saga()`, around any other statements; steps that take time or can be undone.

Deadlines have odd lengths, each its own, so that nothing else is due at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.differential.programs import Scope
from tests.differential.random_suspensions import Suspensions

if TYPE_CHECKING:
    from collections.abc import Iterator


class Scopes(Suspensions):
    """Writes scopes."""

    def body(self, scope: Scope, result: str) -> None:
        """Statements; the last layer writes them."""
        raise NotImplementedError

    def scope_statements(self) -> list[tuple[Callable[[Scope, str], None], int]]:
        """The statements of this file that are switched on, with their weights."""
        found: list[tuple[Callable[[Scope, str], None], int]] = []
        if "timeout_block" in self.features:
            found += [(self.timed, 4), (self.slow, 2)]
        if "saga_block" in self.features:
            found += [(self.undoable, 3), (self.saga, 4)]
        return found

    def timed(self, scope: Scope, result: str) -> None:
        with self.handled(scope, "TimeoutError") as inner:
            header = f"timeout({self.length()})"
            if self.on("saga_block", 0.3):
                header = self.random.choice([f"{header}, saga()", f"saga(), {header}"])
            elif self.random.random() < 0.15:
                header = f"{header}, timeout({self.length()})"
            with self.block(f"async with {header}:"):
                if self.random.random() < 0.4:
                    self.long(inner, result)
                self.body(inner, result)
                if not inner.ended and self.random.random() < 0.4:
                    self.long(inner, result)

    def saga(self, scope: Scope, result: str) -> None:
        with (
            self.handled(scope, self.random.choice(["Odd", "Exception", "NonRetriable"])) as inner,
            self.block("async with saga():"),
        ):
            if self.random.random() < 0.6:
                self.undoable(inner, result)
            self.body(inner, result)
            if not inner.ended and self.random.random() < 0.4:
                self.undoable(inner, result)
            if not inner.ended and self.random.random() < 0.4:
                self.emit(f"await {self.random.choice(['very(5)', 'only_even(1)', 'strict(1)', 'pick(6)', 'very(3)'])}")

    @contextmanager
    def handled(self, scope: Scope, error: str) -> Iterator[Scope]:
        """The scope of a block that is more often than not the body of a `try`."""
        if self.random.random() < 0.3:
            inner = scope.child()
            yield inner
            scope.variables, scope.ended = inner.variables, inner.ended
            return
        name = self.name("e")
        with self.block("try:"):
            yield scope.child()
        with self.block(f"except {error} as {name}:"):
            self.emit(f"await record(str({name}))")

    def length(self) -> str:
        self.fresh += 1
        minutes = self.random.choice([3, 17, 47, 71, 143, 301, 1801])
        seconds = minutes * 60 + 61 * self.fresh + 7
        return self.random.choice([f"timedelta(seconds={seconds})", f'"{seconds}s"'])

    def long(self, scope: Scope, result: str) -> None:
        """Something that takes time."""
        kinds: list[Callable[[Scope, str], None]] = [self.sleep, self.slow, self.wait]
        self.random.choice(kinds)(scope, result)

    def slow(self, scope: Scope, _: str) -> None:
        name = self.name()
        step, grouped = self.random.choice(["slow", "slow", "slow_odd"]), self.random.random() < 0.3
        self.in_group = grouped
        call = f"{step}({self.value(scope, 'int', 0)})"
        if grouped:
            self.emit(f"{name}, _ = await parallel({call}, {self.branch(scope)[0]})")
        else:
            self.emit(f"{name} = await {call}")
        self.in_group = False
        scope.variables[name] = "int"

    def undoable(self, scope: Scope, _: str) -> None:
        name, value = self.name(), self.value(scope, "int", 1)
        tags = self.pick(scope, "list") if self.random.random() < 0.4 else None
        call = f"take({value})" if tags is None else f"take({value}, [str(x) for x in {tags}])"
        self.emit(f"{name} = await {self.random.choice([call, call, f'pick({value})'])}")
        scope.variables[name] = "int"
