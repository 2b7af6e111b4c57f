"""Random `match` statements: a subject of a random shape, cases of all kinds of patterns over what it may hold."""

from __future__ import annotations

from tests.differential.programs import Scope
from tests.differential.random_suspensions import Suspensions

Captured = dict[str, str]
_CLOSED = frozenset({"maybe", "bool", "color", "union"})
_OTHERS = {
    "int": ["str", "list", "pair", "dict"],
    "str": ["int", "list", "pair", "dict"],
    "list": ["int", "str", "pair", "dict"],
    "dict": ["int", "str", "pair", "list"],
}


class Matches(Suspensions):
    """Writes `match` statements. What a case binds is used only in its body; afterwards, only what every way has bound."""

    def body(self, scope: Scope, result: str) -> None:
        """Statements; the last layer writes them."""
        raise NotImplementedError

    def match_(self, scope: Scope, result: str) -> None:
        subject, kind = self.subject(scope)
        before, ends_open = dict(scope.variables), kind not in _CLOSED and self.random.random() < 0.3
        if ends_open and kind == "int":
            subject = f"({subject} + 0)"  # a captured literal has a closed type
        ends: list[Scope] = []
        with self.block(f"match {subject}:"):
            ends += [self.case(scope, kind, result) for _ in range(self.random.randint(1, 4))]
            ends.append(scope if ends_open else self.last(scope, kind, result))
        if all(end.ended for end in ends):
            scope.ended = True
            return
        common = set.intersection(*(set(end.variables) for end in ends if not end.ended))
        scope.variables = {name: kind for name, kind in before.items() if name in common}

    def subject(self, scope: Scope) -> tuple[str, str]:
        """Something to match, and what kind of value it is."""
        v = self.value
        shapes = [
            (v(scope, "int", 2), "int"),
            (v(scope, "str", 1), "str"),
            (v(scope, "bool", 1), "bool"),
            (v(scope, "list", 2), "list"),
            (f"({v(scope, 'int', 1)}, {v(scope, 'list', 1)})", "both"),
            (f"[{v(scope, 'int', 1)}, {v(scope, 'str', 1)}, {v(scope, 'int', 1)}]", "mixed"),
            (f"Color({self.random.choice(['red', 'blue'])!r})", "color"),
        ]
        if self.on("model"):
            shapes.append((v(scope, "item", 1), "item"))
        if self.on("dataclass"):
            shapes.append((v(scope, "pair", 1), "pair"))
        if self.on("dict"):
            shapes.append((v(scope, "dict", 1), "dict"))
        if self.on("await_in_expression") and self.pure_depth == 0:
            shapes.append((f"await maybe({v(scope, 'int', 1)})", "maybe"))
        if {"model", "dataclass"} <= self.features and self.pick(scope, "bool") is not None:
            test = self.pick(scope, "bool")
            shapes.append((f"({self.leaf(scope, 'item')} if {test} else {self.leaf(scope, 'pair')})", "union"))
        return self.random.choice(shapes)

    def case(self, scope: Scope, kind: str, result: str) -> Scope:
        pattern, captured = self.pattern(scope, kind)
        inner = scope.child()
        inner.variables.update(captured)
        guard = f" if {self.inside(lambda: self.guard(inner))}" if self.random.random() < 0.35 else ""
        with self.block(f"case {pattern}{guard}:"):
            self.body(inner, result)
        return inner

    def guard(self, scope: Scope) -> str:
        test = self.value(scope, "bool", 1)
        names = [name for name, kind in scope.variables.items() if kind == "int" and name not in scope.frozen]
        if names and self.on("walrus", 0.3):
            name = self.random.choice(names)
            return f"({name} := {name} + 1) % 2 == 0 and {test}"
        return test

    def last(self, scope: Scope, kind: str, result: str) -> Scope:
        """A case that takes all that is left."""
        inner, name = scope.child(), self.name("m")
        known = {"int": "int", "str": "str", "list": "list", "dict": "dict", "item": "item", "pair": "pair"}.get(kind)
        bind = known is not None and self.random.random() < 0.5
        if bind:
            inner.variables[name] = str(known)
        with self.block(f"case {name if bind else '_'}:"):
            self.body(inner, result)
        return inner

    # --- patterns

    def pattern(self, scope: Scope, kind: str) -> tuple[str, Captured]:
        """A pattern that may match a value of the kind, or sometimes one of another kind, with what it binds."""
        if kind in _OTHERS and self.random.random() < 0.1:
            kind = self.random.choice(_OTHERS[kind])
        captured: Captured = {}
        maker = {
            "int": self.of_int, "str": self.of_str, "bool": self.of_bool, "list": self.of_list, "both": self.of_both,
            "mixed": self.of_mixed, "color": self.of_color, "item": self.of_item, "pair": self.of_pair, "dict": self.of_dict,
            "maybe": self.of_maybe, "union": self.of_union,
        }[kind]  # fmt: skip
        text = maker(captured)
        if self.random.random() < 0.2 and kind in ("int", "list", "item", "pair", "dict") and not text.isidentifier():
            name = self.name("m")
            text = f"({text}) as {name}" if "|" in text else f"{text} as {name}"
            captured[name] = kind if not text.startswith("bool") else "int"
        return text, captured

    def capture(self, captured: Captured, kind: str) -> str:
        name = self.name("m")
        captured[name] = kind
        return name

    def of_int(self, captured: Captured) -> str:
        numbers = [str(self.random.randint(-1, 4)) for _ in range(self.random.randint(2, 3))]
        return self.random.choice(
            [
                numbers[0],
                " | ".join(numbers),
                f"int({self.capture({}, 'int')})",
                "int()",
                "int(0 | 1)",
                "bool()",
                "Size.ONE",
                "Size.TWO | 3",
            ]
        )

    def part(self, captured: Captured) -> str:
        """A pattern for an int inside another one; what cannot be inside is `|` without parentheses."""
        return self.random.choice(
            [lambda: self.capture(captured, "int"), lambda: "_", lambda: f"({self.of_int(captured)})", lambda: "0",
             lambda: f"(1 | 2 | 7) as {self.capture(captured, 'int')}", lambda: f"int({self.capture(captured, 'int')})"]
        )()  # fmt: skip

    def of_str(self, _: Captured) -> str:
        return self.random.choice(['"a"', '"" | "b"', "str()", '"xyz" | "é"', "[_]", "[*_]", "None"])

    def of_bool(self, _: Captured) -> str:
        return self.random.choice(["True", "False", "1", "0 | None", "bool()"])

    def of_list(self, captured: Captured) -> str:
        star = self.random.choice([lambda: "*_", lambda: f"*{self.capture(captured, 'list')}"])
        return self.random.choice(
            [lambda: "[]", lambda: f"[{self.part(captured)}]", lambda: f"[{self.part(captured)}, {star()}]",
             lambda: f"[{self.part(captured)}, {self.part(captured)}]", lambda: f"[{star()}, {self.part(captured)}]",
             lambda: f"[{self.part(captured)}, {star()}, {self.part(captured)}]", lambda: f"({self.part(captured)}, _, _)",
             lambda: "list()", lambda: "tuple()"]
        )()  # fmt: skip

    def of_both(self, captured: Captured) -> str:
        shape = self.random.choice(["({0}, {1})", "[{0}, {1}]", "{0}, {1}"])
        return shape.format(self.part(captured), self.random.choice([lambda: "_", lambda: self.of_list(captured)])())

    def of_mixed(self, captured: Captured) -> str:
        text = self.random.choice(['"a"', "_", "str()"])
        return self.random.choice(
            [lambda: f"[_, {text}, {self.random.randint(0, 9)}]", lambda: f"[int(), {text}, *_]",
             lambda: f"[*_, int({self.capture(captured, 'int')})]"]
        )()  # fmt: skip

    def of_color(self, _: Captured) -> str:
        return self.random.choice(["Color.RED", "Color.BLUE", "Color()", 'Color(value="red")', "None | Color.RED"])

    def of_item(self, captured: Captured) -> str:
        tags = self.random.choice(["", ', tags=["t", *_]', ", tags=[_]"])
        return self.random.choice([lambda: f"Item(n={self.part(captured)}{tags})", lambda: "Item()"])()

    def of_pair(self, captured: Captured) -> str:
        return self.random.choice(
            [lambda: f"Pair({self.part(captured)}, {self.of_list(captured)})", lambda: f"Pair(right={self.of_list(captured)})",
             lambda: f"Pair({self.part(captured)})", lambda: "Pair()"]
        )()  # fmt: skip

    def of_dict(self, captured: Captured) -> str:
        rest = self.random.choice([lambda: "", lambda: f", **{self.capture(captured, 'dict')}"])
        return self.random.choice(
            [lambda: f'{{"a": {self.part(captured)}{rest()}}}', lambda: f'{{"b": {self.part(captured)}, "a": 1{rest()}}}',
             lambda: "{}", lambda: f"{{**{self.capture(captured, 'dict')}}}"]
        )()  # fmt: skip

    def of_maybe(self, captured: Captured) -> str:
        return self.random.choice(
            ["None", f"int({self.random.choice(['1 | 4', '_'])})", f"int({self.capture({}, 'int')})", "1 | None"]
        )

    def of_union(self, captured: Captured) -> str:
        return self.random.choice([self.of_item, self.of_pair])(captured)
