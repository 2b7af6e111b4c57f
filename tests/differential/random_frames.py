"""What spreads constructs: whole bodies inside one enclosing construct, and awaits at every position of an expression."""

from __future__ import annotations

from tests.differential.programs import Scope
from tests.differential.random_statements import FAILING, MoreStatements

AWAITS: tuple[tuple[str, str], ...] = (
    ("int", "LIMITS[(await add(<int0>)) % 3]"),
    ("int", "LIMITS[await add(<int0>)]"),
    ("list", "[*LIMITS, 9][: await add(<int0>)]"),
    ("list", "<list>[await negate(<int0>) :]"),
    ("str", "<str>[: await add(<int0>)]"),
    ("int", "(-await add(<int0>))"),
    ("int", "(~await negate(<int0>))"),
    ("int", "(+await add(<int>))"),
    ("int", "[7, 8][await add(0, 0)]"),
    ("str", "NAMES[-(await add(0))]"),
    ("bool", "(not await check(<int>))"),
    ("set", "{await add(<int0>), <int0>, await negate(<int0>)}"),
    ("bool", "(<int0> < await add(<int0>) <= <int>)"),
    ("bool", "(<int> != <int0> >= await add(<int0>))"),
    ("int", "(<int> if await check(<int0>) else <int0>)"),
    ("int", "(await add(<int0>) if <bool> else await negate(<int0>))"),
    ("dict", '{"k": await add(<int0>), await label(<int0>): <int0>}'),
    ("dict", '{**<dict>, "z": await add(<int0>)}'),
    ("str", 'f"{await label(<int0>)}:{<int0>}"'),
    ("str", 'f"{await add(<int0>)!r:>{await add(1)}}"'),
    ("str", "(await label(<int0>)).upper()"),
    ("int", "(await spread(<int0>)).count(await add(0))"),
    ("bool", "(await check(<int0>) and <bool> or await check(<int0>))"),
    ("list", "[await add(<int0>), *await spread(<int0>), <int0>]"),
    ("int", "max(*await spread(<int0>), 1, await add(<int0>))"),
    ("int", "add.with_(retries=0)"),
    ("couple", "(await add(<int0>), await label(<int0>))"),
    ("int", "(<new> := await add(<int>))"),
    ("bool", "(await add(<int0>) in await spread(<int0>))"),
    ("str", "(await label(<int0>))[await add(0)]"),
    ("list", "[await add(c) for c in await spread(<int0>) if await check(c)]"),
    ("dict", "{await label(c): await add(c) for c in <list>}"),
    ("set", "{await negate(c) for c in <list> if c or await check(c)}"),
)
"""An await at each position, with the type of the whole."""


FRAMES = {"loop else": "loop_else", "case": "match", "timeout": "timeout_block", "saga": "saga_block"}
"""The features that switch some of the enclosing constructs."""


class Frames(MoreStatements):
    """Writes them."""

    def awaits(self, scope: Scope, _: str) -> None:
        """An expression with awaits where they seldom stand."""
        kind, template = self.random.choice(AWAITS)
        name = self.name()
        if template.endswith("with_(retries=0)"):
            self.emit(
                f"{name} = await add.with_(retries=0)(b={self.value(scope, 'int', 1)}, a=await add({self.leaf(scope, 'int')}))"
            )
            scope.variables[name] = kind
            return
        text = self.filled(scope, template, 1)
        shape = self.random.randrange(8)
        if kind == "bool" and shape < 6:
            message = self.random.choice([self.value(scope, "str", 1), f"await label({self.leaf(scope, 'int')})"])
            test = ["await check(2)", f"await check({self.leaf(scope, 'int')})", f"{text} or True"][shape % 3]
            self.emit(f"assert {test}, {message}" if shape < 5 else f"if {text}:")
            if shape >= 5:
                self.emit(f"    await record({self.value(scope, 'str', 0)})")
        elif kind == "int" and shape < 3:
            self.emit(f"{name} = Pair({self.leaf(scope, 'int')}, [1, 2])")
            target = ["left", "right[-1]", "right[0]"][shape]
            operator, value = self.random.choice(["+=", "-=", "="]), text if self.random.random() < 0.5 else "await add(1)"
            self.emit(f"{name}.{target} {operator} {value}")
            scope.variables[name] = "pair"
        else:
            annotation = self.annotation(kind)
            self.emit(f"{name}: {annotation} = {text}")
            scope.variables[name] = kind

    def polled(self, scope: Scope, result: str) -> None:
        """A loop that asks again, in its condition."""
        counter = self.name("i")
        self.emit(f"{counter} = {self.random.choice([1, 2])}")
        scope.variables[counter] = "int"
        inner = scope.child(in_loop=True, frozen=scope.frozen | {counter})
        header = self.random.choice(
            [
                f"while await check({counter}):",
                f"while not await check({counter}):",
                f"while (await add({counter})) < 4:",
                f"while {counter} < 3 and await check({counter} * 2):",
            ]
        )
        with self.block(header):
            self.emit(f"{counter} += {self.random.choice([1, 3])}")
            self.body(inner, result)

    def framed(self, scope: Scope, result: str) -> None:
        """A body inside one construct that other statements seldom come into."""
        inner = scope.child()
        frames = ["try else", "finally", "except", "else"] * 3 + ["for", "while"]
        frames += ["loop else"] * 9 + ["case", "timeout", "saga"] * 4
        frame = self.random.choice([each for each in frames if FRAMES.get(each, "frames") in self.features])
        if frame == "try else":
            with self.block("try:"):
                self.emit(f"await add({self.leaf(scope, 'int')})")
            with self.block("except Odd:"):
                self.emit(self.random.choice(["pass", "await record('odd')"]))
            self._inside("else:", inner, result)
            if self.random.random() < 0.4:
                self._inside("finally:", scope.child(in_finally=True, in_loop=False), result)
        elif frame == "finally":
            with self.block("try:"):
                self.emit(
                    self.random.choice([f"await add({self.leaf(scope, 'int')})", "pass", f"await {self.random.choice(FAILING)}"])
                )
            self._inside("finally:", scope.child(in_finally=True, in_loop=False), result)
        elif frame == "except":
            with self.block("try:"):
                self.emit(f"await {self.random.choice(FAILING)}")
            self._inside("except Exception as failure:", inner, result)
        elif frame == "else":
            with self.block(f"if {self.random.choice(['await check(1)', self.value(scope, 'bool', 1)])}:"):
                self.emit("pass")
            self._inside("else:", inner, result)
        elif frame == "loop else":
            with self.block(f"for _ in range({self.random.randint(0, 2)}):"):
                self.emit(self.random.choice(["pass", f"await add({self.leaf(scope, 'int')})"]))
            self._inside("else:", inner, result)
        elif frame == "case":
            with self.block(f"match {self.random.choice(['await add(1)', self.value(scope, 'int', 1)])}:"):
                with self.block("case 100 | 101:"):
                    self.emit("pass")
                self._inside("case _:", inner, result)
        elif frame in ("timeout", "saga"):
            self.fresh += 1
            length = f"timedelta(seconds={1_000_007 + 61 * self.fresh})"
            self._inside(f"async with {'saga()' if frame == 'saga' else f'timeout({length})'}:", inner, result)
            scope.ended = inner.ended
        else:
            inner.in_loop = True
            self._inside(f"for {self.name('x')} in range(2):", inner, result) if frame == "for" else self.polled(scope, result)

    def _inside(self, header: str, scope: Scope, result: str) -> None:
        with self.block(header):
            self.body(scope, result)
            if not scope.ended:
                self.body(scope, result)
            self.ending(scope, result)
