"""The inference agrees with mypy's `reveal_type` at every place of the corpora and of the examples.

What mypy reveals is recorded beside the corpora, so that the quick tier needs no mypy; the CI tier asks mypy itself.
FLOWGRAPH_UPDATE_GOLDEN=1 records it anew.
"""

from __future__ import annotations

import importlib
import itertools
import os
import shutil
import sys
from functools import cache
from pathlib import Path

import pytest

from flowgraph_compiler import source
from tests.compiler.revealing import mypys, ours, revealing, same, with_places

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
CORPORA = ("inference_corpus", "inference_corpus_more")
RECORDED = HERE / "inference_corpus.revealed.txt"

NARROWER = {
    "r1141": ("list[object]", "list[int | str]"),  # mypy joins unlike items to their nearest common class
    "r1713": ("list[Exception]", "list[Broken | KeyError]"),
    "r1659": ("float", "int"),  # mypy keeps what an annotated assignment declares; later assignments narrow, as ours
    "r1709": ("Exception | None", "ValueError | None"),
    "r1710": ("Exception", "ValueError"),
}
"""Places where ours says more than mypy, with both types."""
SILENT = {"r1280": "_IsoCalendarDate", "r1281": "struct_time"}
"""Places where ours is unknown: results that are not in the small table, because nothing of their types can be stored."""


@cache
def corpora() -> dict[str, str]:
    """Our type of each place."""
    modules = [[source.from_text((HERE / f"{name}.py.txt").read_text(), f"{name}_text")] for name in CORPORA]
    return {place: tp for module in modules for place, tp in ours(module).items()}


def recorded() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in RECORDED.read_text().splitlines())


def check(mine: dict[str, str], theirs: dict[str, str]) -> None:
    """Every place agrees, but for the listed ones, and these are as listed."""
    apart = {place: (tp, mine.get(place)) for place, tp in theirs.items() if not same(mine.get(place), tp)}
    silent = {place: (tp, "unknown") for place, tp in SILENT.items()}
    assert apart == {place: pair for place, pair in {**NARROWER, **silent}.items() if place in theirs}


def test_agrees_with_what_mypy_revealed() -> None:
    theirs = recorded()
    assert len(theirs) >= 163 + 490
    check(corpora(), theirs)


def test_what_is_reported_as_apart_is_noticed() -> None:
    """The comparison itself tells types apart."""
    assert not same("list[int]", "list[str]")
    assert not same("unknown", "int")
    assert not same(None, "int")
    assert same("int | None", "None | int")
    with pytest.raises(AssertionError):
        check({**corpora(), "r1000": "str"}, recorded())


@pytest.mark.ci
def test_agrees_with_mypy_everywhere(tmp_path: Path) -> None:
    files = []
    for name in CORPORA:
        files.append(tmp_path / f"{name}.py")
        files[-1].write_text(revealing((HERE / f"{name}.py.txt").read_text()))
    theirs = mypys(files, tmp_path)
    text = "".join(f"{place}: {tp}\n" for place, tp in theirs.items())
    if os.environ.get("FLOWGRAPH_UPDATE_GOLDEN"):
        RECORDED.write_text(text)
    check(corpora(), theirs)
    assert text == RECORDED.read_text()


@pytest.mark.ci
def test_agrees_with_mypy_over_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example with places put into its workflows, as ours reads it; beside it the same text for mypy."""
    numbers = itertools.count(5000)
    monkeypatch.syspath_prepend(tmp_path / "ours")
    names: list[str] = []
    files: list[Path] = []
    for folder in sorted({path.parent for path in EXAMPLES.glob("*/*.py")}):
        package = f"revealed_{folder.name}"
        shutil.copytree(folder, tmp_path / "ours" / package, ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / "ours" / package / "__init__.py").touch()
        for file in (tmp_path / "ours" / package).glob("*.py"):
            file.write_text(with_places(file.read_text(), numbers))
            names.append(f"{package}.{file.stem}".removesuffix(".__init__"))
    shutil.copytree(tmp_path / "ours", tmp_path / "mypys")
    for file in sorted((tmp_path / "mypys").glob("*/*.py")):
        file.write_text(revealing(file.read_text()))
        files.append(file)
    read = [source.source_of(importlib.import_module(name)) for name in names]
    mine = ours([module for module in read if module is not None])
    for name in [name for name in sys.modules if name.startswith("revealed_")]:
        monkeypatch.delitem(sys.modules, name)
    theirs = mypys(files, tmp_path)
    assert len(theirs) > 50
    assert {place: (tp, mine.get(place)) for place, tp in theirs.items() if not same(mine.get(place), tp)} == {}
