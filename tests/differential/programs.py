"""A generated program, and the scopes of its functions."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.differential import kinds

FEATURES = (
    "await_in_expression", "short_circuit", "conditional", "comprehension", "await_comprehension", "walrus", "while", "for",
    "try", "finally", "raise", "return", "loop_jump", "subflow", "parallel", "sleep", "wait", "send", "alias", "mutate",
    "augment", "unpack", "model", "dataclass", "dict", "fstring", "optional", "assert", "delete", "recorded", "nested_group",
    "chain", "starred", "slices", "cancel_step", "cancel_time", "late", "on_failure", "on_cancel", "flow_branches",
    "parallel_waits", "effects", "workflow_retries", "trigger", "subflow_shapes", "fan_out", "nested_fan_out",
    "overrides", "subflow_values", "targets", "kept_errors", "own_events", "group_expressions", "sleep_until",
    "narrowing", "comprehensions", "nested_try", "annotations", "ends", "since", "awaits", "frames", *kinds.FEATURES,
)  # fmt: skip

APART = ("settle", "race", "child", "start", "snippets", "timeout_block", "saga_block", "match", "loop_else", "pure")
"""Features that are drawn by themselves, each in half of three programs of four: the others stay what they are when one is added,
and so do the seeds that are recorded for planted bugs."""

RUNS = frozenset({"settle", "race", "child", "start"})
"""Features that let runs work side by side."""


@dataclass
class Program:
    """One generated module and the data it is run with."""

    seed: int
    text: str
    argument: int
    events: list[tuple[int, str]]  # (n, text) of the pings that are there when the run starts
    features: frozenset[str]
    late: list[tuple[float, int, str]] = field(default_factory=list)  # (seconds after the start, n, text)
    cancel_after: float | None = None  # seconds after the start at which the run is cancelled
    cancel_during: float | None = None  # cancelled while this share of the calls of an uncancelled run has been made
    trigger: tuple[int, str] | None = None  # the ping that `flow` gets instead of the argument

    functions: str = ""  # the generated part of the text

    @property
    def name(self) -> str:
        """What to call the program in a message."""
        return f"seed {self.seed}"

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asks for its end."""
        return self.cancel_after is not None or self.cancel_during is not None

    @property
    def module(self) -> str:
        """The name of its module."""
        return f"generated_{self.seed}".replace("-", "corner_")


@dataclass
class Scope:
    """The definitely assigned variables, by type."""

    variables: dict[str, str] = field(default_factory=dict)
    in_loop: bool = False
    in_finally: bool = False
    ended: bool = False  # nothing behind this is reached
    frozen: frozenset[str] = frozenset()  # loop counters and iterated names: read only

    def child(self, **changes: object) -> Scope:
        scope = Scope(dict(self.variables), self.in_loop, self.in_finally, frozen=self.frozen)
        for name, value in changes.items():
            setattr(scope, name, value)
        return scope
