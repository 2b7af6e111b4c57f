"""Random statements that suspend otherwise than by one step: groups, sleeps, waits, events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.differential.programs import Scope
from tests.differential.random_expressions import Expressions

T = TypeVar("T")


class Suspensions(Expressions):
    """Writes groups, sleeps, waits and events."""

    def parallel(self, scope: Scope, _: str) -> None:
        self.in_group = True
        branches = [self.branch(scope) for _ in range(self.random.randint(2, 3))]
        if self.on("nested_group", 0.3):
            branches.append((f"parallel({self.branch(scope)[0]}, {self.branch(scope)[0]})", "tuple"))
        if self.random.random() < 0.25:
            kind = self.random.choice([f"only_even({self.value(scope, 'int', 0)})", f"very({self.value(scope, 'int', 0)})"])
            branches.insert(self.random.randint(0, len(branches)), (kind, "int"))
        if self.on("flow_branches", 0.5):
            branches += [self.flow_branch(scope) for _ in range(self.random.randint(1, 2))]
        self.in_group = False
        names = [self.name() for _ in branches]
        self.emit(f"{', '.join(names)} = await parallel({', '.join(call for call, _ in branches)})")
        scope.variables.update({n: kind for n, (_, kind) in zip(names, branches, strict=True) if kind != "tuple"})

    def branch(self, scope: Scope) -> tuple[str, str]:
        """A call that cannot fail and has one suspension, so that the schedule cannot show in the step calls."""
        kind = self.random.choice(["int", "str", "list", "bool"])
        if kind == "int" and self.on("saga_block", 0.4):
            return f"take({self.value(scope, 'int', 1)})", kind
        return {
            "int": f"add({self.value(scope, 'int', 1)})",
            "str": f"label({self.value(scope, 'int', 1)})",
            "list": f"touch({self.value(scope, 'list', 0)})",
            "bool": f"check({self.value(scope, 'int', 1)})",
        }[kind], kind

    def flow_branch(self, scope: Scope) -> tuple[str, str]:
        """A call of a subflow that sleeps or waits and cleans up; its steps are the same in any schedule."""
        n = self.value(scope, "int", 0)
        scoped = [(f"hurried({n})", "int"), (f"hurried({n}, 9000)", "int")] if "timeout_block" in self.features else []
        scoped += [(f"saved({n})", "int"), (f"saved({n}, failing=True)", "int")] if "saga_block" in self.features else []
        return self.random.choice(
            [
                *scoped,
                (f"patient({n})", "int"),
                (f'patient(nap="{self.random.choice(["25m", "2h"])}", n={n})', "int"),
                (f"careful({n})", "str"),
                (f"careful({n}, text={self.value(scope, 'str', 0)})", "str"),
                (f"listening({n})", "bool"),
            ]
        )

    def fan_out(self, scope: Scope, _: str) -> None:
        """One call per element. Only one after the other may fail: else the schedule would show in the step calls."""
        if self.on("nested_fan_out", 0.3):
            return self.nested_fan_out(scope)
        inner = scope.child()
        clauses = self.clauses(scope, inner)
        computed = f"abs({self.value(scope, 'int', 1)}) % 3 + 1"
        limit = self.random.choice(["", ", limit=1", ", limit=2", f", limit={computed}"])
        if self.random.random() < 0.2:
            failing = self.random.choice(["very", "only_even", "strict"])
            call, kind, limit = self.inside(lambda: f"{failing}({self.value(inner, 'int', 1)})"), "int", ", limit=1"
        elif self.on("flow_branches", 0.4):
            call, kind = self.inside(lambda: self.flow_branch(inner))
        else:
            call, kind = self.inside(lambda: self.branch(inner))
        got, flat = self.name(), self.name()
        self.emit(f"{got} = await fan_out(({call} {clauses}){limit})")
        text = {"int": f"list({got})", "list": f"[v for vs in {got} for v in vs]"}
        self.emit(f"{flat} = {text.get(kind, f'[len(str(v)) for v in {got}]')}")
        scope.variables[flat] = "list"
        return None

    def inside(self, make: Callable[[], T]) -> T:
        """Write something for the inside of a generator: no await, no `:=`, nothing that changes a value."""
        self.pure_depth += 1
        self.iterable_depth += 1
        made = make()
        self.iterable_depth -= 1
        self.pure_depth -= 1
        return made

    def clauses(self, scope: Scope, inner: Scope, *, nested: bool = False) -> str:
        """One or two `for` clauses, with conditions; their names join the inner scope. The first iterable may await."""
        found: list[str] = []
        for _ in range(self.random.choice([1, 1, 2])):
            name, other = self.name("x"), self.name("k")
            make = lambda: f"list({self.value(inner if found else scope, 'list', 1)})[:3]"  # noqa: E731
            items = self.inside(make) if found or nested else make()
            header, bound = self.random.choice(
                [
                    (f"for {name} in {items}", {name: "int"}),
                    (f"for {name} in range({self.random.randint(0, 3)})", {name: "int"}),
                    (f"for {other}, {name} in list(enumerate(NAMES))", {other: "int", name: "str"}),
                ]
            )
            inner.variables.update(bound)
            found.append(header)
            if self.random.random() < 0.3:
                found.append(f"if {self.inside(lambda: self.value(inner, 'bool', 1))}")
        return " ".join(found)

    def nested_fan_out(self, scope: Scope) -> None:
        """Groups in groups: as elements, and beside other branches."""
        inner = scope.child()
        outer = self.clauses(scope, inner, nested=True)
        deeper = inner.child()
        clauses = self.clauses(inner, deeper, nested=True)
        calls = [self.inside(lambda at=at: self.branch(at)[0]) for at in (deeper, inner, inner, scope)]  # type: ignore[misc]  # bound at once
        limit = self.random.randint(1, 3)
        shape = self.random.choice(
            [
                f"fan_out(fan_out({calls[0]} {clauses}) {outer})",
                f"fan_out((parallel({calls[1]}, {calls[2]}) {outer}), limit={limit})",
                f"parallel({calls[3]}, fan_out({calls[1]} {outer}))",
                f"parallel(fan_out(({calls[1]} {outer}), limit={limit}), {calls[3]})",
            ]
        )
        got = self.name()
        self.emit(f"{got} = len(str(await {shape}))")
        scope.variables[got] = "int"

    def parallel_waits(self, scope: Scope, _: str) -> None:
        names, got = [self.name("p") for _ in range(self.random.randint(2, 3))], self.name("g")
        waits = [
            f'wait_for(Ping, where=lambda p: p.n >= {self.random.randint(0, 3)}, timeout="{h}h")'
            for h in range(3, 3 + len(names))
        ]
        self.emit(f"{', '.join(names)} = await parallel({', '.join(waits)})")
        self.emit(f"{got} = [-1 if p is None else p.n for p in [{', '.join(names)}]]")
        scope.variables[got] = "list"

    def sleep(self, scope: Scope, _: str) -> None:
        self.emit(self.random.choice(['await sleep("1h")', 'await sleep("3d")', "await sleep(timedelta(minutes=5))"]))

    def wait(self, scope: Scope, _: str) -> None:
        name, got = self.name("p"), self.name("g")
        key = self.value(scope, "int", 0)
        where = self.random.choice(["", f", where=lambda p: p.n == {key}", f', where=lambda p: p.n == {key} and p.text != "a"'])
        if self.on("mutate", 0.3):
            where = f", where=lambda p: p.n > {key}"
        if self.random.random() < 0.1:
            where = f", where=lambda p: 10 // (p.n - {self.random.randint(0, 2)}) > {key}"
        if self.on("since", 0.4):
            where += f', since="{self.random.choice(["now", "now", "start"])}"'
        timeout = self.random.choice(['"2h"', '"2h"', "timedelta(hours=5)", "PAUSE"])
        self.emit(f"{name} = await wait_for(Ping{where}, timeout={timeout})")
        self.emit(f"{got} = -1 if {name} is None else {name}.n")
        scope.variables[got] = "int"

    def send(self, scope: Scope, _: str) -> None:
        self.emit(f"await send(Ping(n={self.value(scope, 'int', 0)}, text={self.value(scope, 'str', 0)}))")
