"""Whether a machine is what it claims to be: names from the closed vocabulary, jumps in range, every block reachable.

A machine from a database is data that somebody may have changed; nothing of it runs before this has passed. Attributes that start
with an underscore, other names that start with two, and names that are no identifiers are refused everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from flowgraph_compiler import expressions as e
from flowgraph_compiler import machine as m
from flowgraph_compiler import patterns as p
from flowgraph_compiler import statements as s
from flowgraph_compiler.jumps import successors
from flowgraph_compiler.pattern_flaws import pattern_flaws
from flowgraph_compiler.scopes import UnbalancedScopes, open_scopes
from flowgraph_compiler.traversal import is_tuple, parts
from flowgraph_compiler.vocabulary import (
    LAZY_FUNCTIONS,
    METHOD_NAMES,
    PURE_CLASS_METHODS,
    PURE_CONSTANTS,
    PURE_FUNCTIONS,
)

UNARY = frozenset({"-", "+", "~", "not"})
BINARY = frozenset({"+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^", "@"})
COMPARE = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not"})
CURSORS = frozenset({"iter", "items", "keys", "values", "enumerate", "zip", "reversed"})
GROUPS = frozenset({"parallel", "settle", "race"})
FAN_OUTS = frozenset({"fan_out", "settle"})
SCOPES = frozenset({"timeout", "saga"})
FUNCTIONS = frozenset(PURE_FUNCTIONS) | frozenset(LAZY_FUNCTIONS)
METHODS = METHOD_NAMES.union(*PURE_CLASS_METHODS.values())
DEEPEST = 150
"""How deep expressions and statements may be nested: far above any source, far below Python's recursion limit."""


class MachineError(ValueError):
    """A machine that cannot be trusted or read; the message says what is wrong and where."""


def verify(machine: m.Machine) -> m.Machine:
    """The machine itself. Raises `MachineError` at the first thing that is wrong."""
    _Verification(machine).run()
    return machine


class _Verification:
    def __init__(self, machine: m.Machine) -> None:
        self._machine = machine
        self._kinds = {function.name: function.kind for function in machine.functions}
        self._constants = {name for name, _ in machine.constants}
        self._place = f"machine '{machine.workflow}'"
        self._bound: frozenset[str] = frozenset()
        self._loops = self._handlers = self._depth = 0

    def run(self) -> None:
        machine = self._machine
        self._check(machine.format == m.FORMAT, f"format {machine.format} is not {m.FORMAT}")
        self._check(bool(machine.functions) and machine.functions[0].kind == "workflow", "has no workflow function")
        self._check(len(self._kinds) == len(machine.functions), "has two functions of one name")
        for name in (machine.on_failure, machine.on_cancel):
            self._check(name is None or self._kinds.get(name) == "subflow", f"has no function '{name}' for its handler")
        for name in machine.cancel_on:
            self._check(self._kinds.get(name) == "subflow", f"has no function '{name}' for its cancel_on")
        self.one_of(machine.parameter_kind, {"event", "batch", "cron", "parameters"})
        for trigger in machine.triggers:
            self.one_of(trigger.kind, {"event", "cron"})
            self._binding((trigger.parameter or "",), trigger.where)
            if trigger.kind == "cron":
                self._schedule(trigger)
        for key in machine.key_paths:
            self._path(key.path)
        for limit in machine.limits:
            self.one_of(limit.scope, {"step", "run"})
            self._check(limit.limit >= 1, f"{limit.limit} is no limit")
            self._binding((limit.parameter or "",), limit.key)
        for function in machine.functions:
            self._function(function)
        self._check_recursion()

    def _schedule(self, trigger: m.Trigger) -> None:
        self._check(bool(trigger.cron) and bool(trigger.zone), "has a schedule without an expression or a zone")
        self._check((trigger.jitter or 0) >= 0, "has a schedule with a negative jitter")
        self.one_of(trigger.catch_up or "", {"skip", "latest", "all"})
        self.one_of(trigger.overlap or "", {"allow", "skip", "cancel_old"})

    def _check_recursion(self) -> None:
        """Pure functions call one another on Python's stack: none may come back to itself."""
        left = {each.name: {*_pure_calls(each.blocks)} for each in self._machine.functions if each.kind == "pure"}
        while done := [name for name, calls in left.items() if not calls & left.keys()]:
            for name in done:
                del left[name]
        self._check(not left, f"the pure functions {sorted(left)} call themselves")

    def _function(self, function: m.Function) -> None:
        self._place = f"function '{function.name}'"
        self.one_of(function.kind, {"workflow", "subflow", "pure"})
        names = [*function.parameters, *function.keyword_only, *(name for name, _ in function.defaults)]
        self._check(all(_is_variable(name) for name in names), f"parameters {names} are no variables")
        self._tree(function.defaults)
        self._check(bool(function.blocks), "has no blocks")
        for number, block in enumerate(function.blocks):
            self._place = f"function '{function.name}' block {number}"
            self._block(block, len(function.blocks))
        if function.kind == "pure":
            self._check(not any(isinstance(b.terminator, m.Suspend) for b in function.blocks), "a pure function waits")
        missing = set(range(len(function.blocks))) - _reached(function.blocks)
        self._check(not missing, f"blocks {sorted(missing)} of function '{function.name}' cannot be reached")
        self._scopes(function)

    def _scopes(self, function: m.Function) -> None:
        try:
            open_scopes(function.blocks)
        except UnbalancedScopes as found:
            self._place = f"function '{function.name}' block {found.block}"
            self._fail("closes a scope that is not open, or is reached with different ones open")

    def _block(self, block: m.Block, count: int) -> None:
        targets = [*successors(block.terminator), *(() if block.handler is None else (block.handler,))]
        self._check(all(0 <= target < count for target in targets), f"jumps to a block out of range 0..{count - 1}: {targets}")
        self._check((block.handler is None) == (block.caught is None), "has a handler without a variable for it, or the reverse")
        self.variables(block.caught)
        self._tree(block.ops)
        self._tree(block.terminator)

    # --- trees

    def _tree(self, tree: Any) -> None:
        """Check a tree of expressions, statements and actions; other values (names, numbers) belong to the node around them."""
        if is_tuple(tree):
            for item in tree:
                self._tree(item)
        elif hasattr(tree, "__dataclass_fields__"):
            self._depth += 1
            self._check(self._depth <= DEEPEST, f"is nested deeper than {DEEPEST}")
            self._node(tree)
            self._depth -= 1

    def _node(self, tree: Any) -> None:
        rule = _RULES.get(tree.__class__)
        if rule is not None:
            rule(self, tree)
        match tree:
            case e.Comprehension(clauses=clauses) | m.FanOutGroup(clauses=clauses):
                self._binding((name for clause in clauses for name in _bound_names(clause)), *parts(tree))
            case e.Lambda(parameters, body):
                self._binding(parameters, body)
            case m.WaitFor():
                self._tree((tree.keys, tree.timeout))
                self._binding((tree.parameter,), tree.residual)
            case m.Choose(subject, ways) | s.Match(subject, ways):
                self._tree((subject, *((way.pattern, way.guard) for way in ways)))
                self._tree(tuple(way.body for way in ways if isinstance(way, s.MatchCase)))
            case s.While() | s.For() | s.Try():
                self._nested(tree)
            case _:
                self._tree(tuple(parts(tree)))

    def _nested(self, tree: s.While | s.For | s.Try) -> None:
        """`break` belongs to a native loop, a bare `raise` to a native `except` clause."""
        if isinstance(tree, s.Try):
            self._tree((tree.body, tree.orelse, tree.final))
            for clause in tree.handlers:
                self.variables(clause.variable)
                self._handlers += 1
                self._tree(clause.body)
                self._handlers -= 1
            return
        self._tree((tree.test,) if isinstance(tree, s.While) else (tree.target, tree.iterable))
        self._loops += 1
        self._tree(tree.body)
        self._loops -= 1
        self._tree(tree.orelse)

    def _binding(self, names: Iterable[str], *trees: Any) -> None:
        before = self._bound
        self._bound = before | frozenset(names)
        self._tree(trees)
        self._bound = before

    # --- rules

    def _check(self, holds: bool, problem: str) -> None:
        if not holds:
            self._fail(problem)

    def _fail(self, problem: str) -> NoReturn:
        raise MachineError(f"{self._place}: {problem}")

    def one_of(self, name: str, allowed: Iterable[str]) -> None:
        """A name of the vocabulary."""
        self._check(name in allowed, f"'{name}' is not in the vocabulary")

    def _path(self, path: str) -> None:
        self._check(all(_is_public(name) for name in path.split(".")), f"'{path}' is no path of fields")

    def variables(self, *names: str | None) -> None:
        """Names of variables."""
        self._check(all(name is None or _is_variable(name) for name in names), f"{names} are no variables")

    def named(self, name: str | None) -> None:
        """A name that users may give."""
        allowed = name is None or (name.isidentifier() and not name.startswith("__"))
        self._check(allowed, f"the name '{name}' is not allowed")

    def attribute(self, tree: e.Attribute) -> None:
        """An attribute is public."""
        self._check(_is_public(tree.name), f"the attribute '{tree.name}' is not allowed")

    def bound(self, tree: e.Bound) -> None:
        """A bound name has a comprehension, lambda or predicate around that binds it."""
        self._check(tree.name in self._bound, f"'{tree.name}' is bound by nothing around it")

    def captured(self, tree: e.Captured) -> None:
        """A captured name is one of the machine's constants."""
        self.one_of(tree.name, self._constants)

    def compare(self, tree: e.Compare) -> None:
        """Known operators, one operand each."""
        for op in tree.ops:
            self.one_of(op, COMPARE)
        self._check(0 < len(tree.ops) == len(tree.operands), "a comparison lacks operands")

    def dict_of(self, tree: e.DictOf) -> None:
        """As many keys as values."""
        self._check(len(tree.keys) == len(tree.values), "a dict display lacks values")

    def called(self, tree: e.PureCall | m.CallFlow) -> None:
        """A function of the machine, of the right kind."""
        kind = "pure" if isinstance(tree, e.PureCall) else "subflow"
        self._check(self._kinds.get(tree.function) == kind, f"'{tree.function}' is no {kind} function of the machine")

    def run_input(self, tree: m.CallChild | m.StartRun) -> None:
        """Every keyword has a place in the input of the run."""
        names = [keyword.name for keyword in tree.keywords]
        self._check(sorted(tree.order) == sorted(map(str, names)), f"passes {names} in the order {list(tree.order)}")

    def cases(self, tree: m.Choose | s.Match) -> None:
        """Patterns that Python would take, and nothing behind one that takes everything."""
        ways = tree.ways if isinstance(tree, m.Choose) else tree.cases
        self._check(bool(ways), "a match has no cases")
        for way in ways:
            for flaw in pattern_flaws(way.pattern):
                self._fail(flaw)
        whole = [way.guard is None and p.is_irrefutable(way.pattern) for way in ways]
        self._check(not any(whole[:-1]), "a case stands behind one that takes everything")
        if isinstance(tree, m.Choose):
            self._check(whole[-1] == (tree.orelse is None), "a match has a way on where none is left, or lacks one")

    def class_pattern(self, tree: p.ClassPattern) -> None:
        """A class that users may name, and public fields."""
        self.named(tree.cls)
        for name in tree.names:
            self._check(_is_public(name), f"the attribute '{name}' is not allowed")

    def inside_loop(self, tree: s.BreakLoop | s.ContinueLoop) -> None:
        """Native `break` and `continue` have a native loop."""
        self._check(self._loops > 0, f"'{type(tree).__name__}' stands outside a loop")

    def inside_handler(self, _: s.Rethrow) -> None:
        """A native bare `raise` has a native `except`."""
        self._check(self._handlers > 0, "'Rethrow' stands outside an except clause")

    def wait(self, tree: m.WaitFor) -> None:
        """Key paths, frozen variables and `since`."""
        for path, _ in tree.keys:
            self._path(path)
        self.variables(*tree.frozen)
        self.one_of(tree.since, {"start", "now"})

    def scope(self, tree: m.OpenScope | m.CloseScope) -> None:
        """A known kind of scope, on a token of its own; a timeout has a duration, a saga has none."""
        self.one_of(tree.kind, SCOPES)
        if isinstance(tree, m.OpenScope):
            self._check((tree.kind == "timeout") == (tree.duration is not None), f"has a {tree.kind} with a wrong duration")

    def branches(self, tree: m.Group | m.FanOutGroup) -> None:
        """A known kind of group, whose branches wait for something."""
        self.one_of(tree.kind, GROUPS if isinstance(tree, m.Group) else FAN_OUTS)
        branches = tree.branches if isinstance(tree, m.Group) else (tree.branch,)
        self._check(not any(isinstance(each, m.OpenScope | m.CloseScope) for each in branches), "has a scope for a branch")


def _names(pick: Callable[[Any], tuple[str | None, ...]]) -> Callable[[_Verification, Any], None]:
    return lambda verification, tree: verification.variables(*pick(tree))


def _name(pick: Callable[[Any], str | None]) -> Callable[[_Verification, Any], None]:
    return lambda verification, tree: verification.named(pick(tree))


def _listed(pick: Callable[[Any], str], allowed: Iterable[str]) -> Callable[[_Verification, Any], None]:
    return lambda verification, tree: verification.one_of(pick(tree), allowed)


_RULES: dict[type, Callable[[_Verification, Any], None]] = {
    e.Local: _names(lambda tree: (tree.name,)),
    e.Assigned: _names(lambda tree: (tree.name,)),
    e.Matches: _names(lambda tree: (tree.variable,)),
    s.Delete: _names(lambda tree: (tree.name,)),
    m.Advance: _names(lambda tree: (tree.cursor,)),
    m.Suspend: _names(lambda tree: (tree.result, *tree.live)),
    m.Reraise: _names(lambda tree: (tree.variable,)),
    m.Resume: _names(lambda tree: (tree.record,)),
    e.Lambda: _names(lambda tree: tree.parameters),
    e.Keyword: _name(lambda tree: tree.name),
    e.ClassRef: _name(lambda tree: tree.name),
    e.New: _name(lambda tree: tree.cls),
    e.Attribute: _Verification.attribute,
    e.Bound: _Verification.bound,
    e.Captured: _Verification.captured,
    e.Compare: _Verification.compare,
    e.DictOf: _Verification.dict_of,
    m.Choose: _Verification.cases,
    s.Match: _Verification.cases,
    p.ClassPattern: _Verification.class_pattern,
    p.CapturePattern: _names(lambda tree: (tree.name,)),
    p.StarPattern: _names(lambda tree: (tree.name,)),
    p.MappingPattern: _names(lambda tree: (tree.rest,)),
    e.PureCall: _Verification.called,
    m.CallFlow: _Verification.called,
    m.CallChild: _Verification.run_input,
    m.StartRun: _Verification.run_input,
    s.BreakLoop: _Verification.inside_loop,
    s.ContinueLoop: _Verification.inside_loop,
    s.Rethrow: _Verification.inside_handler,
    m.WaitFor: _Verification.wait,
    e.NamedConstant: _listed(lambda tree: tree.name, PURE_CONSTANTS),
    e.Unary: _listed(lambda tree: tree.op, UNARY),
    e.Binary: _listed(lambda tree: tree.op, BINARY),
    s.Augment: _listed(lambda tree: tree.op, BINARY),
    e.Logical: _listed(lambda tree: tree.op, ("and", "or")),
    e.Formatted: _listed(lambda tree: tree.conversion, ("", "s", "r", "a")),
    e.Comprehension: _listed(lambda tree: tree.kind, ("list", "set", "dict", "generator")),
    e.Call: _listed(lambda tree: tree.function, FUNCTIONS),
    e.Method: _listed(lambda tree: tree.name, METHODS),
    e.Recorded: _listed(lambda tree: tree.what, ("now", "uuid", "run_info")),
    e.Cursor: _listed(lambda tree: tree.kind, CURSORS),
    m.Group: _Verification.branches,
    m.FanOutGroup: _Verification.branches,
    m.OpenScope: _Verification.scope,
    m.CloseScope: _Verification.scope,
}


def _bound_names(tree: Any) -> Iterator[str]:
    """The names that the target of a clause binds."""
    if isinstance(tree, e.Clause):
        yield from _bound_names(tree.target)
    elif isinstance(tree, e.Bound):
        yield tree.name
    elif isinstance(tree, e.TupleOf | e.ListOf | e.Starred):
        for part in parts(tree):
            yield from _bound_names(part)


def _pure_calls(tree: Any) -> Iterator[str]:
    """The pure functions that are called anywhere in a tree."""
    if is_tuple(tree):
        for item in tree:
            yield from _pure_calls(item)
    elif hasattr(tree, "__dataclass_fields__"):
        if isinstance(tree, e.PureCall):
            yield tree.function
        yield from _pure_calls(tuple(parts(tree)))


def _is_variable(name: str) -> bool:
    """A name of the source, or one of the compiler's own: `$` and letters or digits."""
    return name.isidentifier() or (name.startswith("$") and name[1:].isalnum())


def _is_public(name: str) -> bool:
    return name.isidentifier() and not name.startswith("_")


def _reached(blocks: tuple[m.Block, ...]) -> set[int]:
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached.add(number)
            block = blocks[number]
            waiting += [*successors(block.terminator), *(() if block.handler is None else (block.handler,))]
    return reached
