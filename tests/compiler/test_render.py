"""Diagrams: what is drawn, that users' texts stay text, that a run's states colour it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from flowgraph_compiler.machine import Machine
from flowgraph_compiler.render import DiagramEdge, DiagramGraph, DiagramNode, diagram, dot, mermaid
from tests.compiler.compiled import PRELUDE, checked

SOURCE = """
from flowgraph import Event

class Paid(Event, name="paid"):
    id: str

@subflow
async def twice(n: int) -> int:
    return await f(n) + await f(n)

@workflow
async def order(x: int) -> int:
    paid = await wait_for(Paid, where=lambda p: p.id == "a", timeout="24h")
    if paid is None:
        return 0
    if not await f(2):
        raise ValueError("no")
    try:
        for n in range(x):
            await parallel(f(n), twice(n))
    except KeyError:
        await sleep("3d")
    finally:
        await f(3)
    return x
"""


@pytest.fixture(scope="module")
def machine() -> Machine:
    return checked(PRELUDE + SOURCE, "drawn")[1]


@pytest.fixture(scope="module")
def drawn(machine: Machine) -> DiagramGraph:
    return diagram(machine)


def titled(drawn: DiagramGraph, title: str) -> list[DiagramNode]:
    return [node for node in drawn.nodes if node.title == title]


def ways(drawn: DiagramGraph, source: str) -> set[tuple[str, str, str]]:
    """Label, kind and target's title of the edges that leave a node."""
    by_id = {node.id: node.title for node in drawn.nodes}
    return {(edge.label, edge.kind, by_id[edge.target]) for edge in drawn.edges if by_id[edge.source] == source}


def test_every_durable_node_is_drawn_once_with_its_line(machine: Machine, drawn: DiagramGraph) -> None:
    assert {node.site for node in machine.nodes} <= {node.id for node in drawn.nodes}
    assert len({node.id for node in drawn.nodes}) == len(drawn.nodes)
    lines = {node.id: node.line for node in drawn.nodes}
    assert all(lines[node.site] == node.line for node in machine.nodes)


def test_a_wait_shows_its_key_and_its_two_ways(drawn: DiagramGraph) -> None:
    (wait,) = titled(drawn, "wait for Paid")
    assert wait.detail == ("id = 'a'", "at most 24h")
    assert ways(drawn, "wait for Paid") == {("timeout", "timeout", "return 0"), ("event", "flow", "f")}


@pytest.mark.feature(12)
def test_a_decision_asks_in_the_authors_words(drawn: DiagramGraph) -> None:
    assert ways(drawn, "not f(…)?") == {
        ("yes", "flow", "raise ValueError('no')"),
        ("no", "flow", "for n in range(x)"),
    }


@pytest.mark.feature(13)
def test_a_group_forks_and_joins(drawn: DiagramGraph) -> None:
    assert ways(drawn, "parallel") == {("", "flow", "f"), ("", "flow", "twice"), ("error", "error", "KeyError?")}
    assert ways(drawn, "join") == {("", "flow", "for n in range(x)")}


def test_errors_go_to_the_handler_and_through_finally(drawn: DiagramGraph) -> None:
    assert ways(drawn, "KeyError?") == {("yes", "flow", "sleep 3d"), ("no", "flow", "f")}
    assert ways(drawn, "finally ends") == {("", "flow", "return x"), ("error", "error", "raise again")}


def test_subflows_have_frames_of_their_own(drawn: DiagramGraph) -> None:
    (frame,) = drawn.clusters
    assert frame.title == "twice"
    (call,) = [node for node in drawn.nodes if node.kind == "subflow"]
    assert DiagramEdge(call.id, "twice:start", "", "calls") in drawn.edges


def test_graph_and_machine_give_the_same_steps() -> None:
    graph, machine = checked(PRELUDE + SOURCE, "drawn")
    assert diagram(graph) == diagram(machine)


def test_machine_level_shows_every_block(machine: Machine) -> None:
    blocks = diagram(machine, "machine")
    assert len(blocks.nodes) == sum(len(function.blocks) for function in machine.functions)
    assert [cluster.title for cluster in blocks.clusters] == ["order", "twice"]


def test_an_unknown_level_is_refused(machine: Machine) -> None:
    with pytest.raises(ValueError, match="'graph' or 'machine'"):
        diagram(machine, "steps")


# --- states


def test_states_colour_the_nodes_and_the_rest_is_pending(machine: Machine) -> None:
    first, second, *_ = machine.nodes
    live = diagram(machine, live={first.id: "done", second.id: "retrying"})
    states = {node.id: node.status for node in live.nodes}
    assert (states[first.site], states[second.site]) == ("completed", "retrying")
    assert set(live.legend) == {"completed", "retrying", "pending"}
    text = dot(live)
    assert 'class="wait completed"' in text
    assert "cluster_legend" in text
    assert "classDef is_retrying" in mermaid(live)


def test_without_a_run_there_are_no_states(drawn: DiagramGraph) -> None:
    assert drawn.legend == ()
    assert "cluster_legend" not in dot(drawn)


# --- texts of users

EVIL = [
    'a"b', "a\\", 'x"]; evil [label="', "<b>bold</b>", "<script>alert(1)</script>", "&lt;", "\\N\\G", "%%{init: {}}%%", "a\nb",
    "tab\there", "nul\x00", "]:::x", "`code`", "end", "#quot;", "日本語", "\u202egnp", "{{x}}", "click n0 call x()",
]  # fmt: skip


def _evil(machine: Machine, text: str) -> DiagramGraph:
    nodes = tuple(replace(node, name=text) for node in machine.nodes)
    return diagram(replace(machine, workflow=text, nodes=nodes), live={machine.nodes[0].id: text})


@pytest.mark.parametrize("text", EVIL)
def test_texts_of_users_stay_texts(machine: Machine, text: str) -> None:
    written = dot(_evil(machine, text))
    statements = [line for line in written.splitlines() if re.match(r"\s+(n|legend)\d+ \[", line)]
    for line in statements:
        outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert re.fullmatch(r"\s*\w+ \[[\w=#,. ]*\];", outside), line
    for line in mermaid(_evil(machine, text)).splitlines():
        assert re.fullmatch(r"[^\"<>`\\]*(\"([^\"<>`\\&%]|<br/>)*\")?[^\"`\\]*(\"[^\"]*\")?[^\"]*", line), line


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
@pytest.mark.parametrize("level", ["graph", "machine"])
def test_graphviz_draws_it(machine: Machine, level: str) -> None:
    texts = [dot(diagram(machine, level)), *([dot(_evil(machine, text)) for text in EVIL[:3]] if level == "graph" else [])]
    for text in texts:
        done = subprocess.run(["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert b"<svg" in done.stdout
        assert b"alert" not in done.stdout
        assert not done.stderr, done.stderr
