"""Random statements that suspend otherwise than by one step: groups, sleeps, waits, events."""

from __future__ import annotations

from tests.differential.programs import Scope
from tests.differential.random_expressions import Expressions


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
        return {
            "int": f"add({self.value(scope, 'int', 1)})",
            "str": f"label({self.value(scope, 'int', 1)})",
            "list": f"touch({self.value(scope, 'list', 0)})",
            "bool": f"check({self.value(scope, 'int', 1)})",
        }[kind], kind

    def flow_branch(self, scope: Scope) -> tuple[str, str]:
        """A call of a subflow that sleeps or waits and cleans up; its steps are the same in any schedule."""
        n = self.value(scope, "int", 0)
        return self.random.choice(
            [
                (f"patient({n})", "int"),
                (f'patient(nap="{self.random.choice(["25m", "2h"])}", n={n})', "int"),
                (f"careful({n})", "str"),
                (f"careful({n}, text={self.value(scope, 'str', 0)})", "str"),
                (f"listening({n})", "bool"),
            ]
        )

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
        self.emit(f'{name} = await wait_for(Ping{where}, timeout="2h")')
        self.emit(f"{got} = -1 if {name} is None else {name}.n")
        scope.variables[got] = "int"

    def send(self, scope: Scope, _: str) -> None:
        self.emit(f"await send(Ping(n={self.value(scope, 'int', 0)}, text={self.value(scope, 'str', 0)}))")
