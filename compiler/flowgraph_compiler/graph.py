"""The typed step graph: one structured tree per workflow or subflow, made by `build`, read by `checks`, `lower` and diagrams.

Every await of the source is a node of its own here: operands that Python evaluates before an await are spilled to temporaries,
short circuits and conditional expressions with awaits are `Branch` nodes. Expressions inside nodes are await-free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from flowgraph.durations import Duration
from flowgraph.policies import Backoff
from flowgraph_compiler.expressions import Clause, Expr, Keyword, Target
from flowgraph_compiler.patterns import Pattern
from flowgraph_compiler.spans import NOWHERE, Span
from flowgraph_compiler.statements import Statement


@dataclass(frozen=True, slots=True)
class Node:
    """What all nodes have: an id that is unique in the machine and stable under unrelated edits, and the place in the source."""

    id: str
    span: Span = field(compare=False)


Body: TypeAlias = "tuple[AnyNode, ...]"


# --- straight lines


@dataclass(frozen=True, slots=True)
class Pure(Node):
    """One simple await-free statement (`Assign`, `Augment`, `Evaluate`, `Delete`)."""

    statement: Statement


@dataclass(frozen=True, slots=True)
class Invocation(Node):
    """What calls have: arguments, evaluated left to right, and the variable that takes the result (None: dropped)."""

    callee: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]
    result: str | None


@dataclass(frozen=True, slots=True)
class CallOverrides:
    """`.with_(...)` at a call, as the author wrote it: None where not given."""

    name: str | None = None
    retries: int | None = None
    backoff: Backoff | None = None
    timeout: Duration | None = None


@dataclass(frozen=True, slots=True)
class Step(Invocation):
    """A step call; `callee` is the step's persisted name."""

    overrides: CallOverrides = CallOverrides()


@dataclass(frozen=True, slots=True)
class Subflow(Invocation):
    """A call of a `@subflow`: a frame of the same machine."""


@dataclass(frozen=True, slots=True)
class Child(Invocation):
    """A workflow called and awaited: a run of its own. `defaults`: what the call leaves out before something that it gives, since
    a run's input is a list."""

    defaults: tuple[Keyword, ...] = ()


@dataclass(frozen=True, slots=True)
class Start(Invocation):
    """`start(workflow, ...)`: a run that nobody waits for; the result is its id. `defaults`: as those of `Child`."""

    defaults: tuple[Keyword, ...] = ()


@dataclass(frozen=True, slots=True)
class Sleep(Node):
    """`sleep(duration)`: a duration text or a timedelta."""

    duration: Expr
    result: str | None = None


@dataclass(frozen=True, slots=True)
class SleepUntil(Node):
    """`sleep_until(when)`: an aware datetime; the past means at once."""

    when: Expr
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Wait(Node):
    """`wait_for(event, where=, timeout=, since=)`.

    `keys` are the equalities that the index can answer: (path of the event's field, expression over the run's values).
    `residual` is the rest of `where` over `Bound(parameter)` and the frame's variables, or None. Both are evaluated exactly as
    Python would; the values they read are frozen when the wait is registered."""

    event: str  # the event class's bare name
    parameter: str
    keys: tuple[tuple[str, Expr], ...]
    residual: Expr | None
    timeout: Expr | None  # duration text or timedelta; None: `timeout=None` was written out
    since: str  # "start" or "now"
    result: str | None


@dataclass(frozen=True, slots=True)
class Send(Node):
    """`send(event)`: stored with the transition that sends it."""

    event: Expr
    result: str | None = None


# --- groups


@dataclass(frozen=True, slots=True)
class Parallel(Node):
    """`parallel(...)`, `settle(...)` or `race(...)` of calls written out: `kind` says which. The arguments of the branches are
    evaluated in the parent from left to right; a branch is one suspending node whose arguments are constants or temporaries."""

    kind: str
    branches: tuple[AnyNode, ...]
    result: str | None


@dataclass(frozen=True, slots=True)
class FanOut(Node):
    """`fan_out(call(x) for x in xs, limit=)` or `settle(...)` of a generator: one branch template over `Bound` targets."""

    kind: str  # "fan_out" or "settle"
    clauses: tuple[Clause, ...]
    branch: AnyNode
    limit: Expr | None
    result: str | None


# --- control


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """`if`; also made from short circuits, conditional expressions and asserts with awaits."""

    test: Expr
    then: Body
    orelse: Body


@dataclass(frozen=True, slots=True)
class Case:
    """One `case` of a `match`: tried when those before it did not match or their guards were false."""

    pattern: Pattern
    guard: Expr | None
    body: Body
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Match(Node):
    """`match`: the subject is evaluated once; without a case that matches, nothing happens."""

    subject: Expr
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class While(Node):
    """`while`: `before` runs before every test (awaits of the condition), then the test."""

    before: Body
    test: Expr
    body: Body
    orelse: Body = ()


@dataclass(frozen=True, slots=True)
class For(Node):
    """`for`: the iterable is evaluated once; with a suspension inside it becomes a storable cursor."""

    target: Target
    iterable: Expr
    body: Body
    orelse: Body = ()


@dataclass(frozen=True, slots=True)
class Handler:
    """One `except` clause: bare class names (`("BaseException",)` when it names none) and the variable or None."""

    names: tuple[str, ...]
    variable: str | None
    body: Body
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Try(Node):
    """`try` with all its parts, structured; `lower` turns it into handlers and a completion record."""

    body: Body
    handlers: tuple[Handler, ...]
    orelse: Body
    final: Body


@dataclass(frozen=True, slots=True)
class Scope(Node):
    """`async with timeout(...)` (`kind` "timeout", with `duration`) or `async with saga()` (`kind` "saga")."""

    kind: str
    duration: Expr | None
    body: Body


@dataclass(frozen=True, slots=True)
class Return(Node):
    """`return value`."""

    value: Expr | None


@dataclass(frozen=True, slots=True)
class Raise(Node):
    """`raise exception from cause`; without an exception, the one that the enclosing handler handles is raised again."""

    exception: Expr | None
    cause: Expr | None = None


@dataclass(frozen=True, slots=True)
class Break(Node):
    """`break` of the innermost loop."""


@dataclass(frozen=True, slots=True)
class Continue(Node):
    """`continue` of the innermost loop."""


Suspension: TypeAlias = Step | Subflow | Child | Start | Sleep | SleepUntil | Wait | Send | Parallel | FanOut
AnyNode: TypeAlias = Pure | Suspension | Branch | Match | While | For | Try | Scope | Return | Raise | Break | Continue
SUSPENSIONS = (Step, Subflow, Child, Start, Sleep, SleepUntil, Wait, Send, Parallel, FanOut)


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """One compiled function: a workflow, a subflow, or a `@pure` helper (whose body has no suspension).

    `parameters` in order; `defaults` for the trailing ones; `types` holds the inferred type of each variable that has one."""

    name: str
    kind: str  # "workflow", "subflow" or "pure"
    parameters: tuple[str, ...]
    defaults: tuple[tuple[str, Expr], ...]
    keyword_only: tuple[str, ...]
    body: Body
    span: Span = field(compare=False)
    variable_types: dict[str, object] = field(default_factory=dict[str, object], compare=False)
    result_type: object = field(default=None, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Every parameter, the keyword-only ones last."""
        return (*self.parameters, *self.keyword_only)


@dataclass(frozen=True, slots=True)
class WorkflowGraph:
    """A workflow with everything its machine contains: its own function first, then the subflows and pure helpers it reaches."""

    name: str
    functions: tuple[FlowGraph, ...]
    on_failure: str | None  # name of the function among `functions` that runs the handler (parameters: trigger, error)
    on_cancel: str | None  # same (parameter: trigger)
    constants: dict[str, object]  # captured module globals: key -> Python value
    where: tuple[str, Expr] | None = None  # the trigger's predicate: its parameter and an expression over `Bound(parameter)`
    keys: tuple[tuple[str, Expr] | None, ...] = ()  # the same for the key of each `Concurrency` in `concurrency=`, None without
    cancel_on: tuple[str, ...] = ()  # the functions that wait for what cancels the run (parameter: the trigger)

    @property
    def main(self) -> FlowGraph:
        """The workflow's own function."""
        return self.functions[0]


def bodies(node: AnyNode) -> Iterator[Body]:
    """The bodies directly inside a node, in source order."""
    match node:
        case Branch():
            yield from (node.then, node.orelse)
        case Match():
            yield from (case.body for case in node.cases)
        case While():
            yield from (node.before, node.body, node.orelse)
        case For():
            yield from (node.body, node.orelse)
        case Try():
            yield node.body
            yield from (handler.body for handler in node.handlers)
            yield from (node.orelse, node.final)
        case Scope():
            yield node.body
        case Parallel():
            yield node.branches
        case FanOut():
            yield (node.branch,)
        case _:
            pass


_COMPOUND = (Branch, Match, While, For, Try, Scope, Parallel, FanOut)


def walk(body: Body) -> Iterator[AnyNode]:
    """All nodes of a body and below, in source order."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _COMPOUND):
            for inner in reversed(tuple(bodies(node))):
                waiting.extend(reversed(inner))


def suspends(node: AnyNode) -> bool:
    """Whether the node or anything inside it is a suspension."""
    return any(isinstance(inner, SUSPENSIONS) for inner in walk((node,)))
