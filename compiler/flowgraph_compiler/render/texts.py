"""The texts in a diagram of steps: tests and loops in the author's words, without the compiler's temporaries."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler.cron import words
from flowgraph_compiler.notation import expression, pattern_text, target_text
from flowgraph_compiler.render.shapes import shortened
from flowgraph_compiler.statements import Assign

_TEMPORARY = re.compile(r"\$\w+")
_NEGATED = {"is": "is not", "is not": "is"}


class Texts:
    """Texts for one function's blocks: each temporary stands for what it was computed from."""

    def __init__(self, blocks: Iterable[m.Block]) -> None:
        self._sources: dict[str, str] = {}
        self._cursors: dict[str, e.Expr] = {}
        for block in blocks:
            for op in block.ops:
                if isinstance(op, Assign):
                    self._assigned(op)
            if isinstance(block.terminator, m.Suspend) and block.terminator.result is not None:
                self._add(block.terminator.result, action_name(block.terminator.action) + "(…)")

    def _assigned(self, op: Assign) -> None:
        for target in op.targets:
            if isinstance(target, e.Local):
                if isinstance(op.value, e.Cursor):
                    self._cursors[target.name] = op.value
                else:
                    self._add(target.name, expression(op.value, 14))

    def _add(self, name: str, text: str) -> None:
        self._sources[name] = text if name not in self._sources else "…"

    def of(self, tree: e.Expr, most: int = 60) -> str:
        """An expression, shortened."""
        text = expression(tree)
        for _ in range(4):  # temporaries of temporaries; more would not fit anyway
            text = _TEMPORARY.sub(lambda found: self._sources.get(found[0], "…"), text)
        return shortened(_TEMPORARY.sub("…", text), most)

    def test(self, tree: e.Expr) -> str:
        """The question of a decision."""
        if isinstance(tree, e.Matches):
            return " or ".join(tree.names) + "?"
        return self.of(tree) + "?"

    def way(self, way: m.Way) -> str:
        """What leads into one case of a match."""
        guard = "" if way.guard is None else f" if {self.of(way.guard, 20)}"
        return shortened(pattern_text(way.pattern) + guard, 36)

    def end(self, value: e.Expr | None) -> str:
        """The end of a function."""
        if value is None or value == e.Local("$return"):
            return "end" if value is None else "return"
        return f"return {self.of(value)}"

    def loop(self, end: m.Advance) -> str:
        """The head of a loop."""
        cursor = self._cursors.get(end.cursor)
        items = "…" if cursor is None else self.of(_iterable(cursor), 30)
        return shortened(f"for {target_text(end.target)} in {items}")

    def clause(self, clause: e.Clause) -> str:
        """A `for` of a fan-out."""
        conditions = "".join(f" if {self.of(condition, 20)}" for condition in clause.conditions)
        return shortened(f"for {target_text(clause.target)} in {self.of(clause.iterable, 30)}{conditions}")


def _iterable(tree: e.Expr) -> e.Expr:
    """What the author wrote, of a cursor."""
    if not isinstance(tree, e.Cursor):
        return tree
    arguments = tuple(_iterable(argument) for argument in tree.arguments)
    if tree.kind == "iter":
        return arguments[0]
    if tree.kind in ("items", "keys", "values"):
        return e.Method(arguments[0], tree.kind, ())
    return e.Call(tree.kind, arguments, tree.keywords)


def action_name(action: m.Action) -> str:
    """The name of what is called or waited for."""
    match action:
        case m.CallStep(step=name) | m.CallFlow(function=name) | m.CallChild(workflow=name) | m.StartRun(workflow=name):
            return name
        case m.WaitFor(cls=name):
            return name
        case m.Group(kind=kind) | m.FanOutGroup(kind=kind):
            return kind
        case m.SendEvent():
            return "send"
        case _:
            return "sleep"


def waited(test: e.Expr, result: str | None) -> bool | None:
    """For a test that asks whether a wait's result is there: whether "then" is the timeout. None for any other test."""
    match test:
        case e.Compare(e.Local(name), (op,), (e.Const(None),)) if name == result and op in _NEGATED:
            return op == "is"
        case e.Unary("not", e.Local(name)) if name == result:
            return True
        case e.Local(name) if name == result:
            return False
        case _:
            return None


def trigger_text(trigger: m.Trigger) -> str:
    """What starts a workflow: its events, or its schedule in words."""
    if trigger.cron is not None:
        return shortened(words(trigger.cron, trigger.zone or "UTC"))
    return shortened(f"on {' | '.join(trigger.names)}")


def heading(machine: m.Machine) -> tuple[str, ...]:
    """What a diagram shows: the workflow, what starts it, and where it is written."""
    triggers = ", ".join(trigger_text(trigger) for trigger in machine.triggers)
    place = f"{machine.file}:{machine.span.line}" if machine.file else ""
    return tuple(shortened(line) for line in (machine.workflow, triggers, place) if line)
