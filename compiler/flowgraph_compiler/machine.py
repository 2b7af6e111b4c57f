"""The state machine: what a workflow compiles to. Data only: canonical JSON, the same bytes on every Python version.

A function is a list of basic blocks; a block is pure ops and one terminator. A token runs a stack of frames; a frame is
(function, block, variables). An exception that leaves a block's ops, or that is delivered at its terminator, continues in the
block named by `Block.handler` with the exception in variable `Block.caught`, or pops the frame where there is none.

Vocabulary of the main terminators, before and after::

    payment = await charge(order.id)      ->    b1: call step `charge` at site `pay/charge` (order.id) -> payment; then b2
    await parallel(a(x), b(y))            ->    b2: group parallel [step a (x), step b (y)] -> _; then b3
    try: ... finally: ...                 ->    the final blocks once, entered with a completion record in a `$done` variable,
                                                left by `Resume` (see `Completion`)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from flowgraph_compiler.expressions import Clause, Expr, Keyword, Target
from flowgraph_compiler.patterns import Pattern
from flowgraph_compiler.spans import NOWHERE, Span
from flowgraph_compiler.statements import Statement

BEGIN = "/$begin"
"""End of the site of the pause before the body of a workflow with `cancel_on=`; it is no node of the author's."""

FORMAT = 1
"""Version of the machine's JSON form; an engine refuses another one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Retry policy in numbers: `retries` after the first attempt; delays in seconds; None in a field: not given at this level."""

    retries: int | None = None
    kind: str | None = None  # "exponential", "linear" or "fixed"
    delay: float | None = None
    factor: float | None = None
    max: float | None = None
    jitter: float | None = None
    timeout: float | None = None  # seconds per attempt


# --- what a token can wait for: the actions of terminators and of group branches


@dataclass(frozen=True, slots=True)
class Compensation:
    """What undoes a completed call of a step when a saga around it fails: another step, called with the same arguments."""

    site: str
    step: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class CallStep:
    """Run a step. `site` is the step's identity in the run (flow path + name + ordinal); `policy` is already merged by the
    precedence of the language page (`.with_()` > `@step` > calling workflow > default), so every field of it is a value
    (timeout stays None for none). `compensation`: only in machines that have a saga."""

    site: str
    step: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]
    policy: Policy
    compensation: Compensation | None = None


@dataclass(frozen=True, slots=True)
class CallFlow:
    """Push a frame of a subflow."""

    site: str
    function: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, slots=True)
class CallChild:
    """Start a run of another workflow and wait for its end. Its input is the arguments, then the keywords in this `order`."""

    site: str
    workflow: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StartRun:
    """Start a run of another workflow; the result is its id, at once. Its input: as that of `CallChild`."""

    site: str
    workflow: str
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SleepFor:
    """Sleep for a duration: text or timedelta."""

    site: str
    duration: Expr


@dataclass(frozen=True, slots=True)
class SleepTill:
    """Sleep until an aware datetime; the past means at once."""

    site: str
    when: Expr


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Wait for an event: see `graph.Wait`. `event` is the wire name, `cls` the class's bare name, `names` every wire name that
    matches (subclasses, for a wildcard base). `frozen` are the variables that the residual reads, copied when the wait is
    registered."""

    site: str
    event: str
    cls: str
    names: tuple[str, ...]
    parameter: str
    keys: tuple[tuple[str, Expr], ...]
    residual: Expr | None
    frozen: tuple[str, ...]
    timeout: Expr | None
    since: str


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Store an event and match it, with the transition that sends it."""

    site: str
    event: Expr


@dataclass(frozen=True, slots=True)
class Group:
    """`kind` is `parallel`, `settle` or `race`: one child token per branch, joined by a counter."""

    site: str
    kind: str
    branches: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class FanOutGroup:
    """`kind` is `fan_out` or `settle`: one child token per element that the clauses yield, at most `limit` at a time."""

    site: str
    kind: str
    clauses: tuple[Clause, ...]
    branch: Action
    limit: Expr | None


@dataclass(frozen=True, slots=True)
class OpenScope:
    """Enter `async with timeout(duration)` or `async with saga()` (`kind` says which); nobody waits."""

    site: str
    kind: str
    duration: Expr | None


@dataclass(frozen=True, slots=True)
class CloseScope:
    """Leave the innermost scope, in the way that the completion record says (see `Resume`). A timeout whose deadline has
    cancelled the block raises `TimeoutError` in the place of `Cancelled`; a saga that an exception leaves waits for the
    compensations, else it hands them to the saga around it."""

    site: str
    kind: str
    record: Expr


Action: TypeAlias = (
    CallStep
    | CallFlow
    | CallChild
    | StartRun
    | SleepFor
    | SleepTill
    | WaitFor
    | SendEvent
    | Group
    | FanOutGroup
    | OpenScope
    | CloseScope
)


# --- terminators


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on in another block."""

    block: int


@dataclass(frozen=True, slots=True)
class Test:
    """Two ways on."""

    test: Expr
    then: int
    orelse: int


@dataclass(frozen=True, slots=True)
class Way:
    """One way of a `Choose`: where to go when the pattern matches and the guard, if there is one, holds."""

    pattern: Pattern
    guard: Expr | None
    block: int


@dataclass(frozen=True, slots=True)
class Choose:
    """A `match` with a suspension inside: the first way that takes the subject; `orelse` when none does, None where the last way
    takes everything."""

    subject: Expr
    ways: tuple[Way, ...]
    orelse: int | None


@dataclass(frozen=True, slots=True)
class Advance:
    """One round of a `for` with a suspension inside: take the next item of the cursor in `cursor`, assign it to `target` and go
    to `body`, or go to `done`."""

    cursor: str
    target: Target
    body: int
    done: int


@dataclass(frozen=True, slots=True)
class Suspend:
    """Do the action and go to `block` when it has a result, which goes into `result` (None: dropped). `live` are the variables
    that are read afterwards; only these are stored."""

    action: Action
    result: str | None
    block: int
    live: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finish:
    """`return value`: pop the frame; the last frame of the main token ends the run."""

    value: Expr | None


@dataclass(frozen=True, slots=True)
class Fail:
    """`raise exception from cause`."""

    exception: Expr
    cause: Expr | None


@dataclass(frozen=True, slots=True)
class Reraise:
    """Raise the exception held in a variable again, unchanged."""

    variable: str


@dataclass(frozen=True, slots=True)
class Resume:
    """The end of a `finally` body: go on as the completion record says.

    The record variable holds a tuple made by ordinary ops: `("next",)`, `("raise", exception)`, `("return", value)` or
    `("jump", n)`. `next` goes to `normal`; `raise` raises; `return` goes to `returns` with the value in `$return`
    (an outer `finally`, or a `Finish` block); `jump n` goes to `jumps[n]` (break and continue targets)."""

    record: str
    normal: int | None
    returns: int | None
    jumps: tuple[int, ...]


Terminator: TypeAlias = Goto | Test | Choose | Advance | Suspend | Finish | Fail | Reraise | Resume


@dataclass(frozen=True, slots=True)
class Block:
    """`handler`: the block that takes an exception, and `caught` the variable for it. `shields`: how many `finally` bodies
    it is in, where no `Cancelled` from outside of them is delivered. `node`: the graph node of the terminator; `lines`: source
    line of each op, then of the terminator."""

    ops: tuple[Statement, ...]
    terminator: Terminator
    handler: int | None = None
    caught: str | None = None
    shields: int = 0
    node: str = ""
    lines: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Function:
    """`kind` is `workflow`, `subflow` or `pure` (a pure one has a single block of native ops and `Finish`)."""

    name: str
    kind: str
    parameters: tuple[str, ...]
    defaults: tuple[tuple[str, Expr], ...]
    keyword_only: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One row of a run page: a durable node in source order. `kind` is `step`, `sleep`, `wait`, `send`, `parallel`, `fan_out`,
    `child`, `start`, `subflow`, `race`, `settle`, `compensation`; `site` joins it to visits; `parent` is the group it is a branch
    of, or the step that it undoes."""

    id: str
    site: str
    name: str
    kind: str
    line: int
    parent: str | None = None
    function: str = ""


@dataclass(frozen=True, slots=True)
class StepNeed:
    """What the machine needs of a step: parameter names, printed types, whether a default exists; printed result type."""

    name: str
    parameters: tuple[tuple[str, str, bool], ...]
    result: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What running the machine needs of the code that is deployed: checked before a worker claims its runs."""

    steps: tuple[StepNeed, ...]
    events: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # wire name -> (field, printed type)
    classes: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # stored classes: bare name -> (field, printed type)
    workflows: tuple[str, ...]  # called or started


@dataclass(frozen=True, slots=True)
class KeyPath:
    """An event field path that waits of this machine look up by; registered before the machine's first run."""

    event: str
    path: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """`kind` is `event` or `cron`; `names` are the wire names that match; `where` is a predicate over `Bound(parameter)`.
    A schedule has five fields in `cron`; `jitter` are seconds; `catch_up` and `overlap` are those of `flowgraph.Cron`."""

    kind: str
    names: tuple[str, ...] = ()
    parameter: str | None = None
    where: Expr | None = None
    cron: str | None = None
    zone: str | None = None
    catch_up: str | None = None
    overlap: str | None = None
    jitter: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A concurrency limit: at most `limit` executing steps (`scope` is `step`) or live runs (`run`) for each value of the key.

    `pool` names what is counted: all machines of a workflow share it, whatever limit each of them has. `step`: only calls of this
    step, by whichever workflow. `key`: an expression over `Bound(parameter)`, the event that started the run; None: one count."""

    pool: str
    scope: str
    limit: int
    step: str | None = None
    parameter: str | None = None
    key: Expr | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """A compiled workflow. `functions[0]` is the workflow itself. `constants` are encoded by `flowgraph.codec` (JSON trees).

    `line` numbers, `file` and `nodes[*].line` are outside the fingerprint; everything else is inside."""

    workflow: str
    functions: tuple[Function, ...]
    on_failure: str | None
    on_cancel: str | None
    constants: tuple[tuple[str, str], ...]  # key -> codec JSON text
    triggers: tuple[Trigger, ...]
    parameter_kind: str  # "event", "batch", "cron", "parameters"
    timeout: float | None
    key_paths: tuple[KeyPath, ...]
    nodes: tuple[NodeInfo, ...]
    manifest: Manifest
    limits: tuple[Limit, ...] = ()
    cancel_on: tuple[str, ...] = ()  # functions that run beside the first one; the run is cancelled when one of them ends
    file: str = field(default="", compare=False)
    format: int = FORMAT
    span: Span = field(default=NOWHERE, compare=False)
