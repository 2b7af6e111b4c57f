"""The worst case of a workflow: attempts of each step site, and wall time, both read off the machine's blocks.

Time counts what the workflow orders (sleeps, deadlines of waits, timeouts of attempts, backoff), not queueing, nor its own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from graphlib import TopologicalSorter

from flowgraph.durations import DurationError, parse_duration
from flowgraph_compiler import machine as m
from flowgraph_compiler.backoffs import delay
from flowgraph_compiler.explore.plan import KNOWN_TERMINATORS, Plan
from flowgraph_compiler.expressions import Const, Expr
from flowgraph_compiler.jumps import successors


@dataclass(frozen=True)
class Attempts:
    """Of one step site: attempts of each call, and how many calls there can be (None: no bound)."""

    site: str
    step: str
    line: int
    each: int
    calls: int | None

    @property
    def most(self) -> int | None:
        """All attempts; None: no bound."""
        return None if self.calls is None else self.calls * self.each


@dataclass(frozen=True)
class WallTime:
    """`seconds` at most; None: unbounded, and `why`."""

    seconds: float | None
    why: str | None = None

    def then(self, other: WallTime) -> WallTime:
        """One after the other."""
        if self.seconds is None or other.seconds is None:
            return self if self.seconds is None else other
        return WallTime(self.seconds + other.seconds)


NO_TIME = WallTime(0.0)


def longest(times: Iterator[WallTime]) -> WallTime:
    """The worst of several ways."""
    worst = NO_TIME
    for time in times:
        if time.seconds is None:
            return time
        worst = max(worst, time, key=lambda one: one.seconds or 0.0)
    return worst


def delays(policy: m.Policy) -> float:
    """All backoff of a step that fails each time, at its longest."""
    most, jitter = policy.max or 0.0, 1 + (policy.jitter or 0.0)
    return sum(min(delay(policy, retry) * jitter, most) for retry in range(1, (policy.retries or 0) + 1))


# --- one workflow


@dataclass(eq=False)
class Worst:
    """Works out the worst cases of one machine."""

    plan: Plan

    def wall_time(self) -> WallTime:
        """Of the run, its handlers included."""
        machine = self.plan.machine
        handlers = (self.function(name) for name in (machine.on_failure, machine.on_cancel) if name is not None)
        return self.function(machine.functions[0].name).then(longest(handlers))

    def function(self, name: str) -> WallTime:
        """Of one call of a function: the longest way through its blocks."""
        blocks = self.plan.functions[name].blocks
        groups = _strong(blocks)
        times: dict[int, WallTime] = {}
        for group in groups:  # what is reached comes first
            own = self._group(name, group, blocks)
            after = longest(times[target] for number in group for target in _targets(blocks[number]) if target not in group)
            times.update(dict.fromkeys(group, self._within(name, group, own.then(after), times)))
        return times[0]

    def _within(self, name: str, group: frozenset[int], time: WallTime, times: dict[int, WallTime]) -> WallTime:
        """The time from a block on: that from a `timeout(...)` on is its duration, the clean-up in it, and what comes after."""
        blocks = self.plan.functions[name].blocks
        end = blocks[min(group)].terminator
        if len(group) > 1 or not isinstance(end, m.Suspend) or not isinstance(end.action, m.OpenScope):
            return time
        limit = _duration(end.action.duration, "")
        inside, close = _block_of_scope(blocks, end.block, end.action.site)
        if end.action.kind != "timeout" or close is None or limit.seconds is None:
            return time
        most = limit.then(self._clean_up(name, inside, blocks[min(group)].shields)).then(times[close])
        return most if time.seconds is None or (most.seconds is not None and most.seconds < time.seconds) else time

    def _clean_up(self, name: str, inside: frozenset[int], shields: int) -> WallTime:
        """What a deadline does not interrupt in these blocks: all `finally` bodies, also those of subflows."""
        blocks, total = self.plan.functions[name].blocks, NO_TIME
        for group in _strong(blocks):
            if min(group) in inside and blocks[min(group)].shields > shields:
                total = total.then(self._group(name, group, blocks))
            elif min(group) in inside:
                total = total.then(self._clean_up_below(name, group, blocks))
        return total

    def _clean_up_below(self, name: str, group: frozenset[int], blocks: tuple[m.Block, ...]) -> WallTime:
        total = NO_TIME
        for number in group:
            end = blocks[number].terminator
            for action, _ in _single(end.action) if isinstance(end, m.Suspend) else ():
                if isinstance(action, m.CallFlow):
                    every = frozenset(range(len(self.plan.functions[action.function].blocks)))
                    total = total.then(self._clean_up(action.function, every, 0))
        if total.seconds and _loops(group, blocks):
            return WallTime(None, f"the loop in line {self.plan.place(name, min(group)).line} has no bound")
        return total

    def _group(self, name: str, group: frozenset[int], blocks: tuple[m.Block, ...]) -> WallTime:
        """Of one block, or of a loop, which is bounded only if it takes no time."""
        own = longest(self._block(name, number, blocks[number]) for number in sorted(group))
        if own.seconds and _loops(group, blocks):
            line = min(self.plan.place(name, number).line or 1 for number in group)
            return WallTime(None, f"the loop in line {line} has no bound")
        return own

    def _block(self, name: str, number: int, block: m.Block) -> WallTime:
        end = block.terminator
        line = self.plan.place(name, number).line
        if isinstance(end, m.Suspend):
            return self._action(end.action, line)
        if type(end) not in KNOWN_TERMINATORS:
            return WallTime(None, f"'{type(end).__name__}' in line {line} is not known to exploration")
        return NO_TIME

    def _action(self, action: m.Action, line: int) -> WallTime:
        match action:
            case m.CallStep(step=step, policy=policy):
                if policy.timeout is None:
                    return WallTime(None, f"step '{step}' in line {line} has no timeout")
                return WallTime(policy.timeout * ((policy.retries or 0) + 1) + delays(policy))
            case m.SleepFor(duration=duration):
                return _duration(duration, f"the sleep in line {line} has no constant duration")
            case m.WaitFor(timeout=timeout):
                return _duration(timeout, f"the wait in line {line} has no constant timeout")
            case m.CallFlow(function=function):
                return self.function(function)
            case m.Group(branches=branches):
                return longest(self._action(branch, line) for branch in branches)
            case m.FanOutGroup():
                return self._fan_out(action, line)
            case m.SendEvent() | m.StartRun() | m.OpenScope():
                return NO_TIME
            case m.CloseScope():
                return self._undoing if action.kind == "saga" else NO_TIME
            case _:
                return WallTime(None, f"'{type(action).__name__}' in line {line} has no bound")

    @cached_property
    def _undoing(self) -> WallTime:
        """Of all compensations of the machine, one after the other."""
        total = NO_TIME
        for one in self.attempts():
            undo = self._undos.get(one.site)
            if undo is not None and one.calls is None:
                return WallTime(None, f"step '{undo.step}' in line {one.line} undoes any number of calls")
            if undo is not None:
                for _ in range(one.calls or 0):
                    total = total.then(self._action(undo, one.line))
        return total

    @cached_property
    def _undos(self) -> dict[str, m.CallStep]:
        """The compensations by their sites."""
        return {}

    def _fan_out(self, action: m.FanOutGroup, line: int) -> WallTime:
        one = self._action(action.branch, line)
        if action.limit is None or not one.seconds:
            return one
        return WallTime(None, f"the fan-out in line {line} has any number of elements")

    # --- attempts

    def attempts(self) -> list[Attempts]:
        """Of each step site, in the order of the nodes."""
        machine = self.plan.machine
        calls = dict.fromkeys(self.plan.functions, 0)
        entries = [machine.functions[0].name, *(name for name in (machine.on_failure, machine.on_cancel) if name is not None)]
        found: dict[str, Attempts] = {}
        counts: dict[str, int | None] = {**calls, **dict.fromkeys(entries, 1)}
        for name in self._callers_first():
            for action, often in self._calls(name):
                count = counts[name] if not often or counts[name] == 0 else None
                self._count(action, count, counts, found)
        order = {node.site: number for number, node in enumerate(machine.nodes)}
        return sorted(found.values(), key=lambda one: order.get(one.site, len(order)))

    def _count(self, action: m.Action, count: int | None, counts: dict[str, int | None], found: dict[str, Attempts]) -> None:
        if isinstance(action, m.CallFlow):
            before = counts[action.function]
            counts[action.function] = None if before is None or count is None else before + count
        elif isinstance(action, m.CallStep) and count != 0:
            known = found.get(action.site)
            total = count if known is None or count is None else None if known.calls is None else known.calls + count
            line = next((node.line for node in self.plan.machine.nodes if node.site == action.site), 0)
            found[action.site] = Attempts(action.site, action.step, line, (action.policy.retries or 0) + 1, total)
            if action.compensation is not None:
                undo = self._undos[action.compensation.site] = self.plan.undo(action.compensation)
                self._count(undo, count, counts, found)

    def _callers_first(self) -> list[str]:
        calls = {name: {a.function for a, _ in self._calls(name) if isinstance(a, m.CallFlow)} for name in self.plan.functions}
        return list(TopologicalSorter(calls).static_order())[::-1]

    def _calls(self, name: str) -> Iterator[tuple[m.Action, bool]]:
        """The single actions of a function, and whether each may be done any number of times in one call."""
        blocks = self.plan.functions[name].blocks
        for group in _strong(blocks):
            loops = _loops(group, blocks)
            for number in group:
                end = blocks[number].terminator
                if isinstance(end, m.Suspend):
                    yield from ((action, often or loops) for action, often in _single(end.action))


def _single(action: m.Action) -> Iterator[tuple[m.Action, bool]]:
    match action:
        case m.Group(branches=branches):
            for branch in branches:
                yield from _single(branch)
        case m.FanOutGroup(branch=branch):
            yield from ((inner, True) for inner, _ in _single(branch))
        case _:
            yield action, False


def _duration(duration: Expr | None, otherwise: str) -> WallTime:
    if isinstance(duration, Const) and isinstance(duration.value, str):
        try:
            return WallTime(parse_duration(duration.value) / timedelta(seconds=1))
        except DurationError:
            return WallTime(None, otherwise)
    return WallTime(None, otherwise)


# --- blocks that reach each other


def _targets(block: m.Block) -> tuple[int, ...]:
    return successors(block.terminator) + (() if block.handler is None else (block.handler,))


def _loops(group: frozenset[int], blocks: tuple[m.Block, ...]) -> bool:
    return len(group) > 1 or any(number in _targets(blocks[number]) for number in group)


def _block_of_scope(blocks: tuple[m.Block, ...], first: int, site: str) -> tuple[frozenset[int], int | None]:
    """The blocks inside a scope, and the one that closes it."""
    inside, waiting, close = set[int](), [first], None
    while waiting:
        number = waiting.pop()
        end = blocks[number].terminator
        if isinstance(end, m.Suspend) and isinstance(end.action, m.CloseScope) and end.action.site == site:
            close = number
        elif number not in inside:
            inside.add(number)
            waiting += _targets(blocks[number])
    return frozenset(inside), close


def _strong(blocks: tuple[m.Block, ...]) -> list[frozenset[int]]:
    """Blocks that reach each other, together; those that are reached before those that reach them (Tarjan, without recursion)."""
    return _Tarjan(blocks).groups()


class _Tarjan:
    def __init__(self, blocks: tuple[m.Block, ...]) -> None:
        self._blocks = blocks
        self._index: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._stack: list[int] = []
        self._groups: list[frozenset[int]] = []
        self._placed: set[int] = set()

    def groups(self) -> list[frozenset[int]]:
        for number in range(len(self._blocks)):
            if number not in self._index:
                self._from(number)
        return self._groups

    def _from(self, root: int) -> None:
        work = [(root, iter(self._enter(root)))]
        while work:
            number, targets = work[-1]
            target = next((target for target in targets if target not in self._placed), None)
            if target is None:
                work.pop()
                self._leave(number, [one for one, _ in work])
            elif target in self._index:
                self._low[number] = min(self._low[number], self._index[target])
            else:
                work.append((target, iter(self._enter(target))))

    def _enter(self, number: int) -> tuple[int, ...]:
        self._index[number] = self._low[number] = len(self._index)
        self._stack.append(number)
        return _targets(self._blocks[number])

    def _leave(self, number: int, above: list[int]) -> None:
        if self._low[number] == self._index[number]:
            at = self._stack.index(number)
            self._groups.append(frozenset(self._stack[at:]))
            self._placed.update(self._stack[at:])
            del self._stack[at:]
        if above:
            self._low[above[-1]] = min(self._low[above[-1]], self._low[number])
