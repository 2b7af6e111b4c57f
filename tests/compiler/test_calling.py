"""FG260 and FG261: calls of workflows that lead back to their caller."""

from __future__ import annotations

import pytest

from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text
from tests.compiler.planted import expected

HEAD = """
from flowgraph import Concurrency, fan_out, parallel, race, settle, sleep, start, step, subflow, workflow

@step
async def ask(n: int) -> int:
    return n - 1

@workflow
async def leaf(n: int) -> int:
    return await ask(n)
"""

ENDLESS = {
    "itself": """
@workflow
async def flow(n: int) -> int:
    return await flow(await ask(n))  # error: FG260
""",
    "through another": """
@workflow
async def flow(n: int) -> int:
    return await other(n)

@workflow
async def other(n: int) -> int:
    if n > 3:
        return await flow(n)  # error: FG260
    return await flow(n + 1)
""",
    "through a subflow and a group": """
@subflow
async def both(n: int) -> tuple[int, int]:
    return await parallel(ask(n), flow(n))  # error: FG260

@workflow
async def flow(n: int) -> int:
    a, b = await both(n)
    return a + b
""",
    "in a loop that never ends without it": """
@workflow
async def flow(n: int) -> int:
    while True:
        n = await flow(n)  # error: FG260
        if n > 3:
            return n
""",
}
ENDLESS["in every case"] = """
@workflow
async def flow(n: int) -> int:
    match n:
        case 0:
            found = await flow(1)  # error: FG260
        case _:
            found = await flow(n - 1)
    return found
"""

FINE = {
    "guarded by an early return": """
@workflow
async def flow(n: int) -> int:
    if n == 0:
        return 0
    return await flow(await ask(n))
""",
    "guarded by a raise": """
@workflow
async def flow(n: int) -> int:
    if n == 0:
        raise ValueError(n)
    return await flow(await ask(n))
""",
    "guarded in another": """
@workflow
async def flow(n: int) -> int:
    return await other(n)

@workflow
async def other(n: int) -> int:
    return n if n < 3 else await flow(n)
""",
    "in a loop over what may be nothing": """
@workflow
async def flow(n: int) -> int:
    for each in range(n):
        await flow(each)
    return n
""",
    "in a fan-out over what may be nothing": """
@workflow
async def flow(n: int) -> int:
    return sum(await fan_out(flow(each) for each in range(n)))
""",
    "in a race with the time": """
@workflow
async def flow(n: int) -> int:
    await race(flow(n), sleep("1h"))
    return n
""",
    "started only": """
@workflow
async def flow(n: int) -> str:
    return await start(flow, n)
""",
    "guarded by a case": """
@workflow
async def flow(n: int) -> int:
    match n:
        case 0:
            return 0
        case _:
            return await flow(n - 1)
""",
    "the same workflow twice, and no way back": """
@workflow
async def flow(n: int) -> int:
    return await leaf(n) + await leaf(n)
""",
}

LIMITED = {
    "itself, on some path": """
@workflow(concurrency=Concurrency(5, scope="run"))
async def flow(n: int) -> int:
    return n if n == 0 else await flow(n - 1)  # error: FG261
""",
    "through one that has no limit": """
@workflow(concurrency=Concurrency(1, scope="run"))
async def flow(n: int) -> int:
    return n if n == 0 else await other(n - 1)

@workflow
async def other(n: int) -> int:
    found = await settle(flow(each) for each in range(n))  # error: FG261
    return len(found)
""",
}

UNLIMITED = {
    "a limit of steps": """
@workflow(concurrency=Concurrency(5))
async def flow(n: int) -> int:
    return n if n == 0 else await flow(n - 1)
""",
    "started": """
@workflow(concurrency=Concurrency(5, scope="run"))
async def flow(n: int) -> str:
    return "" if n == 0 else await start(flow, n - 1)
""",
    "no way back": """
@workflow(concurrency=Concurrency(5, scope="run"))
async def flow(n: int) -> int:
    return await leaf(n)
""",
}


def check(text: str) -> None:
    """Demand the marked findings, and no other ones that are more than notes."""
    found = compile_application([from_text(text, "calling")]).diagnostics
    assert [(each.span.line, each.rule.code) for each in found if each.severity.value != "note"] == expected(text)


@pytest.mark.parametrize("text", [*ENDLESS.values(), *FINE.values()], ids=[*ENDLESS, *FINE])
def test_workflows_that_call_each_other_without_end_are_refused(text: str) -> None:
    check(HEAD + text)


@pytest.mark.parametrize("text", [*LIMITED.values(), *UNLIMITED.values()], ids=[*LIMITED, *UNLIMITED])
def test_a_run_must_not_wait_for_the_slot_that_it_holds(text: str) -> None:
    check(HEAD + text)
