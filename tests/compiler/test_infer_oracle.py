"""The inference agrees with mypy's `reveal_type` at every place of the corpus.

What mypy reveals is recorded beside the corpus, so that the quick tier needs no mypy; the CI tier asks mypy itself.
FLOWGRAPH_UPDATE_GOLDEN=1 records it anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from mypy import api

from flowgraph_compiler import build, infer, reader, source
from flowgraph_compiler.types import show

CORPUS = Path(__file__).with_name("inference_corpus.py.txt")
RECORDED = Path(__file__).with_name("inference_corpus.revealed.txt")
PLACE = re.compile(r"^(?P<indent> +)(?P<name>r\d+) = ")


def ours(corpus: Path = CORPUS) -> dict[str, str]:
    """Our type of each place."""
    app, findings = reader.read([source.from_text(corpus.read_text(), f"{corpus.stem.partition('.')[0]}_text")])
    assert not findings
    found: dict[str, str] = {}
    for name in app.workflows:
        graph, wrong = build.build(app, name)
        assert graph is not None, wrong
        inferred, mistyped = infer.infer(graph, app)
        assert not mistyped
        found |= {variable: show(tp) for variable, tp in inferred.main.variable_types.items() if PLACE.match(f" {variable} = ")}
    return found


def mypys(folder: Path, corpus: Path = CORPUS) -> dict[str, str]:
    """What mypy reveals after each place."""
    lines: list[str] = []
    places: dict[int, str] = {}
    for line in corpus.read_text().splitlines():
        lines.append(line)
        match = PLACE.match(line)
        if match:
            lines.append(f"{match['indent']}reveal_type({match['name']})")
            places[len(lines)] = match["name"]
    file = folder / "corpus.py"
    file.write_text("\n".join(lines) + "\n")
    out, err, _ = api.run(["--strict", "--allow-empty-bodies", "--cache-dir", str(folder / "cache"), str(file)])
    assert "error:" not in out, out + err
    revealed = re.findall(r':(\d+): note: Revealed type is "(.*)"', out)
    return {places[int(line)]: plain(text) for line, text in revealed}


def plain(revealed: str) -> str:
    """mypy's text as an author writes it."""
    text = re.sub(r"\b(?:[a-z_]+\.)+([A-Za-z_]+)", r"\1", revealed)
    text = re.sub(r"tuple\[([^\[\]]*(?:\[[^\]]*\][^\[\]]*)*), fallback=(\w+)\]", r"\2", text)
    return re.sub(r"\] \| Literal\[", ", ", text)


def same(one: str | None, other: str) -> bool:
    """Equal but for the order of a union."""
    return one is not None and sorted(one.split(" | ")) == sorted(other.split(" | "))


def differences(theirs: dict[str, str]) -> dict[str, tuple[str | None, str]]:
    mine = ours()
    return {name: (mine.get(name), tp) for name, tp in theirs.items() if not same(mine.get(name), tp)}


def test_agrees_with_what_mypy_revealed() -> None:
    theirs = dict(line.split(": ", 1) for line in RECORDED.read_text().splitlines())
    assert len(theirs) > 130
    assert differences(theirs) == {}


@pytest.mark.ci
def test_agrees_with_mypy_everywhere(tmp_path: Path) -> None:
    theirs = mypys(tmp_path)
    if os.environ.get("FLOWGRAPH_UPDATE_GOLDEN"):
        RECORDED.write_text("".join(f"{name}: {tp}\n" for name, tp in theirs.items()))
    assert len(theirs) > 130
    assert differences(theirs) == {}
    assert "".join(f"{name}: {tp}\n" for name, tp in theirs.items()) == RECORDED.read_text()
