"""`flowgraph diff`: what changed between two machines, and what it means for runs of the old one."""

from __future__ import annotations

import pytest

from flowgraph_compiler import pipeline, source
from flowgraph_compiler.differences import differences, moves
from flowgraph_compiler.machine import Machine
from tests.cli.program import Program

SHOP = """
from flowgraph import Concurrency, Event, fan_out, sleep, step, wait_for, workflow

class Paid(Event, name="paid"):
    order: str
    cents: int = 0

@step(retries=3)
async def charge(order: str) -> str: ...

@step
async def mail(text: str) -> None: ...

@workflow(concurrency=Concurrency(3))
async def pay(order: str, names: list[str]) -> str:
    receipt = await charge(order)
    paid = await wait_for(Paid, where=lambda p: p.order == order, timeout="1d")
    await fan_out((mail(name) for name in names), limit=5)
    await sleep("1h")
    return receipt if paid is not None else "late"
"""


def machine(text: str) -> Machine:
    compiled = pipeline.compile_application([source.from_text(text, "differing")])
    assert compiled.ok, [found.message for found in compiled.diagnostics]
    return compiled.machines["pay"]


def changed(*changes: tuple[str, str]) -> str:
    text = SHOP
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


WORDS = {
    "a policy": ([("retries=3", 'retries=5, timeout="10s"')], ["step 'charge' at 'pay/charge': retries: 3 -> 5",
        "step 'charge' at 'pay/charge': timeout: none -> 10 s"], True),
    "a new step": ([('    await sleep("1h")', '    await mail("done")\n    await sleep("1h")')],
        ["step 'mail' at 'pay/mail#2' is new"], False),
    "a step that is gone": ([('    await sleep("1h")\n', "")], ["sleep at 'pay/sleep' is gone"], False),
    "an argument": ([("charge(order)", 'charge(order + "!")')],
        ["step 'charge' at 'pay/charge' was: step charge(order); is: step charge(order + '!')"], False),
    "a timeout of a wait": ([('timeout="1d"', 'timeout="2d"')], ["wait for 'Paid' at 'pay/wait_for.Paid' was: "], False),
    "a limit of a fan-out": ([("limit=5", "limit=9")], ["fan_out at 'pay/fan_out' was: fan_out limit 5"], False),
    "what is computed": ([('"late"', '"too late"')], ["workflow 'pay' computes or branches otherwise: "], False),
    "what is stored": ([('return receipt if', 'return receipt + names[0] if')],
        ["workflow 'pay' stores also names at 'pay/fan_out'"], False),
    "a trigger": ([("@workflow(", "@workflow(on=Paid, "), ("order: str, names: list[str])", "event: Paid)"),
        ("    receipt = ", "    order, names = event.order, ['a']\n    receipt = ")],
        ["trigger is new: paid", "parameters: order, names -> event"], False),
    "a limit": ([("Concurrency(3)", "Concurrency(4)")],
        ["limit is gone: 3 steps of workflow 'pay'", "limit is new: 4 steps"], True),
    "a signature": ([("charge(order: str) -> str", "charge(order: str, cents: int = 0) -> str")],
        ["the signature of step 'charge': (order: str) -> str -> (order: str, cents: int = ...) -> str"], True),
    "a field": ([("    cents: int = 0\n", "    cents: int = 0\n    by: str = ''\n")],
        ["the fields of event 'paid': order: str, cents: int -> order: str, cents: int, by: str"], True),
}  # fmt: skip


@pytest.mark.parametrize("case", WORDS)
def test_changes_are_told_in_words(case: str) -> None:
    changes, words, same_states = WORDS[case]
    old, new = machine(SHOP), machine(changed(*changes))
    told = differences(old, new)
    for word in words:
        assert any(one.startswith(word) for one in told), told
    assert moves(old, new) is same_states


def test_machines_that_differ_in_lines_only_are_the_same() -> None:
    assert differences(machine(SHOP), machine("# a comment\n" + SHOP)) == []


def test_the_command_compares_files_folders_and_code(program: Program) -> None:
    program.write("shop.py", SHOP)
    assert program("compile", "shop.py", "-o", "machines").code == 0
    same = program("diff", "machines", "shop.py")
    assert (same.code, same.stdout) == (0, "pay: the same machine\n")
    program.write("shop.py", changed(("retries=3", "retries=5")))
    moved = program("diff", "machines/pay.json", "shop.py:pay")
    assert (moved.code, moved.stdout.splitlines()[0]) == (0, "pay: the same states, so runs could move")
    program.write("shop.py", changed(("mail", "post")))
    done = program("diff", "machines", "shop.py")
    assert done.code == 1
    assert "step 'mail' at 'pay/mail' is gone" in done.stdout
    assert "FG400 live-step-removed: step 'mail' is gone, and 'pay' in OLD may still call it" in done.stderr


def test_workflows_of_one_side_only(program: Program) -> None:
    program.write("shop.py", SHOP)
    program("compile", "shop.py", "-o", "old")
    program.write("shop.py", SHOP.replace("def pay", "def buy"))
    assert program("diff", "old", "shop.py").stdout == "buy: new\npay: gone; its runs end on their own machine\n"


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_what_is_no_machine_exits_with_2(program: Program, text: str) -> None:
    program.write("shop.py", SHOP)
    program.write("old.json", text)
    done = program("diff", "old.json", "shop.py")
    assert done.code == 2
    assert "'old.json' is no machine" in done.stderr
    assert program("diff", "missing.json", "shop.py").code == 2
    assert program("diff", "shop.py", "nowhere").code == 2
