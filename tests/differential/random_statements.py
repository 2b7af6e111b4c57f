"""Random statements of the shapes that people write less often: loops with `else`, targets that are no names, kept exceptions,
comprehensions with awaits, nested `try`s with causes and notes, groups inside expressions."""

from __future__ import annotations

from abc import abstractmethod

from tests.differential.kinds import KINDS
from tests.differential.programs import Scope
from tests.differential.random_suspensions import Suspensions

FAILING = ("very(5)", "only_even(1)", "strict(1)", "strict(2)")


class MoreStatements(Suspensions):
    """Writes them with the bodies that the generator gives."""

    @abstractmethod
    def body(self, scope: Scope, result: str) -> None:
        """Write a body of a few statements."""

    @abstractmethod
    def annotation(self, kind: str) -> str:
        """A type as it is written."""

    @abstractmethod
    def mutate(self, scope: Scope, result: str) -> None:
        """Change a value in place."""

    # --- leaving

    def ending(self, scope: Scope, result: str) -> None:
        """Sometimes leave the body for good."""
        if scope.ended or not self.on("ends", 0.2):
            return
        ways = ["raise"] if "raise" in self.features else []
        if not scope.in_finally:
            ways.append("return")
        if scope.in_loop:
            ways += ["break", "continue"]
        if not ways:
            return
        way = self.random.choice(ways)
        if way == "return":
            way = f"return {self.value(scope, result, 2)}"
        elif way == "raise":
            way = self.raising(scope)
        self.emit(way)
        scope.ended = True

    def raising(self, scope: Scope) -> str:
        """A `raise` of any form."""
        if self.on("error", 0.3):
            return f"raise {self.value(scope, 'error', 1)}"
        made = self.random.choice(
            [
                "Odd({})",
                "VeryOdd({})",
                "ValueError({})",
                "NonRetriable(str({}))",
                "KeyError({})",
                "Odd({}, 2)",
                "TimeoutError({})",
            ]
        )
        cause = self.random.choice(["", "", f" from ValueError({self.value(scope, 'str', 0)})", " from None"])
        return self.random.choice(
            [f"raise {made.format(self.value(scope, 'int', 1))}{cause}"] * 5 + ["raise Odd", "raise ValueError"]
        )

    # --- loops

    def loop_else(self, scope: Scope, result: str) -> None:
        """A loop that may break, with an `else`."""
        inner = scope.child(in_loop=True)
        if self.random.random() < 0.5:
            counter = self.name("i")
            self.emit(f"{counter} = 0")
            scope.variables[counter] = inner.variables[counter] = "int"
            inner.frozen = scope.frozen | {counter}
            header, first = f"while {counter} < {self.random.randint(1, 3)}:", f"{counter} += 1"
        else:
            name, other = self.name("x"), self.name("k")
            header, bound = self.random.choice(
                [
                    (f"for {name} in range({self.random.randint(0, 3)}):", {name: "int"}),
                    (f"for {name} in sorted({self.value(scope, 'list', 0)})[:3]:", {name: "int"}),
                    (f"for {name} in reversed(LIMITS):", {name: "int"}),
                    (f"for {name}, {other} in [(1, 'a'), (2, {self.value(scope, 'str', 0)})]:", {name: "int", other: "str"}),
                    (f"for {other} in {{'a': 1, 'b': {self.value(scope, 'int', 0)}}}:", {other: "str"}),
                    (f"for {name} in {{'a': 1, 'b': {self.value(scope, 'int', 0)}}}.values():", {name: "int"}),
                    (f"for {name} in range(3, 0, -2):", {name: "int"}),
                    (f"for {name}, ({other}, _) in enumerate([('a', 1), ('b', 2)], 4):", {name: "int", other: "str"}),
                ]
            )
            inner.variables.update(bound)
            first = ""
        with self.block(header):
            if first:
                self.emit(first)
            self.body(inner, result)
            if not inner.ended:
                with self.block(f"if {self.value(inner, 'bool', 1)}:"):
                    self.emit(self.random.choice(["break", "break", "continue"]))
        with self.block("else:"):
            self.body(scope.child(), result)

    # --- targets

    def targets(self, scope: Scope, result: str) -> None:
        """Assignments, augmented ones too, to attributes and elements; swaps; several targets."""
        a, b = self.name(), self.name()
        value, more = self.value(scope, "int", 1), self.value(scope, "int", 1)
        shape = self.random.randrange(5)
        if shape == 0:
            self.emit(f"{a} = {b} = [{value}, {more}]")
            self.emit(f"{a}[0], {a}[-1] = {b}[-1], {self.value(scope, 'int', 2)}")
            scope.variables.update({a: "list", b: "list"})
        elif shape == 1:
            self.emit(f'{a}: dict[str, int] = {{"a": {value}}}')
            self.emit(f'{a}["a"] {self.random.choice(["+=", "-=", "*=", "|="])} {self.value(scope, "int", 2)}')
            scope.variables[a] = "dict"
        elif shape == 2:
            self.emit(f"{a} = Pair({value}, [{more}])")
            self.emit(f"{a}.left, {a}.right[0] = {a}.right[0], {self.value(scope, 'int', 2)}")
            self.emit(f"{a}.right[len({a}.right) - 1] += {self.value(scope, 'int', 2)}")
            self.emit(f"{a}.left {self.random.choice(['+=', '-=', '^='])} {self.value(scope, 'int', 2)}")
            scope.variables[a] = "pair"
        elif shape == 3:
            self.emit(f"{a}, {b} = {value}, {more}")
            self.emit(f"{a}, {b} = {b}, {a}")
            scope.variables.update({a: "int", b: "int"})
        else:
            self.emit(f"({a}, *_), [{b}] = [{value}, {more}], [{self.value(scope, 'str', 1)}]")
            scope.variables.update({a: "int", b: "str"})

    def annotation_only(self, scope: Scope, _: str) -> None:
        """A declared variable that both branches fill."""
        kind = self.random.choice(["int", *(kind for kind in KINDS if self.kind_on(kind))])
        name = self.name()
        self.emit(f"{name}: {KINDS[kind].annotation if kind in KINDS else 'int'}")
        with self.block(f"if {self.value(scope, 'bool', 1)}:"):
            self.emit(f"{name} = {self.value(scope, kind, 2)}")
        with self.block("else:"):
            self.emit(f"{name} = {self.value(scope, kind, 1)}")
        scope.variables[name] = kind

    # --- exceptions

    def kept_errors(self, scope: Scope, result: str) -> None:
        """An exception that outlives its handler, maybe with a note, and is looked at or raised later."""
        kept = self.name("err")
        self.emit(f"{kept}: Exception = Odd(0)")
        with self.block("try:"):
            self.emit(self.random.choice([f"await {self.random.choice(FAILING)}", f"{self.name()} = 1 // (await add(0, 0))"]))
        with self.block("except Exception as caught:"):
            if self.random.random() < 0.4:
                self.emit(f"caught.add_note({self.value(scope, 'str', 1)})")
            self.emit(f"{kept} = caught")
        scope.variables[kept] = "error"
        inner = scope.child()
        self.body(inner, result)
        if inner.ended:
            scope.ended = True
        elif self.random.random() < 0.3:
            with self.block(f"if {self.value(scope, 'bool', 1)}:"):
                self.emit(f"raise {kept}" if self.random.random() < 0.5 else f"raise VeryOdd(1) from {kept}")

    def nested_try(self, scope: Scope, result: str) -> None:
        """A `try` in a handler or a `finally`, re-raising, raising anew with a cause, catching everything."""
        ends = []
        name = self.name("e")
        with self.block("try:"):
            with self.block("try:"):
                inner = scope.child()
                self.body(inner, result)
                if not inner.ended:
                    self.emit(
                        self.random.choice([f"await {self.random.choice(FAILING)}", f"await add({self.value(scope, 'int', 1)})"])
                    )
            shape = self.random.randrange(4)
            if shape == 0:
                with self.block("except VeryOdd:"):
                    with self.block("try:"):
                        self.emit(f"await {self.random.choice(FAILING)}")
                    with self.block("except Odd:"):
                        self.emit(f"await record({self.value(scope, 'str', 1)})")
                    self.emit("raise")
            elif shape == 1:
                with self.block(f"except (Odd, NonRetriable) as {name}:"):
                    self.emit(f"raise ValueError(str({name})) from {self.random.choice([name, 'None'])}")
            elif shape == 2:
                with self.block("except:" if self.random.random() < 0.5 else "except BaseException:"):
                    self.emit(f"await record({self.value(scope, 'str', 1)})")
                    self.emit("raise")
            else:
                with self.block("finally:"):
                    with self.block("try:"):
                        last = scope.child(in_finally=True, in_loop=False)
                        self.body(last, result)
                        if not last.ended:
                            self.emit(f"await {self.random.choice(FAILING)}")
                    with self.block("except Exception:"):
                        self.emit(f"await record({self.value(scope, 'str', 1)})")
            ends.append(inner)
        with self.block(f"except Exception as {name}:"):
            handler = scope.child()
            if self.on("error"):
                handler.variables[name] = "error"
            self.emit(f"await describe({name})")
            self.body(handler, result)
            handler.variables.pop(name, None)
            ends.append(handler)
        self.join(scope, ends)

    @abstractmethod
    def join(self, scope: Scope, branches: list[Scope]) -> None:
        """What is bound after branches."""

    # --- suspensions of other shapes

    def own_events(self, scope: Scope, _: str) -> None:
        """An event that the run sends and then takes, without a timeout."""
        name, got = self.name("p"), self.name("g")
        key = self.random.randint(30, 40)
        self.emit(f"await send(Ping(n={key}, text={self.value(scope, 'str', 1)}))")
        self.emit(f"{name} = await wait_for(Ping, where=lambda p: p.n == {key}, timeout=None)")
        self.emit(f"{got} = {name}.text")
        scope.variables[got] = "str"

    def sleep_until(self, _: Scope, __: str) -> None:
        shape = self.random.choice(["timedelta(minutes=10)", "PAUSE", "timedelta(hours=-1)"])
        self.emit(f"await sleep_until(now() + {shape})")

    def group_expression(self, scope: Scope, _: str) -> None:
        """A group as an operand, next to others."""
        got = self.name()
        self.in_group = True
        one, other = self.branch(scope)[0], self.branch(scope)[0]
        items = self.inside(lambda: self.value(scope, "list", 1))
        self.in_group = False
        first, leaf = self.value(scope, "int", 1), self.leaf(scope, "int")
        self.emit(
            self.random.choice(
                [
                    f"{got} = {first} + len(await fan_out(add(c, {leaf}) for c in {items}))",
                    f"{got} = sum(await fan_out((add(c) for c in {items}), limit=2)) - {first}",
                    f"{got} = len(str((await parallel({one}, {other}))[1]))",
                    f"{got} = {first} if len(await parallel({one}, {other})) > {first} else 2",
                    f"{got} = (await add({first})) + (await parallel(add(1), {other}))[0] + {first}",
                ]
            )
        )
        scope.variables[got] = "int"

    def narrowing(self, scope: Scope, result: str) -> None:
        """Conditions that say more about a variable, with `:=` and without."""
        name = self.name("m")
        value = self.value(scope, "int", 1)
        shape = self.random.randrange(4)
        inner = scope.child()
        if shape == 0:
            header = f"if ({name} := await maybe({value})) is not None and {name} > 0:"
        elif shape == 1:
            self.emit(f"{name}s: list[int | None] = [{value}, None, {self.value(scope, 'int', 1)}]")
            header = f"for {name} in [c for c in {name}s if c is not None]:"
            inner.in_loop = True
        elif shape == 2:
            self.emit(f"{name}s: int | str = {self.random.choice([value, self.value(scope, 'str', 1)])}")
            self.emit(f"{name} = {name}s if isinstance({name}s, int) else len({name}s)")
            header = f"if {name}:"
        else:
            self.emit(f"{name} = await maybe({value})")
            with self.block(f"if {name} is None:"):
                self.emit(f"{name} = {self.value(scope, 'int', 1)}")
            header = f"if not {name} or {self.value(scope, 'bool', 1)}:"
        inner.variables[name] = "int"
        with self.block(header):
            self.body(inner, result)

    def comprehension(self, scope: Scope, _: str) -> None:
        """Comprehensions of every kind, with awaits in the element, the key and the condition."""
        name = self.name()
        awaits = "await_comprehension" in self.features
        xs = self.iterable(scope, 1)
        ys = self.inside(lambda: self.value(scope, "list", 0))
        leaf = self.leaf(scope, "int")
        shapes = [
            ("list", f"[c * {leaf} for c in {xs} for d in {ys} if c > d][:7]"),
            ("list", f"[d for c in [{xs}, {ys}] for d in c]"),
            ("dict", f"{{str(c): d for c, d in zip({xs}, {ys})}}"),
            ("set", f"{{c % 7 for c in {xs}}}"),
            ("list", f"[c if c % 2 else {leaf} for c in {xs}]"),
        ]
        if awaits:
            shapes += [
                ("list", f"[await add(c, d) for c in {xs}[:2] for d in {ys}[:2]]"),
                ("list", f"[c for c in {xs} if await check(c)]"),
                ("dict", f"{{await label(c): await add(c, {leaf}) for c in {xs}}}"),
                ("set", f"{{await add(c) for c in {xs} if c != {leaf}}}"),
                ("matrix", f"[[await add(d) for d in range(c % 3)] for c in {xs}]"),
            ]
        kind, text = self.random.choice(shapes)
        annotation = KINDS[kind].annotation if kind in KINDS else "list[int]"
        self.emit(f"{name}: {annotation} = {text}")
        scope.variables[name] = kind
