"""Random statements with other runs in them: child workflows, started runs, settled groups and races.

What runs side by side must not let the schedule show in the step calls. So the branches of a race begin with a sleep of a length
of its own, all but one; and a workflow that may run beside others (a quiet one) neither sends nor waits where anybody sends.
"""

from __future__ import annotations

from tests.differential.programs import Scope
from tests.differential.random_suspensions import Suspensions

_EVENTS = frozenset({"send", "wait", "parallel_waits", "flow_branches", "own_events"})


class Runs(Suspensions):
    """Writes calls of workflows, `start`, `settle` and `race`."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.kids: list[str] = []
        self.quiet_kids: list[str] = []
        self.minutes = 5

    # --- workflows

    def workflows(self) -> None:
        """One or two random workflows that `flow` may call, each with a random body."""
        for _ in range(self.random.randint(1, 2)):
            self.workflow(quiet=self.random.random() < 0.5)

    def workflow(self, *, quiet: bool) -> None:
        name = self.name("kid")
        budget, features, kids, subflows = self.budget, self.features, self.kids, self.subflows
        self.budget = self.random.randint(2, 7)
        if quiet:
            self.kids, self.subflows = self.quiet_kids, {}
            if "send" in features:
                self.features = features - _EVENTS
        parameters, scope = "n: int, xs: list[int]", Scope({"n": "int", "xs": "list"})
        calls = [f"{name}({{n}}, {{xs}})", f"{name}(xs={{xs}}, n={{n}})"]
        if self.random.random() < 0.5:
            parameters += ', m: int = BASE, *, k: int, tag: str = "t"'
            scope.variables.update({"m": "int", "k": "int", "tag": "str"})
            calls = [f"{name}({{n}}, {{xs}}, k={{n}})", f"{name}(k={{n}}, n={{n}}, xs={{xs}}, tag={{s}})"]
        self.function(self.decorator(), name, parameters, "int", scope)
        self.budget, self.features, self.kids, self.subflows = budget, features, kids, subflows
        self.kids = self.kids + calls
        if quiet:
            self.quiet_kids = self.quiet_kids + calls

    def moment(self) -> str:
        """A duration that nothing else in the program has: all others are multiples of five minutes."""
        self.minutes += 2 if self.minutes % 5 == 4 else 1
        return f'"{self.minutes}m"'

    def of_kid(self, scope: Scope, calls: list[str]) -> str:
        n, xs, s = (self.value(scope, kind, 0) for kind in ("int", "list", "str"))
        return self.random.choice(calls).format(n=n, xs=xs, s=s)

    def sleeper(self, scope: Scope) -> tuple[str, str]:
        """A call of a workflow or subflow that sleeps first, for a time of its own."""
        n = self.value(scope, "int", 0)
        return self.random.choice(
            [
                (f"napping({n}, nap={self.moment()})", "int"),
                (f"pinged(Ping(n={n}, text={self.moment()}))", "int"),
                (f"resting(nap={self.moment()}, n={n}, text={self.value(scope, 'str', 0)})", "str"),
                (f"patient({n}, nap={self.moment()})", "int"),
            ]
        )

    # --- statements

    def child(self, scope: Scope, result: str) -> None:
        """A workflow called and awaited by itself, or as the branch of a group that cannot fail."""
        if self.random.random() < 0.5 and self.kids:
            got = self.name()
            self.emit(f"{got} = await {self.of_kid(scope, self.kids)}")
            scope.variables[got] = "int"
            return
        call, kind = self.sleeper(scope)
        got = self.name()
        self.emit(f"{got} = await {call}")
        scope.variables[got] = kind
        if "parallel" in self.features and self.random.random() < 0.5:
            self.in_group = True
            (one, first), (two, second) = self.branch(scope), self.sleeper(scope)
            self.in_group = False
            a, b = self.name(), self.name()
            self.emit(f"{a}, {b} = await parallel({one}, {two})")
            scope.variables.update({a: first, b: second})

    def start(self, scope: Scope, _: str) -> None:
        got = self.name()
        call = self.of_kid(scope, self.quiet_kids) if self.quiet_kids else self.sleeper(scope)[0]
        if call.startswith("patient("):
            call = f"napping({self.value(scope, 'int', 0)})"
        name, _, arguments = call.partition("(")
        self.emit(f"{got} = len(await start({name}, {arguments}) > 3")
        scope.variables[got] = "bool"

    def settle(self, scope: Scope, _: str) -> None:
        if self.random.random() < 0.4:
            return self.settle_each(scope)
        self.in_group = True
        calls = [self.settled_branch(scope) for _ in range(self.random.randint(2, 3))]
        if self.on("nested_group", 0.2):
            calls.append(f"settle({self.settled_branch(scope)}, {self.branch(scope)[0]})")
        self.in_group = False
        return self.outcomes(scope, f"settle({', '.join(calls)})")

    def settle_each(self, scope: Scope) -> None:
        inner = scope.child()
        clauses = self.clauses(scope, inner)
        limit = self.random.choice(["", ", limit=1", ", limit=2"])
        call = self.inside(lambda: self.settled_branch(inner))
        self.outcomes(scope, f"settle(({call} {clauses}){limit})")

    def settled_branch(self, scope: Scope) -> str:
        failing = self.random.choice(["very", "only_even", "strict"])
        kind = self.random.choice(["branch", "failing", "failing", "sleeper", "kid", "flow"])
        if kind == "sleeper":
            return self.sleeper(scope)[0]
        if kind == "kid" and self.quiet_kids and "child" in self.features:
            return self.of_kid(scope, self.quiet_kids)
        if kind == "flow" and "flow_branches" in self.features:
            return self.flow_branch(scope)[0]
        return f"{failing}({self.value(scope, 'int', 0)})" if kind != "branch" else self.branch(scope)[0]

    def outcomes(self, scope: Scope, group: str) -> None:
        got, shown = self.name("o"), self.name()
        self.emit(f"{got} = await {group}")
        if self.random.random() < 0.5:
            self.emit(f"await record(str(len({got})))")
        self.emit(f"{shown} = [len(str(o.value)) if isinstance(o, Ok) else -len(str(o.error)) for o in {got}]")
        scope.variables[shown] = "list"

    def race(self, scope: Scope, _: str) -> None:
        """Only one branch ends without the time passing, or none; the others have a time each."""
        self.in_group = True
        calls = [self.sleeper(scope)[0] for _ in range(self.random.randint(1, 2))]
        quick = self.random.choice(["step", "step", "failing", "sleep", "group"])
        n = self.value(scope, "int", 0)
        calls.append(
            {
                "step": self.branch(scope)[0],
                "failing": f"{self.random.choice(['very', 'strict'])}({n})",
                "sleep": f"sleep({self.moment()})",
                "group": f"parallel(sleep({self.moment()}), {self.branch(scope)[0]})",
            }[quick]
        )
        self.in_group = False
        self.random.shuffle(calls)
        got = self.name()
        self.emit(f"{got} = len(str(await race({', '.join(calls)})))")
        scope.variables[got] = "int"
