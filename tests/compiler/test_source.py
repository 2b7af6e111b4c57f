"""Targets to modules: files, folders, packages, dotted names, and what cannot be imported."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowgraph_compiler.source import SourceError, TargetError, from_text, load

WORKFLOW = "from flowgraph import workflow\n@workflow(name='{name}')\nasync def w() -> None: ...\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: str, text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_file_and_a_workflow_in_it() -> None:
    write("flows.py", WORKFLOW.format(name="pay"))
    loaded = load(["flows.py:pay"])
    assert [(module.name, module.file) for module in loaded.modules] == [("flows", "flows.py")]
    assert loaded.selected == ("pay",)
    assert load(["flows.py:w"]).selected == ("pay",)


def test_a_workflow_that_is_not_there() -> None:
    write("flows.py", WORKFLOW.format(name="pay"))
    with pytest.raises(TargetError, match=r"no workflow 'refund' in 'flows.py': it has 'pay'"):
        load(["flows.py:refund"])


@pytest.mark.parametrize("target", ["missing.py", "no/such", "no_such_module_here", "a..b"])
def test_a_target_that_is_not_there(target: str) -> None:
    with pytest.raises(TargetError, match=r"no (file|module)"):
        load([target])


def test_a_folder_without_init_is_every_file_below_it() -> None:
    write("app/steps.py", "from shared_steps import X\n")
    write("app/shared_steps.py", "X = 1\n")
    write("app/deep/more.py", WORKFLOW.format(name="deep"))
    write("app/.hidden/no.py", "1 / 0\n")
    write("app/__main__.py", "1 / 0\n")
    loaded = load(["app"])
    assert [module.file for module in loaded.modules] == ["app/deep/more.py", "app/shared_steps.py", "app/steps.py"]
    assert loaded.modules[2].module.X == 1


def test_a_package_is_imported_by_its_dotted_name() -> None:
    write("apps/shop/__init__.py", "")
    write("apps/shop/steps.py", "X = 1\n")
    write("apps/shop/flows.py", "from .steps import X\n")
    assert [module.name for module in load(["apps/shop"]).modules] == ["shop", "shop.flows", "shop.steps"]
    assert [module.name for module in load(["apps/shop/flows.py"]).modules] == ["shop.flows"]


def test_a_dotted_module_of_the_current_directory() -> None:
    write("shop2/__init__.py", "")
    write("shop2/flows.py", WORKFLOW.format(name="pay"))
    loaded = load(["shop2.flows:pay"])
    assert [(module.name, module.file) for module in loaded.modules] == [("shop2.flows", "shop2/flows.py")]


def test_two_files_of_one_name_and_a_file_named_like_a_module_of_python() -> None:
    write("a/twin.py", "X = 'a'\n")
    write("b/twin.py", "X = 'b'\n")
    write("c/queue.py", "X = 'c'\n")
    loaded = load(["a/twin.py", "b/twin.py", "c/queue.py"])
    assert [module.module.X for module in loaded.modules] == ["a", "b", "c"]
    assert hasattr(sys.modules["queue"], "SimpleQueue")


def test_a_module_named_twice_is_loaded_once() -> None:
    write("once.py", WORKFLOW.format(name="pay"))
    assert len(load(["once.py", "once", "once.py:pay"]).modules) == 1


def test_a_file_saved_twice_in_a_second_is_not_taken_from_old_bytecode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name in ("pay", "buy"):
        write("shop.py", f"import prices\n{WORKFLOW.format(name=name)}")
        write("prices.py", f"PRICE = '{name}'\n")
        for file in ("shop.py", "prices.py"):
            os.utime(folder / file, (1_700_000_000, 1_700_000_000))
        (module,) = load(["shop.py"]).modules
        assert (module.module.w.name, module.module.prices.PRICE) == (name, name)
        for imported in ("shop", "prices"):
            del sys.modules[imported]
    assert list(folder.rglob("*.pyc")) == []


def test_a_file_that_python_cannot_parse_is_a_finding_and_is_not_imported() -> None:
    write("good.py", "X = 1\n")
    write("bad.py", "import nowhere\nx = = 1\n")
    loaded = load(["bad.py", "good.py"])
    assert [(found.rule.code, str(found.span)) for found in loaded.diagnostics] == [("FG001", "bad.py:2:5")]
    assert [module.name for module in loaded.modules] == ["good"]


def test_an_imported_file_that_python_cannot_parse_is_a_finding_too() -> None:
    write("inner_bad.py", "def f(:\n")
    write("outer.py", "import inner_bad\n")
    assert [(found.rule.code, found.span.file) for found in load(["outer.py"]).diagnostics] == [("FG001", "inner_bad.py")]
    assert [found.span.file for found in load(["inner_bad.py", "outer.py"]).diagnostics] == ["inner_bad.py"]


def test_a_selected_workflow_of_a_file_with_findings_is_no_second_error() -> None:
    write("bad.py", "x = = 1\n")
    loaded = load(["bad.py:pay"])
    assert (len(loaded.diagnostics), loaded.selected) == (1, ())


@pytest.mark.parametrize(
    ("text", "reason"), [("1 / 0", "ZeroDivisionError"), ("import nowhere", "ModuleNotFoundError"), ("exit(3)", "SystemExit")]
)
def test_a_failing_import_says_what_failed(text: str, reason: str) -> None:
    write("fails.py", text + "\n")
    with pytest.raises(TargetError, match=f"importing 'fails.py' failed: {reason}") as caught:
        load(["fails.py"])
    assert caught.value.__cause__ is not None


def test_bytes_that_are_no_text() -> None:
    Path("latin.py").write_bytes(b"x = '\xe4'\n")
    with pytest.raises(TargetError, match=r"'latin.py' cannot be read as Python text"):
        load(["latin.py"])


def test_a_module_without_source() -> None:
    import py_compile

    write("compiled.py", WORKFLOW.format(name="pay"))
    py_compile.compile("compiled.py", cfile="compiled.pyc")
    Path("compiled.py").unlink()
    (found,) = load(["compiled"]).diagnostics
    assert (found.rule.code, str(found.span)) == ("FG101", "compiled.pyc:1:1")


def test_a_module_of_a_text_can_be_inspected_and_replaced() -> None:
    first = from_text("def f() -> int:\n    return 1\n", "made_of_text")
    assert inspect.getsource(vars(first.module)["f"]) == "def f() -> int:\n    return 1\n"
    second = from_text("def f() -> int:\n    return 2\n", "made_of_text")
    assert sys.modules["made_of_text"] is second.module
    assert "return 2" in inspect.getsource(vars(second.module)["f"])


def test_a_text_that_cannot_be_parsed() -> None:
    with pytest.raises(SourceError, match=r"made_of_text.py:1:5") as caught:
        from_text("x = = 1", "made_of_text")
    assert [found.rule.code for found in caught.value.diagnostics] == ["FG001"]


def test_a_package_by_its_dotted_name_has_all_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that stands in a folder without `__init__.py`."""
    package = tmp_path / "outer_of_dotted" / "inner"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    flow = "from flowgraph import workflow\n\n@workflow\nasync def greet(name: str) -> str:\n    return name\n"
    (package / "flows.py").write_text(flow, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    loaded = load(["outer_of_dotted.inner"])
    assert [module.name for module in loaded.modules] == ["outer_of_dotted.inner", "outer_of_dotted.inner.flows"]
