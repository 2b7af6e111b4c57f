"""Diagrams: what is drawn, that users' texts stay text, that a run's states colour it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from flowgraph_compiler.machine import Machine, Trigger
from flowgraph_compiler.render import DARK, LIGHT, DiagramEdge, DiagramGraph, DiagramNode, Style, diagram, dot, heading, mermaid
from flowgraph_compiler.render.colours import Palette
from flowgraph_compiler.render.shapes import backward, folded, shortened
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


# --- styles


@pytest.mark.parametrize("write", [dot, mermaid])
def test_a_style_changes_colours_and_nothing_else(machine: Machine, write: Callable[..., str]) -> None:
    live = diagram(machine, live={machine.nodes[0].id: "failed"})
    light, dark = (write(live, Style(palette)) for palette in (LIGHT, DARK))
    assert light == write(live) != dark
    colour = re.compile("#[0-9a-f]{6}")
    assert colour.sub("", light) == colour.sub("", dark)


def test_both_palettes_know_the_same_kinds_and_states() -> None:
    assert (LIGHT.kinds.keys(), LIGHT.statuses.keys()) == (DARK.kinds.keys(), DARK.statuses.keys())


@pytest.mark.parametrize(("palette", "page"), [(LIGHT, "#ffffff"), (DARK, "#0f1623")])
def test_every_text_can_be_read_on_its_ground(palette: Palette, page: str) -> None:
    """By the contrast that WCAG 2.2 (1.4.3, 1.4.11) asks for: 4.5 for text, 3 for lines."""
    for name, look in {**palette.kinds, **palette.statuses, "other": palette.other}.items():
        assert contrast(look.text, look.fill) >= 4.5, name
    for line in (palette.arrow, palette.error, palette.timeout):
        assert contrast(line, page) >= 3, line


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_heading_says_which_workflow_it_is_and_what_starts_it(machine: Machine) -> None:
    trigger = Trigger("cron", cron="0 9 * * *", zone="Europe/Paris")
    lines = heading(replace(machine, triggers=(trigger, Trigger("event", ("paid", "paid.late"))), file="orders.py"))
    assert lines[:2] == ("order", "at 09:00 every day, Europe/Paris, on paid | paid.late")
    assert re.fullmatch(r"orders\.py:\d+", lines[2])
    style = Style(heading=('a "b"', "c"))
    assert 'label="a \\"b\\"\\lc\\l \\l"; labelloc=t' in dot(diagram(machine), style)
    assert mermaid(diagram(machine), style).startswith('---\ntitle: "a \\"b\\" · c"\n---\nflowchart TB')


def test_a_legend_explains_the_kinds_that_occur(machine: Machine, drawn: DiagramGraph) -> None:
    explained = {"a step", "waits for an event", "sleeps", "a subflow", "a decision", "a loop"}
    for text in (dot(drawn, Style(legend=True)), mermaid(drawn, Style(legend=True))):
        assert all(words in text for words in explained)
        assert "sends an event" not in text


def test_boxes_lead_to_their_lines(machine: Machine, drawn: DiagramGraph) -> None:
    style = Style(link="https://code.example/{file}#L{line}", file='a b/"c".py')
    (wait,) = (node for node in drawn.nodes if node.kind == "wait")
    address = f"https://code.example/a%20b/%22c%22.py#L{wait.line}"
    assert f'URL="{address}"' in dot(drawn, style)
    assert re.search(rf'click n\d+ href "{re.escape(address)}"', mermaid(drawn, style))
    assert "URL=" not in dot(drawn)


def test_texts_are_broken_at_spaces_then_after_punctuation() -> None:
    assert folded("return Outcome(booking_id=event.booking_id, status='x')") == [
        "return Outcome(booking_id=event.", "booking_id, status='x')",
    ]  # fmt: skip
    assert folded("x" * 40) == ["x" * 34, "x" * 6]
    assert folded("") == [""]
    assert shortened("a" * 20 + " is long", 24) == "a" * 20 + " …"
    assert shortened("a" * 70) == "a" * 63 + "…"


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


def test_a_loop_stands_below_its_head(machine: Machine, drawn: DiagramGraph) -> None:
    """The arrow that closes it is written from the head, so that Graphviz ranks the body below."""
    by_id = {node.id: node.title for node in drawn.nodes}
    back = {(by_id[edge.source], by_id[edge.target]) for edge in backward(drawn)}
    assert {target for _, target in back} == {"for n in range(x)"}
    assert dot(drawn).count("dir=back") == len(back)
