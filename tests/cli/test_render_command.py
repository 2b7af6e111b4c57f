"""`flowgraph render`: every format, by both renderers, and the message when there is none."""

from __future__ import annotations

import graphviz
import pytest

from flowgraph_runtime import pictures
from tests.cli.program import Program

SOURCE = """
from flowgraph import parallel, sleep, step, workflow

@step
async def greet(name: str) -> str:
    return name

@workflow
async def meet(name: str) -> str:
    if name:
        await parallel(greet(name), greet("<b>&\\""))
    await sleep("1h")
    return await greet(name)

@workflow
async def other(name: str) -> str:
    return await greet(name)
"""
BEGINNINGS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph", "mermaid": b"flowchart"}


@pytest.fixture(autouse=True)
def files(program: Program) -> None:
    program.write("meeting.py", SOURCE)


@pytest.fixture(params=["dot", "wheel"])
def renderer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "wheel":
        monkeypatch.setattr(graphviz.Source, "pipe", without_program)
    return str(request.param)


def without_program(*_: object, **__: object) -> bytes:
    raise graphviz.ExecutableNotFound(["dot"])


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_pictures(program: Program, renderer: str, ending: str) -> None:
    done = program("render", "meeting.py:meet", "-o", f"meet.{ending}")
    assert (done.code, done.stdout) == (0, ""), done.stderr
    assert (program.folder / f"meet.{ending}").read_bytes().startswith(BEGINNINGS[ending])


@pytest.mark.parametrize("level", ["graph", "machine"])
@pytest.mark.parametrize("format", ["dot", "mermaid", "svg"])
def test_texts_go_to_stdout(program: Program, format: str, level: str) -> None:
    done = program("render", "meeting.py:meet", "--format", format, "--level", level)
    assert done.code == 0
    assert done.stdout.lstrip().startswith(BEGINNINGS[format].decode())
    assert "greet" in done.stdout


def test_dot_is_what_stdout_gets_when_nothing_is_said(program: Program) -> None:
    assert program("render", "meeting.py:meet").stdout.startswith("digraph")


@pytest.mark.parametrize("ending", ["mmd", "gv"])
def test_the_ending_says_the_format(program: Program, ending: str) -> None:
    assert program("render", "meeting.py:meet", "-o", f"deep/meet.{ending}").code == 0
    assert (program.folder / f"deep/meet.{ending}").read_text().startswith("flowchart" if ending == "mmd" else "digraph")
    assert program("render", "meeting.py:meet", "-o", "meet.jpeg").code == 2


def test_several_workflows_go_to_a_folder(program: Program) -> None:
    assert program("render", "meeting.py", "-o", "pictures").code == 0
    assert sorted(path.name for path in (program.folder / "pictures").iterdir()) == ["meet.svg", "other.svg"]
    assert program("render", "meeting.py", "-o", "one.svg").code == 2
    assert program("render", "meeting.py").code == 2


def test_without_a_renderer_both_are_named(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphviz.Source, "pipe", without_program)
    monkeypatch.setattr(pictures, "find_spec", lambda _: None)
    done = program("render", "meeting.py:meet", "-o", "meet.svg")
    assert done.code == 3
    assert "'dot'" in done.stderr
    assert "'pygraphviz'" in done.stderr
    assert not (program.folder / "meet.svg").exists()
    assert program("render", "meeting.py:meet", "--format", "mermaid").code == 0


def test_what_graphviz_refuses_is_an_error_with_its_words() -> None:
    with pytest.raises(pictures.PictureError, match="syntax error"):
        pictures.svg("digraph { a -> ")


def test_a_picture_for_a_document_has_a_title_a_legend_links_and_a_theme(program: Program) -> None:
    options = ("--title", "--legend", "--link", "https://code.example/{file}#L{line}", "--theme", "dark")
    done = program("render", "meeting.py:meet", "--format", "svg", *options)
    assert done.code == 0, done.stderr
    assert "meeting.py:9<" in done.stdout
    assert "a decision" in done.stdout
    assert 'href="https://code.example/meeting.py#L11"' in done.stdout
    assert done.stdout != program("render", "meeting.py:meet", "--format", "svg", *options[:-2]).stdout
