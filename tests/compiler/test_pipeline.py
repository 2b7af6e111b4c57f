"""The main path: what comes out of a compilation, and how far a workflow with an error gets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import flowgraph_compiler
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text

GOOD = """\
from flowgraph import step, workflow

@step
async def f(n: int) -> int: ...

@workflow
async def good(x: int) -> int:
    return await f(x)
"""
BAD = """
@workflow
async def bad(x: int) -> int:
    f(x)
    return print(x)

@workflow
async def mistyped(x: str) -> int:
    return await f(x)
"""


def test_a_workflow_with_an_error_has_no_machine_and_the_others_have() -> None:
    compilation = compile_application([from_text(GOOD + BAD, "partly_bad")])
    assert set(compilation.machines) == {"good"}
    assert set(compilation.graphs) == {"good", "mistyped"}
    assert not compilation.ok
    assert {found.rule.code for found in compilation.diagnostics} >= {"FG113", "FG140", "FG170"}


def test_findings_are_in_the_order_of_the_source_and_stand_once() -> None:
    twice = GOOD.replace("@workflow", "@subflow").replace("step, workflow", "step, subflow, workflow") + (
        "\n@workflow\nasync def a(x: int) -> int:\n    await good(x)\n    return 1\n"
        "\n@workflow\nasync def b(x: int) -> int:\n    await good(x)\n    return 2\n"
    )
    twice = twice.replace("return await f(x)", "await f(x)\n    return x")
    compilation = compile_application([from_text(twice, "shared_subflow")])
    assert set(compilation.machines) == {"a", "b"}
    places = [(found.span, found.rule.code) for found in compilation.diagnostics]
    assert places == sorted(places)
    assert len(places) == len(set(places))


def test_a_subflow_is_checked_once_whether_or_not_a_workflow_reaches_it() -> None:
    broken = GOOD.replace("step, workflow", "step, subflow, workflow") + (
        "\n@subflow\nasync def alone(x: int) -> int:\n    f(x)\n    return x\n"
        "\n@subflow\nasync def reached(x: int) -> int:\n    return print(x)\n"
        "\n@workflow\nasync def caller(x: int) -> int:\n    return await reached(x)\n"
    )
    compilation = compile_application([from_text(broken, "lonely_subflow")])
    assert [found.rule.code for found in compilation.diagnostics] == ["FG113", "FG140"]
    assert set(compilation.machines) == {"good"}
    assert compile_application([from_text(broken, "lonely_selected")], ["good"]).ok


def test_only_the_selected_workflows_are_compiled() -> None:
    compilation = compile_application([from_text(GOOD + BAD, "selected")], ["good"])
    assert set(compilation.machines) == {"good"}
    assert compilation.ok


def test_an_allowed_note_is_left_out() -> None:
    noisy = GOOD.replace("    return await", "    await f(1)  # flowgraph: allow FG211 only for its effect\n    return await")
    assert compile_application([from_text(noisy, "allowed")]).diagnostics == ()


def test_a_file_is_compiled_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_orders.py").write_text(GOOD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert set(flowgraph_compiler.compile_module("shop_orders.py").machines) == {"good"}
    assert flowgraph_compiler.check("shop_orders.py:good") == []
    assert set(flowgraph_compiler.compile_module(sys.modules["shop_orders"]).machines) == {"good"}


def test_a_target_that_is_not_there_is_an_error_of_usage() -> None:
    with pytest.raises(flowgraph_compiler.TargetError, match="nowhere"):
        flowgraph_compiler.check("nowhere.py")


def test_a_file_that_python_cannot_parse_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_orders.py").write_text("def f(:\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert [found.rule.code for found in flowgraph_compiler.check("broken_orders.py")] == ["FG001"]


def test_what_cannot_be_lowered_is_a_finding() -> None:
    loop = "    for text in map(str, [x]):\n        if text:\n            return 1\n    return await f(x)"
    compilation = compile_application([from_text(GOOD.replace("    return await f(x)", loop), "unlowered")])
    assert [found.rule.code for found in compilation.diagnostics] == ["FG100"]
    assert not compilation.machines


def test_a_change_in_the_arguments_of_a_later_branch_is_refused() -> None:
    text = (
        "from flowgraph import parallel, step, workflow\n"
        "@step\nasync def take(xs: list[int]) -> int:\n    return len(xs)\n"
        "@step\nasync def one(n: int) -> int:\n    return n\n"
        "@workflow\nasync def flow(n: int) -> int:\n    xs = [n]\n"
        "    a, b = await parallel(take(xs), one(xs.pop()))\n    return a + b\n"
    )
    found = compile_application((from_text(text, "changes_in_a_branch"),)).diagnostics
    assert [(f.rule.code, f.span.line) for f in found] == [("FG100", 11)]


def test_a_wrong_argument_where_no_value_ever_comes_is_told_of_too() -> None:
    text = GOOD + (
        "\n@workflow\nasync def flow(x: int) -> int:\n    match x:\n        case int():\n            return x\n"
        "        case _:\n            return await good(y=x)\n"
    )
    compilation = compile_application([from_text(text, "never_called")])
    (found,) = (one for one in compilation.diagnostics if one.rule.code == "FG100")
    assert (found.message, found.span.line) == (
        "workflow 'good' has no parameter 'y'",
        text.splitlines().index("            return await good(y=x)") + 1,
    )
    assert set(compilation.machines) == {"good"}
