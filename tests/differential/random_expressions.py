"""Random expressions of a type, over the variables of a scope."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.differential.kinds import BASIC, KINDS
from tests.differential.programs import APART, FEATURES, Scope

_PLACE = re.compile(r"<(@?)([a-z_]+)(0?)>")
_CALLS = {
    "int": ("add(<int>, <int>)", "add(b=<int>, a=<int>)", "negate(<int>)", "very(<int>)"),
    "str": ("label(<int>)",),
    "bool": ("check(<int>)",),
    "list": ("spread(<int>)", "touch(<list>)"),
    "none": ("record(<str>)",),
}


class Expressions:
    """Writes expressions; also the text that statements are written to."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        count = self.random.randint(len(FEATURES) // 3, len(FEATURES))
        self.features = frozenset(self.random.sample(FEATURES, count))
        apart = random.Random(f"{seed} apart")
        if seed % 4 != 1:
            self.features |= {feature for feature in APART if apart.random() < 0.5}
        self.lines: list[str] = []
        self.indent = 0
        self.fresh = 0
        self.subflows: dict[str, list[str]] = {}
        self._forms: dict[str, list[str]] = {}
        self.budget = self.random.randint(5, 22)
        self.pure_depth = self.iterable_depth = 0
        self.in_group = False
        self.pures: list[str] = []  # calls of `@pure` functions
        self.in_pure = False
        self.cancels = bool(self.features & {"cancel_step", "cancel_time"})

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

    def pick(self, scope: Scope, kind: str) -> str | None:
        names = [name for name, type_ in scope.variables.items() if type_ == kind]
        return self.random.choice(names) if names else None

    # --- expressions

    def value(self, scope: Scope, kind: str, depth: int) -> str:
        """An expression of a type; awaits in it only where the feature is on and no lambda encloses it."""
        if depth > 0 and self.pure_depth == 0 and self.on("await_in_expression", 0.35):
            call = self.call(scope, kind, depth - 1)
            if call:
                return f"(await {call})"
        if depth <= 0:
            return self.leaf(scope, kind)
        if self.on("conditional", 0.12):
            then, test, orelse = (self.value(scope, each, depth - 1) for each in (kind, "bool", kind))
            return f"({then} if {test} else {orelse})"
        made = self.templated(scope, self.random.choice(self.forms(kind)), depth - 1) if self.chooses_form(kind) else None
        if made is not None:
            return made
        if kind in KINDS:
            return self.leaf(scope, kind)
        maker: Callable[[Scope, int], str] = getattr(self, f"{kind}_value")
        return maker(scope, depth - 1)

    # --- templates

    def kind_on(self, kind: str) -> bool:
        """Whether values of a type occur in this program."""
        return {"item": "model", "pair": "dataclass"}.get(kind, kind) in self.features

    def forms(self, kind: str) -> list[str]:
        """The templates for a type that are on."""
        if kind not in self._forms:
            found = [text for feature, text in BASIC.get(kind, ()) if feature in self.features]
            found += [text for k, each in KINDS.items() if self.kind_on(k) for text in each.uses.get(kind, ())]
            self._forms[kind] = found + list(KINDS[kind].values if kind in KINDS else ())
        return self._forms[kind]

    def chooses_form(self, kind: str) -> bool:
        return bool(self.forms(kind)) and (kind in KINDS or self.random.random() < 0.5)

    def templated(self, scope: Scope, template: str, depth: int) -> str | None:
        """A template with its places filled, or None where it does not apply here."""
        inside = " for " in template or "lambda" in template or 'f"' in template
        if "await " in template and (inside or self.pure_depth or "await_in_expression" not in self.features):
            return None
        if self.in_pure and "run_info" in template:
            return None
        if "<new>" in template and (self.iterable_depth or self.pure_depth):
            return None
        if any(self.changeable(scope, kind) is None for at, kind, _ in _PLACE.findall(template) if at):
            return None

        self.pure_depth += inside
        self.iterable_depth += inside
        text = self.filled(scope, template, depth)
        self.iterable_depth -= inside
        self.pure_depth -= inside
        return text

    def filled(self, scope: Scope, template: str, depth: int) -> str:
        """A template with its places filled, whatever it is."""

        def fill(match: re.Match[str]) -> str:
            at, kind, zero = match.groups()
            if kind == "new":
                return self.name("w")
            return str(self.changeable(scope, kind)) if at else self.value(scope, kind, 0 if zero else depth)

        return _PLACE.sub(fill, template)

    def changeable(self, scope: Scope, kind: str) -> str | None:
        names = [name for name, each in scope.variables.items() if each == kind and name not in scope.frozen]
        return self.random.choice(names) if names else None

    def leaf(self, scope: Scope, kind: str) -> str:
        known = self.pick(scope, kind)
        if known is not None and self.random.random() < 0.75:
            return known
        if kind in KINDS:
            return self.random.choice(KINDS[kind].leaves)
        leaves: dict[str, Callable[[], str]] = {
            "int": lambda: self.random.choice([str(self.random.randint(0, 9)), "BASE", str(self.random.randint(10, 99))]),
            "str": lambda: repr(self.random.choice(["", "a", "b", "xyz", "é"])),
            "bool": lambda: known or self.random.choice(["True", "False"]),
            "list": lambda: self.random.choice(
                ["[7][:0]", f"[{', '.join(str(self.random.randint(0, 9)) for _ in range(self.random.randint(1, 3)))}]"]
            ),
            "none": lambda: "None",
        }
        return leaves[kind]()

    def call(self, scope: Scope, kind: str, depth: int) -> str:
        options = list(KINDS[kind].calls if kind in KINDS else _CALLS[kind])
        if kind == "int" and "try" in self.features:
            options += ["only_even(<int>)", "strict(<int>)"]
        flows = self.subflows.get(kind, [])
        if flows and self.on("subflow", 0.5):
            options = flows
        call = self.templated(scope, self.random.choice(options), depth) if options else None
        if call is None:
            return ""
        name = call.partition("(")[0]
        return call.replace(name, name + self.override(), 1) if options is not flows else call

    def override(self) -> str:
        """`.with_(...)` of a step's call, sometimes."""
        if not self.on("overrides", 0.25):
            return ""
        return self.random.choice(
            [".with_(retries=0)", ".with_(retries=1)", f'.with_(name="{self.name("renamed")}")', '.with_(timeout="30s")']
        )

    def int_value(self, scope: Scope, depth: int) -> str:
        v: Callable[[str], str] = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [
            lambda: f"({v('int')} {self.random.choice(['+', '-', '*'])} {v('int')})",
            lambda: f"len({v(self.random.choice(['list', 'str']))})", lambda: f"sum({v('list')})", lambda: f"abs({v('int')})",
            lambda: f"max({v('int')}, {v('int')})", lambda: f"({v('int')} // {self.random.randint(2, 5)})",
            lambda: f"(-{v('int')})", lambda: f"int({v('bool')})",
        ]  # fmt: skip
        if self.on("effects") and self.pure_depth == 0 and not self.iterable_depth:
            options += [lambda: self.effect(scope, depth)] * 3
        if self.on("walrus", 0.3) and not self.iterable_depth:
            options.append(lambda: f"({self.name('w')} := {v('int')})")
        if self.pures:
            options += [lambda: self.random.choice(self.pures).format(n=v("int"), xs=v("list"))] * 2
        if self.on("comprehension"):
            options.append(
                lambda: self.pure(lambda: f"sum(c * {self.leaf(scope, 'int')} for c in {self.iterable(scope, depth)})")
            )
        if self.on("slices"):
            options.append(lambda: f"({v('list')} + [{v('int')}])[{self.random.choice(['0', '-1'])}]")
        return self.random.choice(options)()

    def effect(self, scope: Scope, depth: int) -> str:
        """An expression that changes something, or may fail, so that the order of evaluation shows."""
        names = [n for n, k in scope.variables.items() if k == "int" and n not in scope.frozen]
        lists = [n for n, k in scope.variables.items() if k == "list" and n not in scope.frozen]
        kind = self.random.choice(["rebind", "rebind", "pop", "fail"])
        if kind == "rebind" and names:
            name = self.random.choice(names)
            new = self.value(scope, "int", depth)
            changed = f"({name} := await add({new}, 5))" if self.on("await_in_expression", 0.6) else f"({name} := {new})"
            return self.random.choice(
                [f"({name} + {changed})", f"({changed} - {name})", f"max({name}, {changed}, {name})", changed]
            )
        if kind == "pop" and lists and not self.in_group:  # FG100 in the arguments of a later branch
            name = self.random.choice(lists)
            return f"(len({name}) + ({name}.pop(0) if {name} else 3) + {self.value(scope, 'int', depth)} * len({name}))"
        return f"(7 // (abs({self.value(scope, 'int', depth)}) % 9))"

    def iterable(self, scope: Scope, depth: int) -> str:
        """A list for a comprehension, where Python takes no `:=`."""
        self.iterable_depth += 1
        text = self.value(scope, "list", depth)
        self.iterable_depth -= 1
        return text

    def pure(self, make: Callable[[], str]) -> str:
        self.pure_depth += 1
        text = make()
        self.pure_depth -= 1
        return text

    def str_value(self, scope: Scope, depth: int) -> str:
        v: Callable[[str], str] = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [lambda: f"({v('str')} + {v('str')})", lambda: f"str({v('int')})", lambda: f"{v('str')}.upper()"]
        if self.on("fstring"):
            options.append(
                lambda: self.pure(lambda: 'f"{' + self.leaf(scope, "int") + "!r}-{" + self.leaf(scope, "int") + ':>4}"')
            )
        if self.on("comprehension"):
            options.append(
                lambda: self.pure(
                    lambda: f'",".join([str(c) for c in {self.iterable(scope, depth)} if c != {self.leaf(scope, "int")}])'
                )
            )
        return self.random.choice(options)()

    def bool_value(self, scope: Scope, depth: int) -> str:
        v: Callable[[str], str] = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [
            lambda: f"({v('int')} {self.random.choice(['<', '>', '==', '!=', '<=', '>='])} {v('int')})",
            lambda: f"(not {v('bool')})", lambda: f"({v('int')} in {v('list')})",
        ]  # fmt: skip
        if self.on("short_circuit"):
            options += [lambda: f"({v('bool')} and {v('bool')})", lambda: f"({v('bool')} or {v('bool')})"] * 2
        if self.on("chain"):
            options.append(lambda: f"({v('int')} < {v('int')} <= {v('int')})")
        return self.random.choice(options)()

    def list_value(self, scope: Scope, depth: int) -> str:
        v: Callable[[str], str] = lambda k: self.value(scope, k, depth)  # noqa: E731
        options = [
            lambda: f"[{v('int')}, {v('int')}]", lambda: f"({v('list')} + {v('list')})",
            lambda: f"sorted({v('list')}, reverse=True)",
        ]  # fmt: skip
        if self.on("starred"):
            options.append(lambda: f"[{v('int')}, *{v('list')}]")
        if self.on("slices"):
            options.append(lambda: f"{v('list')}[{self.random.choice([':2', '1:', '::-1', ':-1'])}]")
        if self.on("comprehension"):
            options.append(
                lambda: self.pure(lambda: f"[c + {self.leaf(scope, 'int')} for c in {self.iterable(scope, depth)} if c > 0]")
            )
            options.append(lambda: self.pure(lambda: f"sorted({v('list')}, key=lambda c: (-c, {self.leaf(scope, 'int')}))"))
        if self.pure_depth == 0 and self.on("await_comprehension") and "await_in_expression" in self.features:
            limit = self.leaf(scope, "int")
            options.append(
                lambda: f"[await add(c, {self.leaf(scope, 'int')}) for c in {self.iterable(scope, depth)} if c != {limit}]"
            )
        return self.random.choice(options)()

    def none_value(self, scope: Scope, depth: int) -> str:
        return "None"
