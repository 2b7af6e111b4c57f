"""Compact, diffable text of graphs and machines, for golden tests and for people.

::

    function process(order)
      0:  charge: step charge(order.id) -> payment; goto 1
          live order
      1:  total = payment.amount
          finish total
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from flowgraph_compiler import graph as g
from flowgraph_compiler import machine as m
from flowgraph_compiler.expressions import Clause
from flowgraph_compiler.notation import (
    call_arguments,
    case_text,
    clause_text,
    except_clause,
    expression,
    from_cause,
    optional,
    statement,
    suite,
    target_text,
)

Lines: TypeAlias = Iterator[str]


def pretty(form: g.WorkflowGraph | m.Machine) -> str:
    """The text of a graph or a machine, ending with a newline."""
    lines = _graph(form) if isinstance(form, g.WorkflowGraph) else _machine(form)
    return "".join(f"{line}\n" for line in lines)


# --- graphs


def _graph(workflow: g.WorkflowGraph) -> Lines:
    yield f"graph {workflow.name}"
    yield from _handlers(workflow)
    yield from (f"constant {name} = {value!r}" for name, value in sorted(workflow.constants.items()))
    if workflow.where is not None:
        yield f"where {workflow.where[0]}: {expression(workflow.where[1])}"
    for function in workflow.functions:
        yield from suite(_header(function), function.body, _node)


def _handlers(form: g.WorkflowGraph | m.Machine) -> Lines:
    watches = [("cancel_on", name) for name in form.cancel_on]
    for event, name in (("on_failure", form.on_failure), ("on_cancel", form.on_cancel), *watches):
        if name is not None:
            yield f"{event} {name}"


def _header(function: g.FlowGraph | m.Function) -> str:
    defaults = dict(function.defaults)
    names = [*function.parameters, *(("*", *function.keyword_only) if function.keyword_only else ())]
    shown = [f"{name}={expression(defaults[name])}" if name in defaults else name for name in names]
    return f"{function.kind} {function.name}({', '.join(shown)})"


def _node(node: g.AnyNode) -> Lines:
    if isinstance(node, g.Pure):
        yield from statement(node.statement)
    elif isinstance(node, g.Parallel | g.FanOut):
        yield from _group_node(node)
    elif isinstance(node, g.SUSPENSIONS):
        yield f"{_into(node.result)}{_suspension(node)}  #{node.id}"
    else:
        yield from _control(node)


def _into(result: str | None) -> str:
    return "" if result is None else f"{result} = "


def _group_node(node: g.Parallel | g.FanOut) -> Lines:
    match node:
        case g.Parallel(kind=kind, branches=branches):
            yield from suite(f"{_into(node.result)}{kind}  #{node.id}", branches, _node)
        case g.FanOut(kind=kind, clauses=clauses, branch=branch, limit=limit):
            head = f"{_into(node.result)}{kind}{_option('limit', limit)} {_clauses(clauses)}  #{node.id}"
            yield from suite(head, (branch,), _node)


def _clauses(clauses: tuple[Clause, ...]) -> str:
    return " ".join(map(clause_text, clauses))


def _option(name: str, value: Any) -> str:
    return "" if value is None else f" {name} {expression(value)}"


def _suspension(node: g.AnyNode) -> str:
    match node:
        case g.Step(callee=callee, overrides=overrides):
            options = "" if overrides == g.CallOverrides() else f" {_overrides(overrides)}"
            return f"step {callee}({call_arguments(node.arguments, node.keywords)}){options}"
        case g.Subflow() | g.Child() | g.Start():
            return f"{type(node).__name__.lower()} {node.callee}({call_arguments(node.arguments, node.keywords)})"
        case g.Sleep(duration=duration):
            return f"sleep {expression(duration)}"
        case g.SleepUntil(when=when):
            return f"sleep until {expression(when)}"
        case g.Wait(event=event, parameter=parameter, keys=keys, residual=residual, timeout=timeout, since=since):
            return _wait(event, parameter, keys, residual, timeout, since)
        case g.Send(event=event):
            return f"send {expression(event)}"
        case _:
            raise TypeError(f"not a suspension: {node!r}")


def _overrides(overrides: g.CallOverrides) -> str:
    given = {name: getattr(overrides, name) for name in ("name", "retries", "backoff", "timeout")}
    return "with " + ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)


def _wait(event: str, parameter: str, keys: Any, residual: Any, timeout: Any, since: str) -> str:
    by = "".join(f" key {path} == {expression(value)}" for path, value in keys)
    where = "" if residual is None else f" where {parameter}: {expression(residual)}"
    return f"wait {event}{by}{where}{_option('timeout', timeout)}{' since now' if since == 'now' else ''}"


def _control(node: g.AnyNode) -> Lines:
    match node:
        case g.Branch(test=test, then=then, orelse=orelse):
            yield from suite(f"if {expression(test)}", then, _node)
            yield from optional("else", orelse, _node)
        case g.Match(subject=subject, cases=cases):
            yield f"match {expression(subject)}:"
            for each in cases:
                inner = [*suite(case_text(each.pattern, each.guard), each.body, _node)]
                yield from (f"  {line}" for line in inner)
        case g.While(before=before, test=test, body=body, orelse=orelse):
            yield from suite(f"while {expression(test)}", body, _node)
            yield from optional("before each test", before, _node)
            yield from optional("else", orelse, _node)
        case g.For(target=target, iterable=iterable, body=body, orelse=orelse):
            yield from suite(f"for {target_text(target)} in {expression(iterable)}", body, _node)
            yield from optional("else", orelse, _node)
        case g.Try():
            yield from _try(node)
        case g.Scope(kind=kind, duration=duration, body=body):
            yield from suite(f"scope {kind}{'' if duration is None else ' ' + expression(duration)}", body, _node)
        case g.Return(value=value):
            yield "return" if value is None else f"return {expression(value)}"
        case g.Raise(exception=exception, cause=cause):
            yield "raise" if exception is None else f"raise {expression(exception)}{from_cause(cause)}"
        case _:
            yield type(node).__name__.lower()


def _try(node: g.Try) -> Lines:
    yield from suite("try", node.body, _node)
    for handler in node.handlers:
        yield from suite(except_clause(handler.names, handler.variable), handler.body, _node)
    yield from optional("else", node.orelse, _node)
    yield from optional("finally", node.final, _node)


# --- machines


def _machine(machine: m.Machine) -> Lines:
    yield f"machine {machine.workflow} by {machine.parameter_kind}"
    yield from (f"on {trigger_text(trigger)}" for trigger in machine.triggers)
    yield from (f"limit {limit_text(limit)}" for limit in machine.limits)
    yield from _handlers(machine)
    yield from (f"key {key.event}.{key.path}" for key in machine.key_paths)
    yield from (f"constant {name} = {text}" for name, text in machine.constants)
    for function in machine.functions:
        yield _header(function)
        for number, block in enumerate(function.blocks):
            yield from _block(number, block)


def trigger_text(trigger: m.Trigger) -> str:
    """Events with their predicate, or a schedule."""
    where = "" if trigger.where is None else f" where {trigger.parameter}: {expression(trigger.where)}"
    return f"{' | '.join(trigger.names) or _schedule(trigger)}{where}"


def _schedule(trigger: m.Trigger) -> str:
    jitter = "" if trigger.jitter is None else f" jitter {trigger.jitter:g}s"
    return f"{trigger.cron} {trigger.zone} catch_up {trigger.catch_up} overlap {trigger.overlap}{jitter}"


def limit_text(limit: m.Limit) -> str:
    """How many of what, counted by which key."""
    key = "" if limit.key is None else f" by {limit.parameter}: {expression(limit.key)}"
    return f"{limit.limit} {limit.scope}s of {limit.pool}{key}"


def block_lines(block: m.Block) -> list[str]:
    """The ops and the terminator of a block."""
    return [line for op in block.ops for line in statement(op)] + [*_terminator(block.terminator)]


def action_text(action: m.Action) -> str:
    """An action, the branches of a group on lines of their own."""
    return "\n".join(_action(action))


def block_text(block: m.Block) -> str:
    """The lines of a block as they stand in its function, without its number."""
    return "\n".join(_whole_block(block))


def _block(number: int, block: m.Block) -> Lines:
    for index, line in enumerate(_whole_block(block)):
        yield f"  {f'{number}:' if index == 0 else '':<4} {line}"


def _whole_block(block: m.Block) -> list[str]:
    lines = block_lines(block)
    if block.handler is not None:
        lines.append(f"handler {block.handler} catching {block.caught}")
    if block.shields:
        lines.append("shielded" if block.shields == 1 else f"shielded {block.shields} times")
    return lines


def _terminator(end: m.Terminator) -> Lines:
    match end:
        case m.Goto(block):
            yield f"goto {block}"
        case m.Test(test, then, orelse):
            yield f"test {expression(test)}; then {then} else {orelse}"
        case m.Choose(subject, choices, orelse):
            yield f"choose {expression(subject)}" + ("" if orelse is None else f"; else {orelse}")
            yield from (f"  {case_text(way.pattern, way.guard)}; then {way.block}" for way in choices)
        case m.Advance(cursor, target, body, done):
            yield f"advance {cursor} as {target_text(target)}; then {body} done {done}"
        case m.Suspend():
            yield from _suspend(end)
        case m.Finish(value):
            yield "finish" if value is None else f"finish {expression(value)}"
        case m.Fail(exception, cause):
            yield f"fail {expression(exception)}{from_cause(cause)}"
        case m.Reraise(variable):
            yield f"reraise {variable}"
        case m.Resume(record, normal, returns, jumps):
            ways = [("next", normal), ("return", returns), *((f"jump {n}", target) for n, target in enumerate(jumps))]
            yield f"resume {record}" + "".join(f"; {way} {target}" for way, target in ways if target is not None)


def _suspend(end: m.Suspend) -> Lines:
    first, *inner = _action(end.action)
    yield f"{_into(end.result)}{first}"
    yield from (f"  {line}" for line in inner)
    yield f"then {end.block}" + (f"; live {', '.join(end.live)}" if end.live else "")


def _action(action: m.Action) -> Iterable[str]:
    match action:
        case m.CallStep(step=step, policy=policy):
            yield f"step {step}({call_arguments(action.arguments, action.keywords)}) at {action.site} {_policy(policy)}"
            if action.compensation is not None:
                undo = action.compensation
                yield f"  undone by step {undo.step} at {undo.site} {_policy(undo.policy)}"
        case m.CallFlow(function=name) | m.CallChild(workflow=name) | m.StartRun(workflow=name):
            kind = {m.CallFlow: "subflow", m.CallChild: "child", m.StartRun: "start"}[type(action)]
            yield f"{kind} {name}({call_arguments(action.arguments, action.keywords)}) at {action.site}"
        case m.SleepFor(site, duration):
            yield f"sleep {expression(duration)} at {site}"
        case m.SleepTill(site, when):
            yield f"sleep until {expression(when)} at {site}"
        case m.WaitFor():
            names = " | ".join(action.names)
            text = _wait(names, action.parameter, action.keys, action.residual, action.timeout, action.since)
            yield text + (f" frozen {', '.join(action.frozen)}" if action.frozen else "") + f" at {action.site}"
        case m.SendEvent(site, event):
            yield f"send {expression(event)} at {site}"
        case m.Group(site, kind, branches):
            yield f"{kind} at {site}"
            yield from (f"  {line}" for branch in branches for line in _action(branch))
        case m.FanOutGroup(site, kind, clauses, branch, limit):
            yield f"{kind}{_option('limit', limit)} {_clauses(clauses)} at {site}"
            yield from (f"  {line}" for line in _action(branch))
        case m.OpenScope(site, kind, duration):
            yield f"open {kind}{'' if duration is None else ' ' + expression(duration)} at {site}"
        case m.CloseScope(site, kind, record):
            yield f"close {kind} at {site} by {expression(record)}"


def _policy(policy: m.Policy) -> str:
    timeout = "" if policy.timeout is None else f", timeout {policy.timeout:g} s"
    delays = f"{policy.kind} {policy.delay:g} s x{policy.factor:g} max {policy.max:g} s jitter {policy.jitter:g}"
    return f"[retries {policy.retries}, {delays}{timeout}]"
