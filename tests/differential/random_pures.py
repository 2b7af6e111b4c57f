"""Random `@pure` functions and calls of them: await-free statements of all kinds, over parameters that they do not change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.differential.programs import Scope
from tests.differential.random_suspensions import Suspensions

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pures(Suspensions):
    """Writes `@pure` functions."""

    assign: Callable[[Scope, str], None]
    if_: Callable[[Scope, str], None]
    match_: Callable[[Scope, str], None]
    unpack: Callable[[Scope, str], None]
    chain: Callable[[Scope, str], None]
    augment: Callable[[Scope, str], None]
    raise_: Callable[[Scope, str], None]
    return_: Callable[[Scope, str], None]
    jump: Callable[[Scope, str], None]
    function: Callable[..., None]
    body: Callable[[Scope, str], None]

    @contextmanager
    def purely(self) -> Iterator[None]:
        """Nothing awaits inside."""
        self.in_pure, self.pure_depth = True, self.pure_depth + 1
        yield
        self.in_pure, self.pure_depth = False, self.pure_depth - 1

    def pure_function(self) -> None:
        """A function `int, list[int] -> int` that later expressions may call."""
        name = self.name("pure")
        saved, self.budget = self.budget, self.random.randint(2, 8)
        parameters, scope = "n: int, xs: list[int]", Scope({"n": "int", "xs": "list"}, frozen=frozenset({"xs"}))
        calls = [f"{name}({{n}}, {{xs}})", f"{name}(xs={{xs}}, n={{n}})"]
        if self.random.random() < 0.5:
            parameters += ", m: int = BASE, *, k: int = 2"
            scope.variables.update({"m": "int", "k": "int"})
            calls += [f"{name}({{n}}, {{xs}}, {{n}})", f"{name}(k={{n}}, n={{n}}, xs={{xs}})"]
        with self.purely():
            self.emit("@pure")
            with self.block(f"def {name}({parameters}) -> int:"):
                self.body(scope, "int")
                if not scope.ended:
                    self.emit(f"return {self.value(scope, 'int', 1)}")
        self.emit("")
        self.budget = saved
        self.pures += calls

    def pure_statement(self, scope: Scope, result: str) -> None:
        """A statement that awaits nothing."""
        choices: list[Any] = [self.assign] * 4 + [self.if_] * 3 + [self.pure_try] * 2 + [self.pure_for] * 2
        for feature, make in (
            ("while", self.pure_while), ("match", self.match_), ("unpack", self.unpack), ("chain", self.chain),
            ("augment", self.augment), ("raise", self.raise_), ("return", self.return_), ("loop_jump", self.jump),
        ):  # fmt: skip
            if feature in self.features:
                choices.append(make)
        self.random.choice(choices)(scope, result)

    def pure_while(self, scope: Scope, result: str) -> None:
        counter = self.name("i")
        self.emit(f"{counter} = {self.random.randint(0, 2)}")
        scope.variables[counter] = "int"
        inner = scope.child(in_loop=True, frozen=scope.frozen | {counter})
        with self.block(f"while {counter} < {self.random.randint(1, 4)}:"):
            self.emit(f"{counter} += 1")
            self.body(inner, result)

    def pure_for(self, scope: Scope, result: str) -> None:
        name, other = self.name("x"), self.name("k")
        inner = scope.child(in_loop=True)
        items = f"list({self.value(scope, 'list', 1)})[:3]"
        header, bound = self.random.choice(
            [
                (f"for {name} in {items}:", {name: "int"}),
                (f"for {other}, {name} in enumerate({items}):", {name: "int", other: "int"}),
                (f"for {name} in reversed({items}):", {name: "int"}),
                (f"for {name} in range({self.random.randint(0, 3)}):", {name: "int"}),
            ]
        )
        inner.variables.update(bound)
        with self.block(header):
            self.body(inner, result)
        if self.random.random() < 0.4:
            with self.block("else:"):
                self.body(scope.child(), result)

    def pure_try(self, scope: Scope, result: str) -> None:
        with self.block("try:"):
            body = scope.child()
            self.body(body, result)
            if not body.ended:
                self.emit(f"{self.name('z')} = 7 // ({self.value(scope, 'int', 1)} % 3)")
        with self.block(
            f"except {self.random.choice(['ZeroDivisionError', 'Exception', '(ValueError, Odd)'])} as {self.name('e')}:"
        ):
            handler = scope.child()
            self.body(handler, result)
        last = scope.child(in_finally=True, in_loop=False)
        if self.random.random() < 0.4:
            with self.block("finally:"):
                self.body(last, result)
        scope.ended = last.ended or (body.ended and handler.ended)
