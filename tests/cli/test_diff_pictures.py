"""`flowgraph diff -o`: one diagram of two machines."""

from __future__ import annotations

import pytest

from flowgraph_compiler.render import DARK, Style, compared, dot, mermaid
from flowgraph_compiler.render.shapes import DiagramGraph
from tests.cli.program import Program
from tests.cli.test_diff_command import SHOP, changed, machine

PACKED = [("    receipt = await charge(order)", '    receipt = await charge(order)\n    await mail("packing")')]


def statuses(drawn: DiagramGraph) -> dict[str, str | None]:
    return {node.title: node.status for node in drawn.nodes}


def arrows(drawn: DiagramGraph) -> set[tuple[str, str, str | None]]:
    titles = {node.id: node.title for node in drawn.nodes}
    return {(titles[edge.source], titles[edge.target], edge.change) for edge in drawn.edges if edge.change}


def test_what_is_new_gone_changed_and_the_same() -> None:
    text = changed(("retries=3", "retries=5"), ('    await sleep("1h")\n', ""))
    drawn = compared(machine(SHOP), machine(text))
    found = statuses(drawn)
    assert (found["charge"], found["sleep 1h"], found["wait for Paid"]) == ("changed", "removed", "same")
    assert drawn.legend == ("removed", "changed", "same")
    gone = {(source, target) for source, target, change in arrows(drawn) if change == "removed"}
    assert any(target == "sleep 1h" for _, target in gone)
    assert any(source == "sleep 1h" for source, _ in gone)


def test_arrows_around_a_new_node() -> None:
    drawn = compared(machine(SHOP), machine(changed(*PACKED)))
    assert arrows(drawn) >= {("charge", "wait for Paid", "removed")}
    assert {change for source, _, change in arrows(drawn) if source == "charge"} == {"added", "removed"}


def test_the_same_machine_is_all_the_same() -> None:
    drawn = compared(machine(SHOP), machine(SHOP))
    assert set(statuses(drawn).values()) == {"same"}
    assert arrows(drawn) == set()


@pytest.mark.parametrize(("old", "new", "status"), [(None, SHOP, "added"), (SHOP, None, "removed")])
def test_a_workflow_that_is_new_or_gone(old: str | None, new: str | None, status: str) -> None:
    drawn = compared(None if old is None else machine(old), None if new is None else machine(new))
    assert set(statuses(drawn).values()) == {status}
    assert drawn.title == "pay"


def test_colours_and_legend_are_in_both_languages() -> None:
    drawn = compared(machine(SHOP), machine(changed(*PACKED)))
    for style in (Style(), Style(DARK)):
        green = style.palette.statuses["added"].border
        text = dot(drawn, style)
        assert 'label="changes"' in text
        assert f'color="{green}"' in text
        assert "style=dashed" in text
        assert f"stroke:{green}" in mermaid(drawn, style)
        assert "legend0" in mermaid(drawn, style)


def test_files_by_their_endings(program: Program) -> None:
    program.write("old.py", SHOP)
    program.write("new.py", changed(*PACKED))
    for name, begins in (("d.svg", b"<?xml"), ("d.png", b"\x89PNG"), ("d.dot", b"digraph"), ("d.mmd", b"---")):
        done = program("diff", "old.py", "new.py", "-o", name)
        assert (done.code, "is new" in done.stdout) == (0, True), done.stderr
        assert (program.folder / name).read_bytes().startswith(begins)
    assert program("diff", "old.py", "new.py", "-o", "pictures").code == 0
    assert [file.name for file in (program.folder / "pictures").iterdir()] == ["pay.svg"]
    done = program("diff", "old.py", "old.py", "-o", "same.svg")
    assert "nothing is drawn" in done.stderr
    assert not (program.folder / "same.svg").exists()
    assert program("diff", "old.py", "new.py", "-o", "d.txt").code == 2
