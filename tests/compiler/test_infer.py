"""The inference as a query, where it gives up, and what it says about handlers; `test_infer_oracle` has the breadth."""

from __future__ import annotations

from flowgraph_compiler.graph import Return, Step, walk
from flowgraph_compiler.infer import types_at
from flowgraph_compiler.types import UNKNOWN, show
from tests.compiler.checked import compiled


def variable_types(body: str) -> dict[str, str]:
    graph = compiled(body).graphs["flow"]
    return {name: show(tp) for name, tp in graph.main.variable_types.items() if not name.startswith("$")}


def test_types_are_known_before_each_node() -> None:
    compilation = compiled("""
@workflow
async def flow(a: int) -> int:
    guest = await find("a")
    if guest is None:
        return 0
    await tell("b")
    return guest.age
""")
    graph = compilation.graphs["flow"]
    before = types_at(graph.main, graph, compilation.application)
    steps = [node for node in walk(graph.main.body) if isinstance(node, Step)]
    returns = [node for node in walk(graph.main.body) if isinstance(node, Return)]
    assert "guest" not in before[steps[0].id]
    assert show(before[steps[1].id]["guest"]) == "Guest"
    assert show(before[returns[0].id]["guest"]) == "None"


def test_a_type_that_grows_in_a_loop_is_given_up() -> None:
    types = variable_types("""
@workflow
async def flow(a: int) -> int:
    x = (a,)
    while a:
        x = (x, a)
        a -= 1
    return a
""")
    assert "unknown" in types["x"]


def test_an_annotation_says_what_an_empty_display_does_not() -> None:
    types = variable_types("""
@workflow
async def flow(a: int) -> int:
    xs: dict[str, list[int]] = {}
    ys = xs.get("a", [])
    z = [y + 1 for y in ys]
    return len(z)
""")
    assert types["xs"] == "dict[str, list[int]]"
    assert types["ys"] == types["z"] == "list[int]"


def test_a_handler_knows_the_event_and_the_error() -> None:
    compilation = compiled("""
@subflow
async def failed(trigger: Asked, error: Exception) -> None:
    await tell(trigger.guest)
    await tell(str(error))


@workflow(on=Asked, on_failure=failed)
async def flow(event: Asked) -> None:
    await tell(event.guest)
""")
    graph = compilation.graphs["flow"]
    handler = next(function for function in graph.functions if function.name == graph.on_failure)
    assert not [found for found in compilation.diagnostics if found.severity.value == "error"]
    assert show(handler.variable_types["trigger"]) == "Asked"
    assert show(handler.variable_types["error"]) == "Exception"


def test_what_is_unknown_is_silent() -> None:
    compilation = compiled("""
@workflow
async def flow(a: int) -> int:
    value = await anything()
    n = value.some.attribute[0] + value
    if n:
        return n
    guest = await get(n.name)
    return guest.age
""")
    assert [found.rule.code for found in compilation.diagnostics if found.severity.value == "error"] == []
    assert compilation.graphs["flow"].main.variable_types["n"] is UNKNOWN
