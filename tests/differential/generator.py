"""Random typed workflow programs over the accepted language, for the comparison with CPython.

A program is the text of a module: fixed event, model, exception and step declarations, a few random subflows and one random
workflow `flow(n: int) -> str`. The steps note each of their calls in `CALLS`, so that a run can be compared by its result or
exception and by the multiset of step calls. Every program ends in bounded time: loops count down.

Each program switches a random part of the features off (swarm testing, Groce et al., ISSTA 2012): bugs were interactions of two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.differential.kinds import KINDS
from tests.differential.prelude import declarations
from tests.differential.programs import Program, Scope
from tests.differential.random_matches import Matches
from tests.differential.random_pures import Pures
from tests.differential.random_runs import Runs
from tests.differential.random_scopes import Scopes
from tests.differential.random_snippets import Snippets

DEEPEST = 9
"""Indentation from which on nothing compound is nested: Python takes 20 blocks, a try counts as several."""


class Generator(Runs, Scopes, Matches, Pures, Snippets):
    """Writes one program from one seed."""

    # --- the program

    def program(self) -> Program:
        for _ in range(self.random.randint(1, 3) if "pure" in self.features else 0):
            self.pure_function()
        if "subflow" in self.features:
            for _ in range(self.random.randint(1, 2)):
                self.subflow()
        if self.features & {"child", "start"}:
            self.workflows()
        triggered = "trigger" in self.features and self.random.random() < 0.5
        if triggered:
            self.function(self.decorator("on=Ping"), "flow", "event: Ping", "str", Scope({"n": "int"}), "n = event.n")
        else:
            self.function(self.decorator(), "flow", "n: int", "str", Scope({"n": "int"}))
        text = "\n".join(self.lines) + "\n"
        functions, text = text, declarations(text, "Ping" if triggered else "dict[str, int]") + text
        events = [(self.random.randint(0, 4), self.random.choice("abc")) for _ in range(self.random.randint(0, 4))]
        program = Program(self.seed, text, self.random.randint(-3, 9), events, self.features, functions=functions)
        return replace(program, **self.surroundings(triggered))

    def surroundings(self, triggered: bool) -> dict[str, Any]:
        """What happens around the run: late events, and a cancel; at odd moments, so that nothing else is due then."""
        found: dict[str, Any] = {}
        if triggered:
            found["trigger"] = (self.random.randint(0, 9), "t")
        if "late" in self.features:
            hours = sorted(self.random.sample(range(1, 200), self.random.randint(1, 6)))
            found["late"] = [(h * 1000 + 3, self.random.choice([0, 1, 2, 3, 22, 23]), self.random.choice("abc")) for h in hours]
        if self.on("cancel_step", 0.5):
            found["cancel_during"] = self.random.random()
        elif self.on("cancel_time", 0.5):
            found["cancel_after"] = self.random.choice([7, 1207, 3607, 5407, 9007, 90007])
        return found

    def decorator(self, *options: str) -> str:
        given = list(options)
        if self.on("on_failure", 0.7):
            given.append("on_failure=" + self.random.choice(["alert", "alarmed", "broken_alert"]))
        if self.on("on_cancel", 0.7):
            given.append("on_cancel=" + self.random.choice(["cleaned", "cleared"]))
        if self.on("workflow_retries", 0.7):
            given.append(f"retries={self.random.randint(0, 2)}")
        return f"@workflow({', '.join(given)})" if given else "@workflow"

    def subflow(self) -> None:
        name = self.name("sub")
        saved, self.budget = self.budget, self.random.randint(2, 6)
        parameters, scope, result = "n: int, xs: list[int]", Scope({"n": "int", "xs": "list"}), "int"
        calls = [f"{name}(<int>, <list>)", f"{name}(xs=<list>, n=<int>)"]
        if self.on("subflow_values", 0.6):
            taken = self.random.sample(self.kinds(), 2)
            result = self.random.choice([*self.kinds(), "int"])
            names = [self.name("q") for _ in taken]
            parameters = ", ".join(f"{n}: {self.annotation(kind)}" for n, kind in zip(names, taken, strict=True))
            scope = Scope(dict(zip(names, taken, strict=True)))
            calls = [f"{name}(<{taken[0]}>, <{taken[1]}>)", f"{name}({names[1]}=<{taken[1]}>, {names[0]}=<{taken[0]}>)"]
        elif self.on("subflow_shapes", 0.6):
            parameters += ', m: int = BASE, *, k: int, tag: str = "t"'
            scope.variables.update({"m": "int", "k": "int", "tag": "str"})
            calls = [
                f"{name}(<int>, <list>, k=<int>)",
                f"{name}(k=<int>, n=<int>, xs=<list>)",
                f"{name}(<int>, <list>, <int>, tag=<str>, k=<int>)",
                f"{name}(<int>, m=<int>, k=<int>, xs=<list>, tag=<str>)",
            ]
        self.function("@subflow", name, parameters, result, scope)
        self.budget = saved
        self.subflows[result] = [*self.subflows.get(result, []), *calls]

    def annotation(self, kind: str) -> str:
        return {"list": "list[int]"}.get(kind, KINDS[kind].annotation if kind in KINDS else kind)

    def function(self, decorator: str, name: str, parameters: str, result: str, scope: Scope, first: str = "") -> None:
        self.emit(decorator)
        with self.block(f"async def {name}({parameters}) -> {self.annotation(result)}:"):
            if self.random.random() < 0.2:
                self.emit('"""What it does."""')
            if first:
                self.emit(first)
            if self.on("frames", 0.5):
                self.framed(scope, result)
            if not scope.ended:
                self.body(scope, result)
            if not scope.ended:
                self.emit(f"return {self.summary(scope) if name == 'flow' else self.value(scope, result, 1)}")
        self.emit("")
        self.emit("")

    def summary(self, scope: Scope) -> str:
        names = list(scope.variables)
        names = self.random.sample(names, min(len(names), 7))
        shown = {name: KINDS[kind].shown if (kind := scope.variables[name]) in KINDS else "<>!r" for name in names}
        parts = "".join(f" {name}={{{text.replace('<>', name)}}}" for name, text in shown.items())
        return f'f"end{parts}"'

    def body(self, scope: Scope, result: str) -> None:
        before = len(self.lines)
        for _ in range(self.random.randint(1, 5)):
            if self.budget <= 0 or scope.ended:
                break
            self.budget -= 1
            self.statement(scope, result)
        if len(self.lines) == before and self.in_pure:
            self.emit("pass")
        elif len(self.lines) == before:
            self.emit(f"await record({self.value(scope, 'str', 0)})" if self.random.random() < 0.9 else "pass")

    def statement(self, scope: Scope, result: str) -> None:
        if self.in_pure:
            write = self.pure_statement if self.indent < DEEPEST else self.assign
            write(scope, result)
            return
        choices: list[tuple[Callable[[Scope, str], None], int]] = [(self.assign, 6), (self.bare_await, 2)]
        if self.indent < DEEPEST:
            choices.append((self.if_, 3))
        for feature, make, weight in (
            ("while", self.while_, 2), ("for", self.for_, 3), ("try", self.try_, 8), ("raise", self.raise_, 1),
            ("return", self.return_, 1), ("loop_jump", self.jump, 2), ("parallel", self.parallel, 2), ("sleep", self.sleep, 1),
            ("wait", self.wait, 2), ("send", self.send, 1), ("alias", self.alias, 2), ("mutate", self.mutate, 3),
            ("augment", self.augment, 2), ("unpack", self.unpack, 2), ("assert", self.assert_, 1), ("delete", self.delete, 1),
            ("chain", self.chain, 1), ("recorded", self.recorded, 1), ("optional", self.optional, 2),
            ("parallel_waits", self.parallel_waits, 1), ("fan_out", self.fan_out, 3), ("loop_else", self.loop_else, 3),
            ("targets", self.targets, 4), ("kept_errors", self.kept_errors, 2), ("own_events", self.own_events, 1),
            ("group_expressions", self.group_expression, 2), ("sleep_until", self.sleep_until, 1),
            ("narrowing", self.narrowing, 2),
            ("comprehensions", self.comprehension, 3), ("nested_try", self.nested_try, 4),
            ("annotations", self.annotation_only, 1), ("awaits", self.awaits, 6), ("while", self.polled, 2),
            ("match", self.match_, 4), ("settle", self.settle, 2), ("race", self.race, 2), ("child", self.child, 3),
            ("start", self.start, 2), ("snippets", self.snippet, 5),
        ):  # fmt: skip
            if feature in self.features and self.indent < DEEPEST:
                choices.append((make, weight))
        if self.indent < DEEPEST:
            choices += self.scope_statements()
        makers, weights = zip(*choices, strict=True)
        self.random.choices(makers, weights)[0](scope, result)

    # --- statements

    def assign(self, scope: Scope, _: str) -> None:
        kind = self.random.choice(self.kinds())
        existing = [n for n, k in scope.variables.items() if k == kind and n not in scope.frozen]
        fresh = not existing or self.random.random() < 0.6
        name = self.name() if fresh else self.random.choice(existing)
        shown = kind == "int" and "effects" in self.features and self.random.random() < 0.3 and not self.in_pure
        value = self.effect(scope, 1) if shown else self.value(scope, kind, 2)
        annotated = kind == "list" or (kind in KINDS and KINDS[kind].annotated) or self.random.random() < 0.1
        self.emit(f"{name}: {self.annotation(kind)} = {value}" if annotated and fresh else f"{name} = {value}")
        scope.variables[name] = kind

    def kinds(self) -> list[str]:
        return ["int", "int", "int", "str", "bool", "list", "list", *(kind for kind in KINDS if self.kind_on(kind))]

    def bare_await(self, scope: Scope, _: str) -> None:
        self.emit(f"await {self.call(scope, self.random.choice(['int', 'none', 'list']), 1)}")

    def if_(self, scope: Scope, result: str) -> None:
        branches = []
        with self.block(f"if {self.value(scope, 'bool', 2)}:"):
            inner = scope.child()
            self.body(inner, result)
            self.ending(inner, result)
            branches.append(inner)
        if self.random.random() < 0.3:
            with self.block(f"elif {self.value(scope, 'bool', 1)}:"):
                inner = scope.child()
                self.body(inner, result)
                branches.append(inner)
        if self.random.random() < 0.7:
            with self.block("else:"):
                inner = scope.child()
                self.body(inner, result)
                self.ending(inner, result)
                branches.append(inner)
        else:
            branches.append(scope)
        self.join(scope, branches)

    def join(self, scope: Scope, branches: list[Scope]) -> None:
        branches = [branch for branch in branches if not branch.ended]
        if not branches:
            scope.ended = True
            return
        common = set.intersection(*(set(b.variables) for b in branches))
        scope.variables = {n: k for n, k in branches[0].variables.items() if n in common}

    def while_(self, scope: Scope, result: str) -> None:
        counter = self.name("i")
        self.emit(f"{counter} = {self.random.randint(0, 2)}")
        scope.variables[counter] = "int"
        test = f"{counter} < {self.random.randint(1, 4)}"
        if self.on("walrus", 0.3) and self.on("await_in_expression"):
            test = f"({counter} := await add({counter})) < {self.random.randint(2, 4)}"
        elif self.on("await_in_expression", 0.3):
            test = f"{test} and {self.value(scope, 'bool', 1)}"
        inner = scope.child(in_loop=True, frozen=scope.frozen | {counter})
        with self.block(f"while {test}:"):
            self.emit(f"{counter} += 1")
            self.body(inner, result)

    def for_(self, scope: Scope, result: str) -> None:
        name = self.name("x")
        inner = scope.child(in_loop=True)
        kind = self.random.choice(
            ["list", "range", "enumerate", "items", "zip", "str", "names", "await", "await", "growing", "growing"]
        )
        if kind == "await" and not self.on("await_in_expression"):
            kind = "range"
        other = self.name("k")
        grown = f"list({self.value(scope, 'list', 0)})[:3]"
        header, bound = {
            "list": (f"for {name} in {self.copied(scope)}:", {name: "int"}),
            "range": (f"for {name} in range({self.random.randint(0, 3)}):", {name: "int"}),
            "enumerate": (f"for {other}, {name} in enumerate({self.copied(scope)}):", {name: "int", other: "int"}),
            "items": (
                f"for {other}, {name} in {{'a': {self.value(scope, 'int', 0)}, 'b': 2}}.items():",
                {name: "int", other: "str"},
            ),
            "zip": (f"for {name}, {other} in zip({self.copied(scope)}, {self.copied(scope)}):", {name: "int", other: "int"}),
            "str": (f"for {name} in {self.value(scope, 'str', 0)}:", {name: "str"}),
            "names": (f"for {name} in NAMES:", {name: "str"}),
            "growing": (f"for {name} in {name}s:", {name: "int"}),
            "await": (f"for {name} in await spread({self.value(scope, 'int', 0)}):", {name: "int"}),
        }[kind]
        inner.variables.update(bound)
        if kind == "growing":
            self.emit(f"{other}: list[int] = {grown}")
            self.emit(f"{name}s = {other}")
        with self.block(header):
            if kind == "growing":
                with self.block(f"if len({other}) < 5:"):
                    self.emit(f"{other}.append({name} + {self.value(inner, 'int', 0)})")
                self.emit(f"await record(str({name}))")
            self.body(inner, result)

    def copied(self, scope: Scope) -> str:
        return f"list({self.value(scope, 'list', 0)})[:4]"

    def try_(self, scope: Scope, result: str) -> None:
        ends = []
        with self.block("try:"):
            body = scope.child()
            self.body(body, result)
            if scope.in_loop and not body.ended and self.on("loop_jump", 0.4):
                self.jump(body, result)
            if not body.ended and self.random.random() < 0.4:
                self.emit(f"await {self.random.choice(['very(5)', 'only_even(1)', 'strict(1)', 'strict(2)'])}")
        handlers = self.random.randint(0 if "finally" in self.features else 1, 2)
        for clause in self.random.sample(["VeryOdd", "Odd", "NonRetriable", "(ValueError, Odd)", "Exception"], handlers):
            name = self.name("e")
            inner = scope.child()
            with self.block(f"except {clause} as {name}:"):
                if self.random.random() < 0.5:
                    self.emit(f"await record(str({name}))")
                self.body(inner, result)
                if not inner.ended and self.on("raise", 0.25):
                    self.emit("raise")
                    inner.ended = True
                self.ending(inner, result)
            ends.append(inner)
        if self.cancels and self.random.random() < 0.3:
            with self.block("except Cancelled:"):
                self.emit(f"await record({self.value(scope, 'str', 0)})")
                self.emit("raise")
            handlers += 1
        if handlers and not body.ended and self.random.random() < 0.6:
            with self.block("else:"):
                self.body(body, result)
                if not body.ended and self.random.random() < 0.4:
                    self.emit(f"await {self.random.choice(['very(5)', 'only_even(3)', 'strict(4)'])}")
        ends.append(body)
        if not handlers or self.on("finally", 0.6):
            with self.block("finally:"):
                inner = scope.child(in_finally=True, in_loop=False)
                self.body(inner, result)
            if inner.ended:
                ends = [inner]
        self.join(scope, ends)

    def raise_(self, scope: Scope, _: str) -> None:
        with self.block(f"if {self.value(scope, 'bool', 1)}:"):
            self.emit(self.raising(scope))

    def return_(self, scope: Scope, result: str) -> None:
        if scope.in_finally:
            return self.assign(scope, result)
        with self.block(f"if {self.value(scope, 'bool', 1)}:"):
            self.emit(f"return {self.value(scope, result, 2)}")
        return None

    def jump(self, scope: Scope, result: str) -> None:
        if not scope.in_loop:
            return self.assign(scope, result)
        with self.block(f"if {self.value(scope, 'bool', 1)}:"):
            self.emit(self.random.choice(["break", "continue"]))
        return None

    def alias(self, scope: Scope, result: str) -> None:
        """Another name for a value, in a variable or inside a container."""
        kind = self.random.choice(["list", *(kind for kind in KINDS if KINDS[kind].changes)])
        source = self.pick(scope, kind)
        if source is None:
            return self.assign(scope, result)
        name = self.name("a")
        if kind == "list" and self.on("matrix", 0.4):
            self.emit(f"{name}: list[list[int]] = [{source}, {source}]")
            scope.variables[name] = "matrix"
        elif kind == "item" and self.on("order", 0.4):
            self.emit(f"{name} = Order(item={source})")
            scope.variables[name] = "order"
        else:
            self.emit(f"{name} = {source}")
            scope.variables[name] = kind
        return self.mutate(scope, result)

    def mutate(self, scope: Scope, result: str) -> None:
        able = [n for n, k in scope.variables.items() if k in KINDS and KINDS[k].changes and n not in scope.frozen]
        target = self.random.choice(able) if able and self.random.random() < 0.6 else None
        if target is not None:
            change = self.random.choice(KINDS[scope.variables[target]].changes)
            self.emit(str(self.templated(scope, change.replace(f"<@{scope.variables[target]}>", target), 1)))
            return None
        target = self.pick(scope, "list")
        if target is None:
            return self.assign(scope, result)
        value = self.value(scope, "int", 1)
        changes = [f"{target}.append({value})"]
        if target not in scope.frozen:
            changes += [f"{target}.insert(0, {value})", f"{target} += [{value}]", f"{target}.sort()", f"{target}.reverse()"]
            changes += [f"{target}.extend(range({self.random.randint(0, 3)}))", f"{target}.remove({value})"]
        self.emit(self.random.choice(changes))
        return None

    def augment(self, scope: Scope, result: str) -> None:
        names = [n for n, k in scope.variables.items() if k == "int" and n not in scope.frozen]
        if not names:
            return self.assign(scope, result)
        self.emit(f"{self.random.choice(names)} {self.random.choice(['+=', '-=', '*='])} {self.value(scope, 'int', 1)} % 97")
        return None

    def unpack(self, scope: Scope, _: str) -> None:
        a, b, c = self.name(), self.name(), self.name()
        first, second = self.value(scope, "int", 1), self.value(scope, "int", 0)
        if self.on("starred", 0.5):
            self.emit(f"{a}, *{b}, {c} = [{first}, *{self.value(scope, 'list', 1)}, {second}]")
            scope.variables.update({a: "int", b: "list", c: "int"})
        else:
            self.emit(f"{a}, ({b}, {c}) = {first}, ({self.value(scope, 'str', 1)}, {self.value(scope, 'bool', 1)})")
            scope.variables.update({a: "int", b: "str", c: "bool"})

    def chain(self, scope: Scope, _: str) -> None:
        a, b = self.name(), self.name()
        self.emit(f"{a} = {b} = {self.value(scope, 'int', 2)}")
        scope.variables.update({a: "int", b: "int"})

    def assert_(self, scope: Scope, _: str) -> None:
        self.emit(f"assert {self.value(scope, 'bool', 1)} or {self.value(scope, 'bool', 0)}, {self.value(scope, 'str', 1)}")

    def delete(self, scope: Scope, _: str) -> None:
        name = self.name("d")
        self.emit(f"{name} = {self.value(scope, 'int', 1)}")
        self.emit(f"await record(str({name}))")
        self.emit(f"del {name}")

    def recorded(self, scope: Scope, _: str) -> None:
        a, b = self.name(), self.name()
        self.emit(f"{a} = now() <= now()" if self.random.random() < 0.5 else f"{a} = uuid() == uuid()")
        self.emit(f"{b} = len(str(uuid()))")
        scope.variables.update({a: "bool", b: "int"})

    def optional(self, scope: Scope, _: str) -> None:
        name, got = self.name("o"), self.name()
        self.emit(f"{name} = await maybe({self.value(scope, 'int', 1)})")
        shape = self.random.choice(["if", "ternary", "or"])
        if shape == "if":
            with self.block(f"if {name} is None:"):
                self.emit(f"{got} = {self.value(scope, 'int', 1)}")
            with self.block("else:"):
                self.emit(f"{got} = {name} + 1")
        elif shape == "ternary":
            self.emit(f"{got} = {name} if {name} is not None else {self.value(scope, 'int', 1)}")
        else:
            self.emit(f"{got} = {name} or {self.value(scope, 'int', 1)}")
        scope.variables[got] = "int"


def generate(seed: int) -> Program:
    """The program of a seed, always the same."""
    return Generator(seed).program()


if __name__ == "__main__":
    import sys

    print(generate(int(sys.argv[1])).text)
