"""`fan_out(call(x) for x in xs, limit=)` and `settle` of a generator: it stays one, its element becomes the template of all
branches.

Nothing is spilled out of the element: it has no await, so the machine evaluates the calls' arguments as the generator would.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flowgraph_compiler.build import callees
from flowgraph_compiler.build.awaits import Awaits
from flowgraph_compiler.build.bindings import targets
from flowgraph_compiler.expressions import Bound, Clause, Expr
from flowgraph_compiler.graph import AnyNode, FanOut, Parallel


class FanOuts(Awaits):
    """Groups with a branch for each element."""

    _evaluates_late = False  # inside a group whose arguments are evaluated where it starts, in the order of the source

    def keep(self, value: Expr, later: list[ast.expr]) -> Expr:
        """A value as it is now; in an element there is no later."""
        return value if self._evaluates_late else super().keep(value, later)

    def _primitive(self, node: ast.Call, name: str, result: str | None, later: Sequence[ast.expr]) -> AnyNode | None:
        if name == "fan_out" or (name == "settle" and _takes_elements(node)):
            return self._fan_out(name, node, result, later)
        return super()._primitive(node, name, result, later)

    def _group(self, kind: str, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> Parallel:
        outer = self._evaluates_late
        made = super()._group(kind, node, result, later)
        if not later:  # the outermost group: what follows it is evaluated after its end
            self._evaluates_late = outer
        return made

    def _fan_out(self, kind: str, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> AnyNode | None:
        name, generator, limit = self.node_id(kind), self._generator(kind, node), self._limit_of(kind, node)
        if generator is None or not self._stands_alone(kind, generator, limit, later):
            return None
        first, given = generator.generators[0], [] if limit is None else [limit]
        self.check_order(first.iter)
        iterable, *rest = self.operands([first.iter, *given], consumed=[first.iter])
        outer, self._evaluates_late = self._evaluates_late, True
        clauses, branch = self._clauses(kind, generator, generator.generators, iterable)
        self._evaluates_late = outer or bool(later)
        if branch is None:
            return None
        return FanOut(name, self.span(node), kind, clauses, branch, rest[0] if rest else None, result)

    # --- the call

    def _generator(self, kind: str, node: ast.Call) -> ast.GeneratorExp | None:
        match node.args:
            case [ast.GeneratorExp() as generator]:
                return generator
            case [ast.Starred() as star]:
                self.report("FG115", star, f"'{kind}' is called with '{ast.unparse(star)}'", _form(kind))
            case []:
                self.report("FG171", node, f"'{kind}' has no generator of calls", _form(kind))
            case [ast.ListComp() | ast.SetComp() as made]:
                inside = ast.unparse(made)[1:-1]
                self.report("FG130", made, f"'{kind}' takes a generator, not a list of calls", f"{kind}({inside})")
            case [ast.List(elts=calls) | ast.Tuple(elts=calls) as made]:
                self._written_out(kind, made, calls)
            case [ast.Call() as call]:
                self._written_out(kind, call, [call])
            case [other]:
                message = f"'{ast.unparse(other)}' is no generator that calls a step, subflow or primitive for each element"
                self.report("FG130", other, message, _form(kind))
            case calls:
                self._written_out(kind, node, calls)
        return None

    def _written_out(self, kind: str, node: ast.expr, calls: list[ast.expr]) -> None:
        written = ", ".join(ast.unparse(call) for call in calls)
        message = f"'{kind}' takes a generator; these calls are written out"
        group = "settle" if kind == "settle" else "parallel"
        self.report("FG130", node, message, f"{group}({written})" if len(calls) > 1 else _form(kind))

    def _limit_of(self, kind: str, node: ast.Call) -> ast.expr | None:
        limit = None
        for keyword in node.keywords:
            if keyword.arg == "limit":
                limit = keyword.value
            elif keyword.arg is None:
                self.report("FG115", keyword, f"'{kind}' is called with '{ast.unparse(keyword)}'", "write the arguments out")
            else:
                self.report("FG172", keyword, f"'{kind}' takes no argument '{keyword.arg}'", f"{kind}(..., limit=20)")
        return None if isinstance(limit, ast.Constant) and limit.value is None else limit

    # --- what may stand in it

    def _stands_alone(self, kind: str, node: ast.GeneratorExp, limit: ast.expr | None, later: Sequence[ast.expr]) -> bool:
        """Report what needs an order of evaluation that a generator in a machine cannot keep."""
        before = len(self.session.found)
        awaiting = [node.elt, *(part for each in node.generators for part in each.ifs), *(e.iter for e in node.generators[1:])]
        for part in filter(self.has_await, awaiting):
            self._refuse_await(kind, part, is_element=part is node.elt)
        for each in node.generators:
            if each.is_async:
                self.refuse(node, f"'async for' in '{kind}'", "fetch a list in a '@step' and fan out over it")
        self._refuse_changes(kind, node)
        if self._evaluates_late or later:
            self._refuse_order(kind, node, limit, later)
        return len(self.session.found) == before

    def _refuse_await(self, kind: str, part: ast.expr, *, is_element: bool) -> None:
        if is_element and isinstance(part, ast.Await) and not self.has_await(part.value):
            message = f"the element of '{kind}' is awaited: '{kind}' awaits its calls itself"
            self.report("FG122", part, message, ast.unparse(part.value))
        else:
            message = f"'{ast.unparse(part)}' awaits inside the generator of '{kind}'"
            self.report("FG122", part, message, f"await it before '{kind}(...)', or put both calls into a '@subflow'")

    def _refuse_changes(self, kind: str, node: ast.GeneratorExp) -> None:
        """The arguments of one branch are copied before those of the next are evaluated; the machine copies them afterwards."""
        first = node.generators[0].iter
        changing = [node.elt, *(part for each in node.generators for part in (each.iter, *each.ifs) if part is not first)]
        for part in changing:
            self._refuse_change(part, kind)
            for inner in ast.walk(part):
                if isinstance(inner, ast.NamedExpr):
                    self.refuse(inner, f"':=' inside the generator of '{kind}'", f"assign before '{kind}(...)'")

    def _refuse_order(self, kind: str, node: ast.GeneratorExp, limit: ast.expr | None, later: Sequence[ast.expr]) -> None:
        """In a group the whole call is evaluated where the group starts, so nothing after it may await."""
        own = [node.generators[0].iter, *([] if limit is None else [limit])]
        following = [part for part in later if not any(inner is node for inner in ast.walk(part))]
        for part in [*own, *following]:
            if self.has_await(part):
                self.refuse(part, f"'{ast.unparse(part)}' in a group with '{kind}'", "await it in a statement before the group")

    # --- the generator

    def _clauses(
        self, kind: str, node: ast.GeneratorExp, rest: Sequence[ast.comprehension], iterable: Expr
    ) -> tuple[tuple[Clause, ...], AnyNode | None]:
        """Clause by clause: each one's names are bound in the following ones and in the element."""
        generator, *others = rest
        with self.scope({name.id: Bound(name.id, self.span(name)) for name in targets(generator.target)}):
            target = self.bound_target(generator.target)
            conditions = tuple(self.translate(condition) for condition in generator.ifs)
            clause = Clause(target, iterable, conditions, self.span(generator.target))
            if not others:
                return (clause,), self._element(kind, node.elt)
            clauses, branch = self._clauses(kind, node, others, self.ordered(others[0].iter))
            return (clause, *clauses), branch

    def _element(self, kind: str, node: ast.expr) -> AnyNode | None:
        callee = callees.callee(self, node.func) if isinstance(node, ast.Call) else None
        match callee:
            case callees.Durable(kind="pure") | callees.Typing() | callees.Function() | callees.Class() | callees.ClassMethod():
                suspends = False
            case callees.Primitive(name=name):
                suspends = name in callees.AWAITED
            case callees.Durable() | callees.Misdeclared() | callees.Refused():
                suspends = True  # or says itself why not
            case _:
                suspends = False
        if isinstance(node, ast.Call) and suspends:
            return self.suspension(node, None, ())
        message = f"'{ast.unparse(node)}' is no call of a step, subflow or primitive: an element of '{kind}' is exactly one"
        self.report("FG130", node, message, f"{kind}(score(x) for x in xs), with the rest in '@step' or '@subflow' 'score'")
        return None


def _form(kind: str) -> str:
    return f"{kind}(score(x) for x in xs)"


def _takes_elements(node: ast.Call) -> bool:
    """Whether a `settle` is one of a generator, or was meant to be, and not of calls written out."""
    limited = any(keyword.arg == "limit" for keyword in node.keywords)
    return limited or (len(node.args) == 1 and not isinstance(node.args[0], ast.Call | ast.Await | ast.Starred))
