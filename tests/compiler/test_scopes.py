"""`async with timeout(...)` and `async with saga()` in the compiler: checks, what a loaded machine may not do, diagrams."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowgraph_compiler import machine as m
from flowgraph_compiler.expressions import Const, Local
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.render import DiagramEdge, diagram, dot, mermaid
from flowgraph_compiler.serialize import from_json, to_json
from flowgraph_compiler.source import from_text
from flowgraph_compiler.verify import MachineError, verify
from tests.compiler.compiled import checked

HEAD = """
from flowgraph import Cancelled, fan_out, parallel, saga, sleep, step, subflow, timeout, workflow

@step
async def refund(order: str, n: int = 1) -> None: ...

@step(compensate=refund)
async def charge(order: str, n: int = 1) -> str: ...

@step
async def ship(order: str) -> None: ...
"""

PAY = """
@workflow
async def pay(order: str) -> str:
    got = ""
    try:
        async with timeout("1h"), saga():
            got = await charge(order)
            await ship(order)
    except TimeoutError:
        await ship("late")
    return got
"""


def codes(text: str) -> list[tuple[str, int]]:
    lines = (HEAD + text).splitlines()
    found = compile_application([from_text(HEAD + text, "scoped")]).diagnostics
    wanted = [(part, number) for number, line in enumerate(lines, 1) for part in line.partition("# ")[2].split()]
    told = [(each.rule.code, each.span.line) for each in found if each.rule.code not in ("FG211", "FG231")]
    assert sorted(told) == sorted(wanted), [each.message for each in found]
    return told


# --- checks


@pytest.mark.parametrize(
    "body",
    [
        "await charge(order)  # FG230\nawait ship(order)",
        "for i in range(3):\n    await charge(order)  # FG230",
        "await parallel(charge(order), ship(order))  # FG230",
        "await fan_out(charge(x) for x in [order])  # FG230",
        "if order:\n    await charge(order)  # FG230\nelse:\n    await charge(order)  # FG230\nif order:\n    raise KeyError()",
        "try:\n    await charge(order)  # FG230\n    await ship(order)\nexcept ValueError:\n    pass",
        "try:\n    await ship(order)\nfinally:\n    await charge(order)  # FG230",
        "async with timeout('1h'):\n    await charge(order)  # FG230\n    await ship(order)",
        "await called(order)\nawait ship(order)",
    ],
)
def test_an_effect_that_a_failure_would_leave_is_told(body: str) -> None:
    inner = "\n@subflow\nasync def called(order: str) -> None:\n    await charge(order)"
    inner = f"{inner}  # FG230\n" if "called" in body else ""
    indented = body.replace("\n", "\n    ")
    codes(f"{inner}\n@workflow\nasync def pay(order: str) -> None:\n    {indented}\n")


@pytest.mark.parametrize(
    "body",
    [
        "await charge(order)",
        "await ship(order)\nawait charge(order)\nawait sleep('1h')",
        "async with saga():\n    await charge(order)\n    await ship(order)",
        "async with saga():\n    await called(order)\n    await ship(order)",
        "got = await charge(order)\ntry:\n    await ship(got)\nexcept Exception:\n    await refund(order)\n    raise",
        "try:\n    await charge(order)\n    await ship(order)\nexcept Exception:\n    pass",
    ],
)
def test_an_effect_that_is_undone_or_followed_by_no_failure_is_not_told(body: str) -> None:
    inner = "\n@subflow\nasync def called(order: str) -> None:\n    await charge(order)\n" if "called" in body else ""
    indented = body.replace("\n", "\n    ")
    codes(f"{inner}\n@workflow\nasync def pay(order: str) -> None:\n    {indented}\n")


@pytest.mark.parametrize(
    ("undo", "code"),
    [
        ("@step\nasync def undo(order: str) -> None: ...", "FG172"),
        ("@step\nasync def undo(n: int, order: str) -> None: ...", "FG172 FG172"),
        ("@step\nasync def undo(order: str, n: int, why: str) -> None: ...", "FG171"),
        ("@step\nasync def undo(order: str, n: str) -> None: ...", "FG170"),
        ("async def undo(order: str, n: int) -> None: ...", "FG112"),
        ("@step\nasync def undo(order: str, n: int, why: str = 'failed') -> None: ...", ""),
    ],
)
def test_a_compensation_is_a_step_that_takes_what_its_step_took(undo: str, code: str) -> None:
    codes(f"\n{undo}\n\n@step(compensate=undo)  # {code}\nasync def do(order: str, n: int) -> None: ...\n")


def test_only_a_machine_with_a_saga_holds_compensations() -> None:
    with_saga, without = checked(HEAD + PAY)[1], checked(HEAD + PAY.replace(", saga()", ""))[1]
    assert [need.name for need in with_saga.manifest.steps] == ["charge", "refund", "ship"]
    assert [need.name for need in without.manifest.steps] == ["charge", "ship"]
    assert [(node.name, node.kind, node.parent) for node in with_saga.nodes] == [
        ("charge", "step", None),
        ("refund", "compensation", "pay/charge"),
        ("ship", "step", None),
        ("ship", "step", None),
    ]
    assert from_json(to_json(with_saga)) == with_saga


def test_a_wait_inside_a_timeout_has_a_limit() -> None:
    wait = "await wait_for(Paid, timeout=None)"
    event = "\nfrom flowgraph import Event, wait_for\n\nclass Paid(Event, name='paid'): ...\n"
    within = f"    async with timeout('1h'):\n        {wait}\n    {wait}  # FG220"
    codes(f"{event}\n@workflow\nasync def pay(order: str) -> None:\n{within}\n")


@pytest.mark.parametrize(
    ("duration", "code"), [("'soon'", "FG321"), ("5", "FG321"), ("'0s'", "FG320"), ("", "FG171"), ("'1h'", ""), ("order", "")]
)
def test_the_duration_of_a_timeout_is_one(duration: str, code: str) -> None:
    block = f"    async with timeout({duration}):  # {code}\n        await ship(order)\n"
    codes(f"\n@workflow\nasync def pay(order: str) -> None:\n{block}")


# --- loaded machines


def changed(change: object) -> m.Machine:
    """The machine of `PAY` with the first action of a kind replaced."""
    machine = checked(HEAD + PAY)[1]
    blocks = list(machine.functions[0].blocks)
    for number, block in enumerate(blocks):
        end = block.terminator
        if isinstance(end, m.Suspend) and type(end.action) is type(change):
            blocks[number] = replace(block, terminator=replace(end, action=change))
            break
    return replace(machine, functions=(replace(machine.functions[0], blocks=tuple(blocks)), *machine.functions[1:]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (m.OpenScope("pay/timeout", "open", None), "'open' is not in the vocabulary"),
        (m.OpenScope("pay/timeout", "timeout", None), "wrong duration"),
        (m.OpenScope("pay/other", "timeout", Const("1h")), "closes a scope that is not open"),
        (m.CloseScope("pay/timeout", "saga", Local("$done2")), "closes a scope that is not open"),
        (m.CloseScope("pay/saga", "saga", Local("$done 2")), "are no variables"),
    ],
)
def test_a_machine_whose_scopes_do_not_fit_is_refused(change: object, problem: str) -> None:
    with pytest.raises(MachineError, match=problem.replace("$", r"\$")):
        verify(changed(change))


def test_a_scope_is_no_branch_of_a_group() -> None:
    machine = checked(HEAD + "\n@workflow\nasync def pay(order: str) -> None:\n    await parallel(ship(order), ship(order))\n")[1]
    (function,) = machine.functions
    group = m.Group("pay/parallel", "parallel", (m.OpenScope("pay/saga", "saga", None),))
    first = replace(function.blocks[0], terminator=replace(function.blocks[0].terminator, action=group))
    with pytest.raises(MachineError, match="has a scope for a branch"):
        verify(replace(machine, functions=(replace(function, blocks=(first, *function.blocks[1:])),)))


# --- diagrams


def test_scopes_are_frames_in_each_other_with_an_edge_for_the_deadline() -> None:
    drawn = diagram(checked(HEAD + PAY)[1])
    frames = {cluster.title: cluster for cluster in drawn.clusters}
    assert frames["saga"].parent == frames["timeout 1h"].id
    assert frames["timeout 1h"].parent is None
    inside = {node.title: node.cluster for node in drawn.nodes}
    assert {inside[title] for title in ("charge", "compensate")} == {frames["saga"].id}
    assert inside["at most 1h"] == frames["timeout 1h"].id
    ids = {node.title: node.id for node in drawn.nodes}
    assert DiagramEdge(ids["at most 1h"], ids["TimeoutError?"], "timeout", "timeout") in drawn.edges
    assert DiagramEdge(ids["charge"], ids["compensate"], "error", "error") in drawn.edges
    assert DiagramEdge(ids["compensate"], ids["TimeoutError?"], "error", "error") in drawn.edges
    outer, inner = (dot(drawn).index(f'label="{title}"') for title in ("timeout 1h", "saga"))
    assert outer < inner < dot(drawn).index("compensate")
    assert '  subgraph c0["timeout 1h"]' in mermaid(drawn)
    assert '    subgraph c1["saga"]' in mermaid(drawn)


def test_a_deadline_that_nobody_handles_raises() -> None:
    drawn = diagram(
        checked(
            HEAD + '\n@workflow\nasync def pay(order: str) -> None:\n    async with timeout("1h"):\n        await ship(order)\n'
        )[1]
    )
    ids = {node.title: node.id for node in drawn.nodes}
    assert DiagramEdge(ids["at most 1h"], ids["raise TimeoutError"], "timeout", "timeout") in drawn.edges
