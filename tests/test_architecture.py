"""The house rules, held by a test: directions of imports, no cycles, sizes, names, the contents of the wheel."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import statistics
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "flowgraph": ROOT / "flowgraph",
    "flowgraph_compiler": ROOT / "compiler" / "flowgraph_compiler",
    "flowgraph_runtime": ROOT / "runtime" / "flowgraph_runtime",
}
ORDER = list(PACKAGES)
GENERIC = {"base", "common", "core", "helper", "helpers", "lib", "misc", "models", "shared", "stuff", "util", "utils"}
PUBLIC_DATABASE_PACKAGES = {"sqlmodel", "sqlalchemy", "sqlite3", "psycopg", "asyncpg"}
IMPURE = {"asyncio", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}


@cache
def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = file
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imported(module: str, inside_functions: bool = False) -> Iterator[str]:
    """Names of modules that a module imports when it is imported (or anywhere)."""
    for node in ast.walk(tree(module)) if inside_functions else at_import(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.If) and "TYPE_CHECKING" in ast.unparse(inner.test):
            continue
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield inner
            yield from at_import(inner)


def definitions(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> dict[str, int]:
    """Lines of every definition of a kind, by its place."""
    return {
        f"{module}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1  # type: ignore[attr-defined]
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, kind)
    }


def test_imports_point_one_way() -> None:
    for module in modules():
        rank = ORDER.index(module.partition(".")[0])
        wrong = {name for name in imported(module, True) if name.partition(".")[0] in ORDER[rank + 1 :]}
        assert not wrong, f"{module} imports {wrong}: packages may import those to their left in {ORDER}"


def test_no_import_cycle() -> None:
    graph = {module: {name for name in imported(module) if name in modules() and name != module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_imports_stand_at_the_top_except_in_the_command_line() -> None:
    inside = {
        f"{module}:{node.lineno}"
        for module in modules()
        if not module.startswith("flowgraph_runtime.cli")
        for function in ast.walk(tree(module))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not inside


def test_only_storage_knows_sql() -> None:
    wrong = {
        (module, name)
        for module in modules()
        if not module.startswith("flowgraph_runtime.storage")
        for name in imported(module, True)
        if name.partition(".")[0] in PUBLIC_DATABASE_PACKAGES
    }
    assert not wrong


def test_the_engine_is_pure() -> None:
    engine = [module for module in modules() if module.startswith("flowgraph_runtime.engine")]
    assert engine
    wrong = {(module, name) for module in engine for name in imported(module, True) if name.partition(".")[0] in IMPURE}
    assert not wrong


def test_what_authors_import_needs_pydantic_only() -> None:
    allowed = {*sys.stdlib_module_names, "flowgraph", "pydantic", "pydantic_core", "typing_extensions", "__future__"}
    wrong = {
        (module, name)
        for module in modules()
        if module.partition(".")[0] == "flowgraph"
        for name in imported(module, True)
        if name.partition(".")[0] not in allowed
    }
    assert not wrong


def test_functions_are_small() -> None:
    sizes = definitions((ast.FunctionDef, ast.AsyncFunctionDef))
    assert {place: size for place, size in sizes.items() if size > 60} == {}
    assert statistics.median(sizes.values()) <= 8
    assert statistics.quantiles(sizes.values(), n=20)[-1] <= 40


def test_files_and_classes_are_small() -> None:
    lines = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in modules().items()}
    assert {module: size for module, size in lines.items() if size > 500} == {}
    assert statistics.median(size for size in lines.values() if size > 1) <= 200
    assert {place: size for place, size in definitions(ast.ClassDef).items() if size > 300} == {}


def test_no_generic_names() -> None:
    assert {module for module in modules() if GENERIC & set(module.split(".")[1:])} == set()


def test_every_package_is_typed() -> None:
    assert all((folder / "py.typed").is_file() for folder in PACKAGES.values())


def test_the_change_log_names_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert importlib.metadata.version("flowgraph-engine") == version


@pytest.mark.ci
def test_the_wheel_holds_the_three_packages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    for package, folder in PACKAGES.items():
        expected = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"}
        assert {name.partition("/")[2] for name in names if name.startswith(f"{package}/")} == expected
