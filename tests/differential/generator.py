"""Random typed workflow programs over the accepted language, for the comparison with CPython.

A program is the text of a module: fixed event, model, exception and step declarations, a few random subflows and one random
workflow `flow(n: int) -> str`. The steps note each of their calls in `CALLS`, so that a run can be compared by its result or
exception and by the multiset of step calls. Every program ends in bounded time: loops count down.

Each program switches a random part of the features off (swarm testing, Groce et al., ISSTA 2012): bugs were interactions of two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PRELUDE = """
from __future__ import annotations
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pydantic import BaseModel
from flowgraph import Cancelled, Event, NonRetriable, now, parallel, send, sleep, step, subflow, uuid, wait_for, workflow

CALLS: list[tuple[object, ...]] = []

class Ping(Event, name="ping"):
    n: int
    text: str = ""

class Item(BaseModel):
    n: int
    tags: list[str] = []

@dataclass
class Pair:
    left: int
    right: list[int] = field(default_factory=list)

class Color(Enum):
    RED = "red"
    BLUE = "blue"

class Odd(Exception):
    pass

class VeryOdd(Odd):
    pass

class Coded(VeryOdd):
    def __init__(self, n: int) -> None:
        super().__init__(f"coded {n}")
        self.n = n
        self.seen = [n]

BASE = 7
NAMES = ("ann", "bob", "cid")

@step
async def add(a: int, b: int = 1) -> int:
    CALLS.append(("add", a, b))
    return a + b

@step
def negate(a: int) -> int:
    CALLS.append(("negate", a))
    return -a

@step(retries=2)
async def only_even(n: int) -> int:
    CALLS.append(("only_even", n))
    if n % 2:
        raise Odd(n)
    return n // 2

@step
async def strict(n: int) -> int:
    CALLS.append(("strict", n))
    if n % 3 == 1:
        raise NonRetriable(f"strict {n}")
    if n % 3 == 2:
        raise NonRetriable("two") from Coded(n)
    return n

@step(retries=0)
async def very(n: int) -> int:
    CALLS.append(("very", n))
    if n % 5 == 0:
        raise Coded(n)
    return n + 1

@step
async def label(n: int) -> str:
    CALLS.append(("label", n))
    return f"<{n}>"

@step
async def check(n: int) -> bool:
    CALLS.append(("check", n))
    return n % 2 == 0

@step
async def spread(n: int) -> list[int]:
    CALLS.append(("spread", n))
    return list(range(abs(n) % 4))

@step
async def touch(xs: list[int]) -> list[int]:
    CALLS.append(("touch", tuple(xs)))
    xs.append(len(xs))
    return xs

@step
async def maybe(n: int) -> int | None:
    CALLS.append(("maybe", n))
    return None if n % 3 == 0 else n

@step
async def make(n: int) -> Item:
    CALLS.append(("make", n))
    return Item(n=n, tags=[str(n)])

@step
async def retag(item: Item, tag: str) -> Item:
    CALLS.append(("retag", item.n, tuple(item.tags), tag))
    item.tags.append(tag)
    return item

@step
async def pair(n: int) -> Pair:
    CALLS.append(("pair", n))
    return Pair(n, [n])

@step
async def record(text: str) -> None:
    CALLS.append(("record", text))

@step
async def tally(counts: dict[str, int]) -> int:
    CALLS.append(("tally", tuple(sorted(counts.items()))))
    return sum(counts.values())

"""

FEATURES = (
    "await_in_expression", "short_circuit", "conditional", "comprehension", "await_comprehension", "walrus", "while", "for",
    "try", "finally", "raise", "return", "loop_jump", "subflow", "parallel", "sleep", "wait", "send", "alias", "mutate",
    "augment", "unpack", "model", "dataclass", "dict", "fstring", "optional", "assert", "delete", "recorded", "nested_group",
    "chain", "starred", "slices",
)  # fmt: skip


@dataclass
class Program:
    """One generated module and the data it is run with."""

    seed: int
    text: str
    argument: int
    events: list[tuple[int, str]]  # (n, text) of the pings that are there when the run starts
    features: frozenset[str]


@dataclass
class _Scope:
    """The definitely assigned variables, by type."""

    variables: dict[str, str] = field(default_factory=dict)
    in_loop: bool = False
    in_finally: bool = False
    frozen: frozenset[str] = frozenset()  # loop counters and iterated names: read only

    def child(self, **changes: object) -> _Scope:
        scope = _Scope(dict(self.variables), self.in_loop, self.in_finally, self.frozen)
        for name, value in changes.items():
            setattr(scope, name, value)
        return scope


class Generator:
    """Writes one program from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        count = self.random.randint(len(FEATURES) // 3, len(FEATURES))
        self.features = frozenset(self.random.sample(FEATURES, count))
        self.lines: list[str] = []
        self.indent = 0
        self.fresh = 0
        self.subflows: list[str] = []
        self.budget = self.random.randint(5, 24)
        self.pure_depth = 0

    # --- text

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        self.emit(header)
        self.indent += 1
        yield
        self.indent -= 1

    def name(self, prefix: str = "v") -> str:
        self.fresh += 1
        return f"{prefix}{self.fresh}"

    def on(self, feature: str, chance: float = 1.0) -> bool:
        return feature in self.features and self.random.random() < chance

    def pick(self, scope: _Scope, kind: str) -> str | None:
        names = [name for name, type_ in scope.variables.items() if type_ == kind]
        return self.random.choice(names) if names else None

    # --- the program

    def program(self) -> Program:
        if "subflow" in self.features:
            for _ in range(self.random.randint(1, 2)):
                self.subflow()
        self.function("@workflow", "flow", "n: int", "str", _Scope({"n": "int"}))
        return Program(
            self.seed,
            PRELUDE + "\n".join(self.lines) + "\n",
            self.random.randint(-3, 9),
            [(self.random.randint(0, 4), self.random.choice("abc")) for _ in range(self.random.randint(0, 4))],
            self.features,
        )

    def subflow(self) -> None:
        name = self.name("sub")
        saved, self.budget = self.budget, self.random.randint(2, 6)
        self.function("@subflow", name, "n: int, xs: list[int]", "int", _Scope({"n": "int", "xs": "list"}))
        self.budget = saved
        self.subflows.append(name)

    def function(self, decorator: str, name: str, parameters: str, result: str, scope: _Scope) -> None:
        self.emit(decorator)
        kind = "str" if result == "str" else "int"
        with self.block(f"async def {name}({parameters}) -> {result}:"):
            self.body(scope, kind)
            self.emit(f"return {self.summary(scope) if kind == 'str' else self.value(scope, 'int', 1)}")
        self.emit("")
        self.emit("")

    def summary(self, scope: _Scope) -> str:
        names = [name for name, kind in scope.variables.items() if kind != "item"]
        parts = "".join(f" {name}={{{name}!r}}" for name in self.random.sample(names, min(len(names), 6)))
        items = "".join(f" {n}={{{n}.n}}{{{n}.tags}}" for n, kind in scope.variables.items() if kind == "item")
        return f'f"end{parts}{items}"'

    def body(self, scope: _Scope, result: str) -> None:
        before = len(self.lines)
        for _ in range(self.random.randint(1, 5)):
            if self.budget <= 0:
                break
            self.budget -= 1
            self.statement(scope, result)
        if len(self.lines) == before:
            self.emit(f"await record({self.value(scope, 'str', 0)})")

    def statement(self, scope: _Scope, result: str) -> None:
        choices: list[tuple[Callable[[_Scope, str], None], int]] = [(self.assign, 6), (self.if_, 3), (self.bare_await, 2)]
        for feature, make, weight in (
            ("while", self.while_, 2), ("for", self.for_, 3), ("try", self.try_, 4), ("raise", self.raise_, 1),
            ("return", self.return_, 1), ("loop_jump", self.jump, 2), ("parallel", self.parallel, 2), ("sleep", self.sleep, 1),
            ("wait", self.wait, 2), ("send", self.send, 1), ("alias", self.alias, 2), ("mutate", self.mutate, 3),
            ("augment", self.augment, 2), ("unpack", self.unpack, 2), ("assert", self.assert_, 1), ("delete", self.delete, 1),
            ("chain", self.chain, 1), ("recorded", self.recorded, 1), ("optional", self.optional, 2),
        ):  # fmt: skip
            if feature in self.features:
                choices.append((make, weight))
        makers, weights = zip(*choices, strict=True)
        self.random.choices(makers, weights)[0](scope, result)

    # --- statements

    def assign(self, scope: _Scope, _: str) -> None:
        kind = self.random.choice(self.kinds())
        existing = [n for n, k in scope.variables.items() if k == kind and n not in scope.frozen]
        fresh = not existing or self.random.random() < 0.6
        name = self.name() if fresh else self.random.choice(existing)
        value = self.value(scope, kind, 2)
        annotation = {"list": "list[int]", "dict": "dict[str, int]", "maybe": "int | None"}.get(kind)
        self.emit(f"{name}: {annotation} = {value}" if annotation and fresh else f"{name} = {value}")
        scope.variables[name] = kind

    def kinds(self) -> list[str]:
        kinds = ["int", "int", "int", "str", "bool", "list", "list"]
        kinds += [k for k, f in (("item", "model"), ("pair", "dataclass"), ("dict", "dict")) if f in self.features]
        return kinds

    def bare_await(self, scope: _Scope, _: str) -> None:
        self.emit(f"await {self.call(scope, self.random.choice(['int', 'none', 'list']), 1)}")

    def if_(self, scope: _Scope, result: str) -> None:
        branches = []
        with self.block(f"if {self.value(scope, 'bool', 2)}:"):
            inner = scope.child()
            self.body(inner, result)
            branches.append(inner)
        if self.random.random() < 0.3:
            with self.block(f"elif {self.value(scope, 'bool', 1)}:"):
                inner = scope.child()
                self.body(inner, result)
                branches.append(inner)
        if self.random.random() < 0.6:
            with self.block("else:"):
                inner = scope.child()
                self.body(inner, result)
                branches.append(inner)
        else:
            branches.append(scope)
        self.join(scope, branches)

    def join(self, scope: _Scope, branches: list[_Scope]) -> None:
        common = set.intersection(*(set(b.variables) for b in branches))
        scope.variables = {n: k for n, k in branches[0].variables.items() if n in common}

    def while_(self, scope: _Scope, result: str) -> None:
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

    def for_(self, scope: _Scope, result: str) -> None:
        name = self.name("x")
        inner = scope.child(in_loop=True)
        kind = self.random.choice(["list", "range", "enumerate", "items", "zip", "str", "names", "await"])
        if kind == "await" and not self.on("await_in_expression"):
            kind = "range"
        other = self.name("k")
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
            "await": (f"for {name} in await spread({self.value(scope, 'int', 0)}):", {name: "int"}),
        }[kind]
        inner.variables.update(bound)
        with self.block(header):
            self.body(inner, result)

    def copied(self, scope: _Scope) -> str:
        return f"list({self.value(scope, 'list', 0)})[:4]"

    def try_(self, scope: _Scope, result: str) -> None:
        ends = []
        with self.block("try:"):
            body = scope.child()
            self.body(body, result)
        handlers = self.random.randint(0 if "finally" in self.features else 1, 2)
        for clause in self.random.sample(["VeryOdd", "Odd", "NonRetriable", "(ValueError, Odd)", "Exception"], handlers):
            name = self.name("e")
            inner = scope.child()
            with self.block(f"except {clause} as {name}:"):
                if self.random.random() < 0.5:
                    self.emit(f"await record(str({name}))")
                self.body(inner, result)
                if self.on("raise", 0.25):
                    self.emit("raise")
            ends.append(inner)
        if handlers and self.random.random() < 0.4:
            with self.block("else:"):
                self.body(body, result)
        ends.append(body)
        if not handlers or self.on("finally", 0.5):
            with self.block("finally:"):
                inner = scope.child(in_finally=True, in_loop=False)
                self.body(inner, result)
        self.join(scope, ends)

    def raise_(self, scope: _Scope, _: str) -> None:
        error = self.random.choice(["Odd({})", "VeryOdd({})", "ValueError({})", "NonRetriable(str({}))"])
        cause = self.random.choice(["", "", f" from ValueError({self.value(scope, 'str', 0)})"])
        with self.block(f"if {self.value(scope, 'bool', 1)}:"):
            self.emit(f"raise {error.format(self.value(scope, 'int', 1))}{cause}")

    def return_(self, scope: _Scope, result: str) -> None:
        if scope.in_finally:
            return self.assign(scope, result)
        with self.block(f"if {self.value(scope, 'bool', 1)}:"):
            self.emit(f"return {self.value(scope, result, 2)}")
        return None

    def jump(self, scope: _Scope, result: str) -> None:
        if not scope.in_loop:
            return self.assign(scope, result)
        with self.block(f"if {self.value(scope, 'bool', 1)}:"):
            self.emit(self.random.choice(["break", "continue"]))
        return None

    def parallel(self, scope: _Scope, _: str) -> None:
        branches = [self.branch(scope) for _ in range(self.random.randint(2, 3))]
        if self.on("nested_group", 0.3):
            branches.append((f"parallel({self.branch(scope)[0]}, {self.branch(scope)[0]})", "tuple"))
        if self.random.random() < 0.25:
            kind = self.random.choice([f"only_even({self.value(scope, 'int', 0)})", f"very({self.value(scope, 'int', 0)})"])
            branches.insert(self.random.randint(0, len(branches)), (kind, "int"))
        names = [self.name() for _ in branches]
        self.emit(f"{', '.join(names)} = await parallel({', '.join(call for call, _ in branches)})")
        scope.variables.update({n: kind for n, (_, kind) in zip(names, branches, strict=True) if kind != "tuple"})

    def branch(self, scope: _Scope) -> tuple[str, str]:
        """A call that cannot fail and has one suspension, so that the schedule cannot show in the step calls."""
        kind = self.random.choice(["int", "str", "list", "bool"])
        return {
            "int": f"add({self.value(scope, 'int', 1)})",
            "str": f"label({self.value(scope, 'int', 1)})",
            "list": f"touch({self.value(scope, 'list', 0)})",
            "bool": f"check({self.value(scope, 'int', 1)})",
        }[kind], kind

    def sleep(self, scope: _Scope, _: str) -> None:
        self.emit(self.random.choice(['await sleep("1h")', 'await sleep("3d")', "await sleep(timedelta(minutes=5))"]))

    def wait(self, scope: _Scope, _: str) -> None:
        name, got = self.name("p"), self.name("g")
        key = self.value(scope, "int", 0)
        where = self.random.choice(["", f", where=lambda p: p.n == {key}", f', where=lambda p: p.n == {key} and p.text != "a"'])
        if self.on("mutate", 0.3):
            where = f", where=lambda p: p.n > {key}"
        self.emit(f'{name} = await wait_for(Ping{where}, timeout="2h")')
        self.emit(f"{got} = -1 if {name} is None else {name}.n")
        scope.variables[got] = "int"

    def send(self, scope: _Scope, _: str) -> None:
        self.emit(f"await send(Ping(n={self.value(scope, 'int', 0)}, text={self.value(scope, 'str', 0)}))")

    def alias(self, scope: _Scope, result: str) -> None:
        kind = self.random.choice(["list", "item", "dict", "pair"])
        source = self.pick(scope, kind)
        if source is None:
            return self.assign(scope, result)
        name = self.name("a")
        self.emit(f"{name} = {source}")
        scope.variables[name] = kind
        return self.mutate(scope, result)

    def mutate(self, scope: _Scope, result: str) -> None:
        for kind in self.random.sample(["list", "item", "dict", "pair"], 4):
            target = self.pick(scope, kind)
            if target is not None:
                value = self.value(scope, "int", 1)
                self.emit(
                    {
                        "list": self.random.choice([f"{target}.append({value})", f"{target}.insert(0, {value})", f"{target} += [{value}]"]
                                                   if target not in scope.frozen else [f"{target}.append({value})"]),
                        "item": self.random.choice([f"{target}.n = {value}", f"{target}.tags.append({self.value(scope, 'str', 0)})"]),
                        "dict": self.random.choice([f"{target}[{self.value(scope, 'str', 0)}] = {value}", f'{target}.pop("a", 0)']),
                        "pair": self.random.choice([f"{target}.left += {value}", f"{target}.right.append({value})"]),
                    }[kind]
                )  # fmt: skip
                return None
        return self.assign(scope, result)

    def augment(self, scope: _Scope, result: str) -> None:
        names = [n for n, k in scope.variables.items() if k == "int" and n not in scope.frozen]
        if not names:
            return self.assign(scope, result)
        self.emit(f"{self.random.choice(names)} {self.random.choice(['+=', '-=', '*='])} {self.value(scope, 'int', 1)} % 97")
        return None

    def unpack(self, scope: _Scope, _: str) -> None:
        a, b, c = self.name(), self.name(), self.name()
        if self.on("starred", 0.5):
            self.emit(
                f"{a}, *{b}, {c} = [{self.value(scope, 'int', 1)}, *{self.value(scope, 'list', 1)}, {self.value(scope, 'int', 0)}]"
            )
            scope.variables.update({a: "int", b: "list", c: "int"})
        else:
            self.emit(
                f"{a}, ({b}, {c}) = {self.value(scope, 'int', 1)}, ({self.value(scope, 'str', 1)}, {self.value(scope, 'bool', 1)})"
            )
            scope.variables.update({a: "int", b: "str", c: "bool"})

    def chain(self, scope: _Scope, _: str) -> None:
        a, b = self.name(), self.name()
        self.emit(f"{a} = {b} = {self.value(scope, 'int', 2)}")
        scope.variables.update({a: "int", b: "int"})

    def assert_(self, scope: _Scope, _: str) -> None:
        self.emit(f"assert {self.value(scope, 'bool', 1)} or {self.value(scope, 'bool', 0)}, {self.value(scope, 'str', 1)}")

    def delete(self, scope: _Scope, _: str) -> None:
        name = self.name("d")
        self.emit(f"{name} = {self.value(scope, 'int', 1)}")
        self.emit(f"await record(str({name}))")
        self.emit(f"del {name}")

    def recorded(self, scope: _Scope, _: str) -> None:
        a, b = self.name(), self.name()
        self.emit(f"{a} = now() <= now()" if self.random.random() < 0.5 else f"{a} = uuid() == uuid()")
        self.emit(f"{b} = len(str(uuid()))")
        scope.variables.update({a: "bool", b: "int"})

    def optional(self, scope: _Scope, _: str) -> None:
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

    # --- expressions

    def value(self, scope: _Scope, kind: str, depth: int) -> str:
        """An expression of a type; awaits in it only where the feature is on and no lambda encloses it."""
        if depth > 0 and self.pure_depth == 0 and self.on("await_in_expression", 0.35):
            call = self.call(scope, kind, depth - 1)
            if call:
                return f"(await {call})"
        if depth <= 0:
            return self.leaf(scope, kind)
        if self.on("conditional", 0.12):
            return f"({self.value(scope, kind, depth - 1)} if {self.value(scope, 'bool', depth - 1)} else {self.value(scope, kind, depth - 1)})"
        maker = getattr(self, f"{kind}_value")
        return str(maker(scope, depth - 1))

    def leaf(self, scope: _Scope, kind: str) -> str:
        known = self.pick(scope, kind)
        if known is not None and self.random.random() < 0.75:
            return known
        return {
            "int": lambda: self.random.choice([str(self.random.randint(0, 9)), "BASE", str(self.random.randint(10, 99))]),
            "str": lambda: repr(self.random.choice(["", "a", "b", "xyz", "é"])),
            "bool": lambda: self.random.choice(["True", "False"]) if known is None else known,
            "list": lambda: self.random.choice(
                ["[7][:0]", f"[{', '.join(str(self.random.randint(0, 9)) for _ in range(self.random.randint(1, 3)))}]"]
            ),
            "dict": lambda: (
                "{" + ", ".join(f'"{k}": {self.random.randint(0, 9)}' for k in "abc"[: self.random.randint(0, 3)]) + "}"
            ),
            "item": lambda: f"Item(n={self.random.randint(0, 9)}, tags=['t'])",
            "pair": lambda: f"Pair({self.random.randint(0, 9)}, [1])",
            "none": lambda: "None",
        }[kind]()

    def call(self, scope: _Scope, kind: str, depth: int) -> str:
        v = lambda k: self.value(scope, k, depth)  # noqa: E731
        options: dict[str, list[Callable[[], str]]] = {
            "int": [lambda: f"add({v('int')}, {v('int')})", lambda: f"add(b={v('int')}, a={v('int')})", lambda: f"negate({v('int')})",
                    lambda: f"very({v('int')})"],
            "str": [lambda: f"label({v('int')})"],
            "bool": [lambda: f"check({v('int')})"],
            "list": [lambda: f"spread({v('int')})", lambda: f"touch({v('list')})"],
            "item": [lambda: f"make({v('int')})", lambda: f"retag({v('item')}, {v('str')})"],
            "pair": [lambda: f"pair({v('int')})"],
            "none": [lambda: f"record({v('str')})"],
            "dict": [],
        }  # fmt: skip
        if "try" in self.features:
            options["int"] += [lambda: f"only_even({v('int')})", lambda: f"strict({v('int')})"]
        if "dict" in self.features:
            options["int"].append(lambda: f"tally({v('dict')})")
        if self.subflows and self.on("subflow", 0.5):
            options["int"] = [lambda: f"{self.random.choice(self.subflows)}({v('int')}, {v('list')})"]
        return self.random.choice(options[kind])() if options[kind] else ""

    def int_value(self, scope: _Scope, depth: int) -> str:
        v = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [
            lambda: f"({v('int')} {self.random.choice(['+', '-', '*'])} {v('int')})",
            lambda: f"len({v(self.random.choice(['list', 'str']))})", lambda: f"sum({v('list')})", lambda: f"abs({v('int')})",
            lambda: f"max({v('int')}, {v('int')})", lambda: f"({v('int')} // {self.random.randint(2, 5)})",
            lambda: f"(-{v('int')})", lambda: f"int({v('bool')})",
        ]  # fmt: skip
        if self.on("walrus", 0.3):
            options.append(lambda: f"({self.name('w')} := {v('int')})")
        if self.on("model"):
            options.append(lambda: f"{self.leaf(scope, 'item')}.n")
        if self.on("dict"):
            options.append(lambda: f"{v('dict')}.get({v('str')}, {v('int')})")
        if self.on("comprehension"):
            options.append(lambda: self.pure(lambda: f"sum(c * {self.leaf(scope, 'int')} for c in {v('list')})"))
        if self.on("slices"):
            options.append(lambda: f"({v('list')} + [{v('int')}])[{self.random.choice(['0', '-1'])}]")
        return self.random.choice(options)()

    def pure(self, make: Callable[[], str]) -> str:
        self.pure_depth += 1
        text = make()
        self.pure_depth -= 1
        return text

    def str_value(self, scope: _Scope, depth: int) -> str:
        v = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [lambda: f"({v('str')} + {v('str')})", lambda: f"str({v('int')})", lambda: f"{v('str')}.upper()"]
        if self.on("fstring"):
            options.append(
                lambda: self.pure(lambda: 'f"{' + self.leaf(scope, "int") + "!r}-{" + self.leaf(scope, "int") + ':>4}"')
            )
        if self.on("comprehension"):
            options.append(
                lambda: self.pure(lambda: f'",".join([str(c) for c in {v("list")} if c != {self.leaf(scope, "int")}])')
            )
        return self.random.choice(options)()

    def bool_value(self, scope: _Scope, depth: int) -> str:
        v = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [
            lambda: f"({v('int')} {self.random.choice(['<', '>', '==', '!=', '<=', '>='])} {v('int')})",
            lambda: f"(not {v('bool')})", lambda: f"({v('int')} in {v('list')})",
        ]  # fmt: skip
        if self.on("short_circuit"):
            options += [lambda: f"({v('bool')} and {v('bool')})", lambda: f"({v('bool')} or {v('bool')})"] * 2
        if self.on("chain"):
            options.append(lambda: f"({v('int')} < {v('int')} <= {v('int')})")
        return self.random.choice(options)()

    def list_value(self, scope: _Scope, depth: int) -> str:
        v = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [
            lambda: f"[{v('int')}, {v('int')}]", lambda: f"({v('list')} + {v('list')})", lambda: f"sorted({v('list')}, reverse=True)",
        ]  # fmt: skip
        if self.on("starred"):
            options.append(lambda: f"[{v('int')}, *{v('list')}]")
        if self.on("slices"):
            options.append(lambda: f"{v('list')}[{self.random.choice([':2', '1:', '::-1', ':-1'])}]")
        if self.on("comprehension"):
            options.append(lambda: self.pure(lambda: f"[c + {self.leaf(scope, 'int')} for c in {v('list')} if c > 0]"))
            options.append(lambda: self.pure(lambda: f"sorted({v('list')}, key=lambda c: (-c, {self.leaf(scope, 'int')}))"))
        if self.pure_depth == 0 and self.on("await_comprehension") and "await_in_expression" in self.features:
            options.append(
                lambda: f"[await add(c, {self.leaf(scope, 'int')}) for c in {v('list')} if c != {self.leaf(scope, 'int')}]"
            )
        return self.random.choice(options)()

    def dict_value(self, scope: _Scope, depth: int) -> str:
        v = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [lambda: f'{{"a": {v("int")}, {v("str")}: {v("int")}}}', lambda: f"{{**{v('dict')}, 'z': {v('int')}}}"]
        if self.on("comprehension"):
            options.append(lambda: self.pure(lambda: f"{{str(c): c for c in {v('list')}}}"))
        return self.random.choice(options)()

    def item_value(self, scope: _Scope, depth: int) -> str:
        return f"Item(n={self.value(scope, 'int', depth)}, tags=[{self.value(scope, 'str', depth)}])"

    def pair_value(self, scope: _Scope, depth: int) -> str:
        return f"Pair({self.value(scope, 'int', depth)}, {self.value(scope, 'list', depth)})"

    def none_value(self, scope: _Scope, depth: int) -> str:
        return "None"


def generate(seed: int) -> Program:
    """The program of a seed, always the same."""
    return Generator(seed).program()


if __name__ == "__main__":
    import sys

    print(generate(int(sys.argv[1])).text)
