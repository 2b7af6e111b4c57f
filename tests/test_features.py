"""The feature list (`docs/features.md`): each of its rows is pinned by tests that name it, one of them in the fast tier."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "features.md"
ROWS = range(1, 23)
SLOW = {"ci", "verify"}

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[str, ast.Module]:
    """The sources of tests that speak of features, by their place."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}
    return {place: ast.parse(text) for place, text in texts.items() if "feature" in text}


def marks(node: ast.AST) -> set[str]:
    """Names of the marks in an expression."""
    return {
        inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Attribute) and inner.value.attr == "mark"
    }


def feature_calls(node: ast.AST) -> Iterator[ast.Call]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and ast.unparse(inner.func) == "pytest.mark.feature":
            yield inner


def marks_of_module(tree: ast.Module) -> set[str]:
    return {
        mark
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
        for mark in marks(node.value)
    }


@cache
def pins() -> dict[str, tuple[frozenset[object], bool]]:
    """The rows that each marked test names, and whether it belongs to the fast tier."""
    found = {}
    for place, tree in trees().items():
        slow = marks_of_module(tree) & SLOW
        for node in tree.body:
            if isinstance(node, FUNCTION) and node.name.startswith("test_"):
                rows = [ast.literal_eval(row) for one in node.decorator_list for call in feature_calls(one) for row in call.args]
                fast = not slow and not any(marks(one) & SLOW for one in node.decorator_list)
                if rows:
                    found[f"{place}::{node.name}"] = frozenset(rows), fast
    return found


@pytest.mark.parametrize("row", ROWS)
def test_each_row_is_pinned_by_a_test_of_the_fast_tier(row: int) -> None:
    pinned = [test for test, (rows, fast) in pins().items() if row in rows and fast]
    assert pinned, f"no test of the fast tier is marked with @pytest.mark.feature({row})"


def test_marks_name_rows_that_exist() -> None:
    unknown = {test: sorted(map(repr, rows - set(ROWS))) for test, (rows, _) in pins().items()}
    assert {test: rows for test, rows in unknown.items() if rows} == {}


def test_a_mark_stands_at_a_test() -> None:
    """A mark that this module does not see, at a class or in a list, would pin nothing."""
    seen: dict[str, int] = defaultdict(int)
    for test in pins():
        seen[test.partition("::")[0]] += 1
    written = {place: len(list(feature_calls(tree))) for place, tree in trees().items()}
    assert {place: number for place, number in written.items() if number} == seen


def test_the_page_has_each_row_once() -> None:
    numbers = re.findall(r"^\| (\d+) \| \S", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [int(number) for number in numbers] == list(ROWS)
