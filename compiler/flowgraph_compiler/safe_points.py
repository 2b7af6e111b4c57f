"""Whether a run that stands somewhere on one machine can go on from there on another: proven, or why it is not.

    old machine   charge -> wait for 'paid' -> ship           a run waits here, and holds `order` and `receipt`
    new machine   charge -> wait for 'paid' -> pack -> ship

A run can move where it only waits (for time, an event, the next attempt of a step), where the new machine waits for the same at
that place, inside the same scopes, and where each variable that the new machine reads from there on is held by the run and came
about in the same way: by the same statements and decisions on the ways to that place, from variables, constants, steps and
functions of which the same is true. What it waits for and the scopes are the same when that is true of what stands in them, too.
All else is not proven, whether or not it would go well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flowgraph_compiler import machine as m
from flowgraph_compiler.differences import action_title, moves, plain
from flowgraph_compiler.origins import Origins
from flowgraph_compiler.scopes import open_scopes
from flowgraph_compiler.ways import read_by

REFUSED = {
    "child": "it waits for a run of another workflow",
    "ending": "what it does is being ended",
    "undo": "a saga undoes what its steps did",
}
"""Why a place is no safe point, by the kind of what a run waits for there."""

_Caller = tuple[m.Action, Origins, Origins]
"""What has called a function: the action, and where the variables of its own function come from on both machines."""


class NotProven(Exception):
    """A run cannot move; the message completes "stays, because ..."."""


@dataclass(frozen=True)
class Call:
    """One call of a run: the number of its function, the block where it waits, the variables that it holds."""

    function: int
    block: int
    names: frozenset[str]


@dataclass(frozen=True)
class Place:
    """Where one thread of control is. `wait`: sleep, wait, step, group, or one of `REFUSED`; `busy`: an attempt of the step
    is under way. `index`: its number among the branches of a group. `undos`: the sites of the compensations that it may call."""

    frames: tuple[Call, ...]
    wait: str
    busy: bool = False
    index: int = 0
    undos: tuple[str, ...] = ()
    branches: frozenset[Place] = frozenset()


@dataclass(frozen=True)
class Position:
    """Where a run is. `phase`: body, or the handler that it runs; `cancelling`: it was asked to end."""

    phase: str
    cancelling: bool
    main: Place


def prove(old: m.Machine, new: m.Machine, position: Position) -> None:
    """Return when a run at that position of the old machine can go on with the new one. Raises `NotProven` with the reason."""
    if position.cancelling:
        raise NotProven("it is being cancelled")
    if position.phase != "body":
        raise NotProven(f"it runs '{position.phase}'")
    _same_frame(old, new)
    same = moves(old, new) and old.manifest.steps == new.manifest.steps
    _Proof(old, new, same).place(position.main, None, [])


def _same_frame(old: m.Machine, new: m.Machine) -> None:
    """What is settled when a run starts."""
    settled = (
        ("the parameters", old.functions[0].parameters + old.functions[0].keyword_only, _all_parameters(new)),
        ("how runs start", old.parameter_kind, new.parameter_kind),
        ("the timeout of the run", old.timeout, new.timeout),
        ("the limits of runs", _run_limits(old), _run_limits(new)),
        ("'cancel_on'", _watches(old), _watches(new)),
    )
    for what, before, after in settled:
        if before != after:
            raise NotProven(f"{what} changed")


def _all_parameters(machine: m.Machine) -> tuple[str, ...]:
    return machine.functions[0].parameters + machine.functions[0].keyword_only


def _run_limits(machine: m.Machine) -> list[m.Limit]:
    return [limit for limit in machine.limits if limit.scope == "run"]


def _watches(machine: m.Machine) -> list[Any]:
    return [plain(function) for function in machine.functions if function.name in machine.cancel_on]


def block_at(machine: m.Machine, function: str, site: str) -> int | None:
    """The block of a function that waits at a site, None where there is none, or several."""
    found = next((one for one in machine.functions if one.name == function), None)
    blocks = enumerate(() if found is None else found.blocks)
    waiting = [(number, block.terminator) for number, block in blocks if isinstance(block.terminator, m.Suspend)]
    alike = [number for number, suspended in waiting if suspended.action.site == site]
    return alike[0] if len(alike) == 1 else None


class _Proof:
    """`same`: the machines have the same states, so that a variable of one is the same variable of the other."""

    def __init__(self, old: m.Machine, new: m.Machine, same: bool) -> None:
        self._old = old
        self._new = new
        self._same = same
        self._functions = {function.name: function for function in new.functions}

    def place(self, place: Place, action: m.Action | None, callers: list[_Caller]) -> None:
        """One thread of control; `action`: the branch that it is, of a group that the last of the `callers` has opened."""
        if place.wait in REFUSED and not (self._same and place.wait == "child"):
            raise NotProven(REFUSED[place.wait])
        callers = list(callers)
        for call in place.frames:
            action = self._frame(call, callers)
        if action is None:
            raise NotProven("it has not begun")
        self._scopes(place)
        self._waits(place, action)
        if place.frames and not self._same:
            _, before, after = callers[-1]
            _made_alike(read_by(action), callers)
            _used_alike(action, before, after)
            for ended in _ended(action, place):
                _same_result(ended, before, after)
        for branch in place.branches:
            self.place(branch, _branch(action, branch.index), callers)

    def _frame(self, call: Call, callers: list[_Caller]) -> m.Action:
        """One call: the action where it waits, with all that the new machine reads from there on."""
        old = self._old.functions[call.function]
        suspended = old.blocks[call.block].terminator
        assert isinstance(suspended, m.Suspend)
        action, number = suspended.action, block_at(self._new, old.name, suspended.action.site)
        if number is None:
            raise NotProven(f"the new code has no {action_title(action)} at this place")
        new = self._functions[old.name]
        there = new.blocks[number].terminator
        assert isinstance(there, m.Suspend)
        if plain(action) != plain(there.action):
            raise NotProven(f"the {action_title(action)} that it is at changed")
        if not self._same:
            before, after = Origins(self._old, old, call.block), Origins(self._new, new, number)
            for name in there.live:
                _held(name, call, name in suspended.live, before, after)
            callers.append((action, before, after))
            _called_alike(there.live, callers)
        return action

    def _scopes(self, place: Place) -> None:
        """The same scopes are open in the new machine, frame by frame."""
        for call in place.frames:
            old = self._old.functions[call.function]
            new = self._functions[old.name]
            action = _action(old.blocks[call.block])
            number = block_at(self._new, old.name, action.site)
            assert number is not None
            sites = open_scopes(old.blocks).get(call.block, ())
            if sites != open_scopes(new.blocks).get(number, ()) or not all(self._same_scope(old, new, site) for site in sites):
                raise NotProven(f"the scopes around the {action_title(action)} changed")
        self._compensations(place)

    def _same_scope(self, old: m.Function, new: m.Function, site: str) -> bool:
        """Whether a scope was opened alike: the deadline of a `timeout` stays what it was then."""
        if self._same:
            return True
        before, after = Origins(self._old, old, _opening(old, site)), Origins(self._new, new, _opening(new, site))
        opened, again = _action(old.blocks[before.block]), _action(new.blocks[after.block])
        changed = (before.difference(after, name) for name in read_by(opened))
        return opened == again and before.used(after, opened) is None and all(one is None for one in changed)

    def _compensations(self, place: Place) -> None:
        old_undos, new_undos = ({one.site: plain(one) for one in _compensations(each)} for each in (self._old, self._new))
        for undo in place.undos:
            if old_undos.get(undo) != new_undos.get(undo):
                raise NotProven(f"the compensation at '{undo}' changed")
            self._signature(old_undos[undo].step)

    def _waits(self, place: Place, action: m.Action) -> None:
        """What it waits for is no more than that, and gives the same."""
        if place.busy:
            raise NotProven(f"step '{action.step}' is running" if isinstance(action, m.CallStep) else "a step is running")
        for step in {one.step for one in _steps(action)}:
            self._signature(step)

    def _signature(self, step: str) -> None:
        before, after = ({need.name: need for need in one.manifest.steps}.get(step) for one in (self._old, self._new))
        if before != after:
            raise NotProven(f"the signature of step '{step}' changed")


def _held(name: str, call: Call, was_live: bool, before: Origins, after: Origins) -> None:
    """The run has a variable that the new machine reads, or neither machine would have bound it on the way."""
    changed = before.difference(after, name)
    if name not in call.names:
        if after.is_bound(name) and not (was_live and changed is None):
            raise NotProven(f"the new code reads '{name}', which the run does not hold")
    elif name in before.records | after.records:
        raise NotProven("it is on its way out of a block")
    elif changed is not None:
        raise NotProven(changed)


def _made_alike(names: Iterable[str], callers: list[_Caller]) -> None:
    """Variables of the innermost function came about in the same way, and so did what they come from in those around it."""
    _, before, after = callers[-1]
    for name in names:
        changed = before.difference(after, name)
        if changed is not None:
            raise NotProven(changed)
    _called_alike(names, callers)


def _called_alike(names: Iterable[str], callers: list[_Caller]) -> None:
    """Where variables of the innermost function come from its parameters: it was called alike."""
    _, _, after = callers[-1]
    if len(callers) > 1 and after.arguments(list(names)):
        action, before, there = callers[-2]
        _used_alike(action, before, there)
        _made_alike(read_by(action), callers[:-1])


def _used_alike(action: m.Action, before: Origins, after: Origins) -> None:
    """The constants and functions in the operands of an action are the same."""
    for operands in _operands(action):
        _same_result(operands, before, after)


def _operands(action: m.Action) -> Iterator[Any]:
    match action:
        case m.CallStep() | m.CallFlow() | m.CallChild():
            yield (action.arguments, action.keywords)
        case m.Group(branches=branches):
            for branch in branches:
                yield from _operands(branch)
        case m.FanOutGroup(branch=branch):
            yield (action.clauses, action.limit)
            yield from _operands(branch)
        case _:
            yield action


def _same_result(tree: Any, before: Origins, after: Origins) -> None:
    """What a form has given is what it would give now from the same variables."""
    changed = before.used(after, tree)
    if changed is not None:
        raise NotProven(changed)


def _ended(action: m.Action, place: Place) -> Iterator[m.Action]:
    """The branches of a group that have given their results, as far as that is known."""
    match action:
        case m.Group(branches=branches):
            live = {branch.index for branch in place.branches}
            yield from (branch for index, branch in enumerate(branches) if index not in live)
        case m.FanOutGroup(branch=branch):
            yield branch
        case _:
            pass


def _action(block: m.Block) -> m.Action:
    assert isinstance(block.terminator, m.Suspend)
    return block.terminator.action


def _opening(function: m.Function, site: str) -> int:
    """The block that opens a scope."""
    ends = (block.terminator for block in function.blocks)
    return next(n for n, end in enumerate(ends) if isinstance(end, m.Suspend) and _opens(end.action, site))


def _opens(action: m.Action, site: str) -> bool:
    return isinstance(action, m.OpenScope) and action.site == site


def _branch(action: m.Action, index: int) -> m.Action:
    match action:
        case m.Group(branches=branches) if index < len(branches):
            return branches[index]
        case m.FanOutGroup(branch=branch):
            return branch
        case _:
            raise NotProven("a saga undoes what its steps did")


def _steps(action: m.Action) -> Iterator[m.CallStep]:
    match action:
        case m.CallStep():
            yield action
        case m.Group(branches=branches):
            for branch in branches:
                yield from _steps(branch)
        case m.FanOutGroup(branch=branch):
            yield from _steps(branch)
        case _:
            pass


def _compensations(machine: m.Machine) -> Iterable[m.Compensation]:
    for function in machine.functions:
        for block in function.blocks:
            if isinstance(block.terminator, m.Suspend):
                for step in _steps(block.terminator.action):
                    if step.compensation is not None:
                        yield step.compensation
