"""What changed between two machines of a workflow, in words: one sentence a change, in the order of the source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from flowgraph_compiler import machine as m
from flowgraph_compiler.notation import expression
from flowgraph_compiler.pretty import action_text, block_text, limit_text, trigger_text
from flowgraph_compiler.serialize import fingerprint
from flowgraph_compiler.traversal import is_tuple

_KINDS: dict[type, str] = {
    m.CallStep: "step", m.CallFlow: "subflow", m.CallChild: "workflow", m.StartRun: "start", m.SleepFor: "sleep",
    m.SleepTill: "sleep", m.WaitFor: "wait", m.SendEvent: "send",
}  # fmt: skip
_POLICY = {
    "retries": "retries",
    "kind": "backoff",
    "delay": "delay",
    "factor": "factor",
    "max": "longest delay",
    "jitter": "jitter",
    "timeout": "timeout",
}


def differences(old: m.Machine, new: m.Machine) -> list[str]:
    """What is new, gone or changed; empty for machines with the same fingerprint."""
    if fingerprint(old) == fingerprint(new):
        return []
    found = [*_start(old, new), *_actions(old, new), *_native(old, new), *_needs(old, new)]
    return found or ["something that has no words: compare the machines that 'flowgraph compile' writes"]


def moves(old: m.Machine, new: m.Machine) -> bool:
    """Whether every state of one machine is the same state of the other: only retries, timeouts of attempts, triggers and limits
    differ. A run of the old one could go on as a run of the new one wherever it is."""
    return _states(old) == _states(new)


def _states(machine: m.Machine) -> tuple[Any, ...]:
    functions = tuple(plain(function) for function in machine.functions)
    return functions, machine.constants, machine.on_failure, machine.on_cancel, machine.cancel_on, machine.parameter_kind


def plain(tree: Any) -> Any:
    """A form without retry policies and timeouts of attempts; the same object where it has none."""
    cls: Any = tree.__class__
    if cls is m.Policy:
        return m.Policy()
    if is_tuple(tree):
        items = tuple(plain(item) for item in tree)
        return items if any(one is not other for one, other in zip(items, tree, strict=True)) else tree
    if cls.__module__ != m.__name__ or not dataclasses.is_dataclass(tree):  # expressions and statements have no policies
        return tree
    found = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
    changed = {name: new for name, value in found.items() if (new := plain(value)) is not value}
    return replace(cast("Any", tree), **changed) if changed else tree


# --- how runs start and end


def _start(old: m.Machine, new: m.Machine) -> Iterator[str]:
    yield from _listed("trigger", map(trigger_text, old.triggers), map(trigger_text, new.triggers))
    yield from _listed("limit", map(limit_text, old.limits), map(limit_text, new.limits))
    yield from _changed("parameters", _parameters(old), _parameters(new))
    yield from _changed("the run's timeout", _seconds(old.timeout), _seconds(new.timeout))
    for what, before, after in (
        ("on_failure", old.on_failure, new.on_failure),
        ("on_cancel", old.on_cancel, new.on_cancel),
    ):
        yield from _changed(what, before or "none", after or "none")
    yield from _listed("cancel_on", old.cancel_on, new.cancel_on)


def _parameters(machine: m.Machine) -> str:
    main = machine.functions[0]
    defaults = dict(main.defaults)
    names = (*main.parameters, *main.keyword_only)
    return ", ".join(f"{name}={expression(defaults[name])}" if name in defaults else name for name in names) or "none"


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:g} s"


def _listed(what: str, old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    before, after = list(old), list(new)
    yield from (f"{what} is gone: {text}" for text in before if text not in after)
    yield from (f"{what} is new: {text}" for text in after if text not in before)


def _changed(what: str, old: str, new: str) -> Iterator[str]:
    if old != new:
        yield f"{what}: {old} -> {new}"


# --- what is awaited


def _actions(old: m.Machine, new: m.Machine) -> Iterator[str]:
    before, after = dict(_by_site(old)), dict(_by_site(new))
    for site, action in before.items():
        if site not in after:
            yield f"{action_title(action)} at '{site}' is gone"
    for site, action in after.items():
        if site not in before:
            yield f"{action_title(action)} at '{site}' is new"
        else:
            yield from _action(site, before[site], action)


def changed_sites(old: m.Machine, new: m.Machine) -> set[str]:
    """The sites of the actions that both machines have and that are not the same."""
    before, after = dict(_by_site(old)), dict(_by_site(new))
    needs = [{need.name: _signature(need) for need in machine.manifest.steps} for machine in (old, new)]
    return {
        site
        for site in before.keys() & after.keys()
        if any(_action(site, before[site], after[site])) or len({_signature_of(after[site], need) for need in needs}) > 1
    }


def _signature_of(action: m.Action, signatures: Mapping[str, str]) -> str | None:
    return signatures.get(action.step) if isinstance(action, m.CallStep) else None


def _action(site: str, old: m.Action, new: m.Action) -> Iterator[str]:
    title = f"{action_title(new)} at '{site}'"
    if isinstance(old, m.CallStep) and isinstance(new, m.CallStep):
        for field, name in _POLICY.items():
            yield from _changed(f"{title}: {name}", _value(old.policy, field), _value(new.policy, field))
        old = replace(old, policy=new.policy)
    if plain(_alone(old)) != plain(_alone(new)):
        yield f"{title} was: {_first_line(old)}; is: {_first_line(new)}"


def _value(policy: m.Policy, field: str) -> str:
    value = getattr(policy, field)
    if field in ("delay", "max", "timeout"):
        return _seconds(value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _alone(action: m.Action) -> Any:
    """A group without its branches, which are compared by themselves."""
    if isinstance(action, m.Group):
        return replace(action, branches=())
    return (action.site, action.kind, action.clauses, action.limit) if isinstance(action, m.FanOutGroup) else action


def _first_line(action: m.Action) -> str:
    return action_text(action).partition("\n")[0].partition(" at ")[0]


def action_title(action: m.Action) -> str:
    """What an action does, in two words: `step 'charge'`, `wait for 'Paid'`, `sleep`."""
    match action:
        case m.CallStep(step=name) | m.CallFlow(function=name) | m.CallChild(workflow=name) | m.StartRun(workflow=name):
            return f"{_KINDS[type(action)]} '{name}'"
        case m.WaitFor(cls=name):
            return f"wait for '{name}'"
        case m.Group(kind=kind) | m.FanOutGroup(kind=kind):
            return kind
        case _:
            return _KINDS.get(type(action), type(action).__name__)


def _by_site(machine: m.Machine) -> Iterator[tuple[str, m.Action]]:
    for function in machine.functions:
        for block in function.blocks:
            waiting = [block.terminator.action] if isinstance(block.terminator, m.Suspend) else []
            while waiting:
                action = waiting.pop(0)
                yield action.site, action
                waiting += action.branches if isinstance(action, m.Group) else ()
                waiting += (action.branch,) if isinstance(action, m.FanOutGroup) else ()


# --- what is computed, and what is stored


def _native(old: m.Machine, new: m.Machine) -> Iterator[str]:
    before, after = ({function.name: function for function in machine.functions} for machine in (old, new))
    yield from _listed("function", before, after)
    for name, function in after.items():
        if name in before:
            yield from _function(before[name], function)


def _function(old: m.Function, new: m.Function) -> Iterator[str]:
    title = f"{new.kind} '{new.name}'"
    if [_computed(block) for block in old.blocks] != [_computed(block) for block in new.blocks]:
        yield f"{title} computes or branches otherwise: {_first_change(old, new)}"
    before, after = _stored(old), _stored(new)
    for site in after:
        if site in before and before[site] != after[site]:
            more, less = sorted(after[site] - before[site]), sorted(before[site] - after[site])
            parts = [f"also {', '.join(more)}"] * bool(more) + [f"no longer {', '.join(less)}"] * bool(less)
            yield f"{title} stores {' and '.join(parts)} at '{site}'"


def _computed(block: m.Block) -> Any:
    """A block without what is told of it elsewhere: its action and what it stores."""
    end = block.terminator
    return replace(block, terminator=m.Goto(end.block) if isinstance(end, m.Suspend) else end, node="", lines=())


def _first_change(old: m.Function, new: m.Function) -> str:
    old_lines, new_lines = (
        [line for block in function.blocks for line in block_text(_computed(block)).split("\n")] for function in (old, new)
    )
    gone = next((line for line in old_lines if line not in new_lines), None)
    come = next((line for line in new_lines if line not in old_lines), None)
    return f"{gone or 'nothing'} -> {come or 'nothing'}"


def _stored(function: m.Function) -> dict[str, set[str]]:
    ends = [block.terminator for block in function.blocks]
    return {
        end.action.site: {name for name in end.live if not name.startswith("$")} for end in ends if isinstance(end, m.Suspend)
    }


# --- what the code must have


def _needs(old: m.Machine, new: m.Machine) -> Iterator[str]:
    before, after = ({need.name: need for need in machine.manifest.steps} for machine in (old, new))
    for name in before.keys() & after.keys():
        yield from _changed(f"the signature of step '{name}'", _signature(before[name]), _signature(after[name]))
    for kind in ("events", "classes"):
        old_fields, new_fields = dict(getattr(old.manifest, kind)), dict(getattr(new.manifest, kind))
        for name in sorted(old_fields.keys() & new_fields.keys()):
            what = f"the fields of {'event' if kind == 'events' else 'class'} '{name}'"
            yield from _changed(what, _shown(old_fields[name]), _shown(new_fields[name]))


def _signature(need: m.StepNeed) -> str:
    given = ", ".join(f"{name}: {tp}{' = ...' if optional else ''}" for name, tp, optional in need.parameters)
    return f"({given}) -> {need.result}"


def _shown(fields: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}: {tp}" for name, tp in fields) or "none"
