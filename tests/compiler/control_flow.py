"""Random function bodies: nested `if`, loops that end, `try` in all its forms; nothing leaves a `finally` body."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Place:
    """Where a statement stands: how deep, in a loop, in a `finally` body (no return), in a handler (bare `raise`)."""

    depth: int = 0
    indent: int = 1
    loop: bool = False
    final: bool = False
    handler: bool = False

    def inside(self, **changes: bool) -> Place:
        return replace(self, depth=self.depth + 1, indent=self.indent + 1, **changes)


class Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.calls = 0

    def function(self) -> str:
        """The whole workflow."""
        self.body(Place())
        head = "@workflow\nasync def w(x: int) -> object:\n    log: list[int] = []\n    y = 0\n"
        return head + "\n".join(self.lines) + "\n    return [x, y, log]\n"

    def body(self, place: Place) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.statement(place)

    def statement(self, place: Place) -> None:
        kinds = ["call", "call", "pure", "pure", "fail"]
        kinds += ["again"] * place.handler + ["leave"] * (not place.final) + ["jump", "jump"] * place.loop
        if place.depth < 4:
            kinds += ["branch", "repeat", "each", "attempt", "attempt", "cleanup", "cleanup"]
        getattr(self, self.random.choice(kinds))(place)

    def write(self, place: Place, text: str) -> None:
        self.lines.append("    " * place.indent + text)

    def awaited(self) -> str:
        self.calls += 1
        return f"await f({self.calls})"

    # --- simple statements

    def call(self, place: Place) -> None:
        self.write(place, f"x = {self.awaited()}")

    def pure(self, place: Place) -> None:
        self.write(place, self.random.choice(["x = x + 1", "log.append(x)", "y = x * 2", "log.append(y)", "x = len(log)"]))

    def sometimes(self, place: Place, text: str) -> None:
        self.write(place, f"if {self.random.choice(['x % 2 == 0', 'x > 1', f'{self.awaited()} > 0'])}:")
        self.write(place.inside(), text)

    def fail(self, place: Place) -> None:
        self.sometimes(place, f"raise {self.random.choice(['ValueError', 'KeyError', 'RuntimeError'])}(x)")

    def again(self, place: Place) -> None:
        self.sometimes(place, "raise")

    def leave(self, place: Place) -> None:
        self.sometimes(place, self.random.choice(["return x", f"return {self.awaited()}", "return None"]))

    def jump(self, place: Place) -> None:
        self.sometimes(place, self.random.choice(["break", "continue"]))

    # --- compound statements

    def branch(self, place: Place) -> None:
        self.write(place, f"if {self.random.choice(['x > 0', f'{self.awaited()} == 1', 'len(log) > 2'])}:")
        self.body(place.inside())
        if self.random.random() < 0.5:
            self.write(place, "else:")
            self.body(place.inside())

    def repeat(self, place: Place) -> None:
        counter = f"c{len(self.lines)}"
        self.write(place, f"{counter} = 0")
        self.write(place, f"while {counter} < {self.random.randint(1, 3)}{self.random.choice(['', ' and x < 50'])}:")
        self.write(place.inside(), f"{counter} = {counter} + 1")
        self.body(place.inside(loop=True))

    def each(self, place: Place) -> None:
        item = f"i{len(self.lines)}"
        iterable = self.random.choice(["range(2)", "[3, 1, 2]", "reversed([1, 2])", "list(log[:3])"])
        head = f"{item}, k{item} in enumerate({iterable})" if self.random.random() < 0.3 else f"{item} in {iterable}"
        self.write(place, f"for {head}:")
        self.write(place.inside(), f"log.append({item})")
        self.body(place.inside(loop=True))

    def attempt(self, place: Place) -> None:
        self.write(place, "try:")
        self.body(place.inside())
        for clause in self.random.choice(
            [["ValueError as e"], ["KeyError", "(ValueError, RuntimeError) as e"], ["LookupError as e"]]
        ):
            self.write(place, f"except {clause}:")
            if clause.endswith(" as e") and self.random.random() < 0.5:
                self.write(place.inside(), "log.append(len(e.args))")
            self.body(place.inside(handler=True))
        if self.random.random() < 0.3:
            self.write(place, "else:")
            self.body(place.inside())
        if self.random.random() < 0.4:
            self.ending(place)

    def cleanup(self, place: Place) -> None:
        self.write(place, "try:")
        self.body(place.inside())
        self.ending(place)

    def ending(self, place: Place) -> None:
        self.write(place, "finally:")
        self.body(place.inside(loop=False, final=True, handler=False))
