"""The journal: rows and inputs, and the fold that notices another decision."""

from __future__ import annotations

import dataclasses

import pytest

from flowgraph_runtime.engine.commands import Decision
from flowgraph_runtime.engine.errors import JournalMismatch
from flowgraph_runtime.engine.folding import error_payload, fold, input_of, journal_row
from flowgraph_runtime.engine.inputs import (
    CancelAsked,
    ChildEnded,
    EventOffered,
    Input,
    Started,
    StepDone,
    StepFailed,
    TimerFired,
)
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.state import snapshot
from flowgraph_runtime.records import InboxRow, LoadedRun, RunRow
from tests.engine.driver import START, drive, registry_of
from tests.engine.sources import compiled, members

BODY = """
@workflow
async def flow(n: int) -> str:
    total = 0
    for i in range(n):
        total += await add(i)
    got = await wait_for(Ping, where=lambda p: p.n > total, timeout="1h")
    await sleep("2h")
    return f"{total} {got.n if got is not None else 0}"
"""


@pytest.mark.parametrize(
    "given",
    [
        StepDone(3, 2, '{"a":[1,2]}'),
        StepFailed(3, 2, '{"$error":"E, [x","mro":[]}'),
        StepFailed(3, 2, '{"$error":"E"}', 1_234_567, True),
        TimerFired(7),
        EventOffered("evt_1", (4, 9), '{"$model":"Ping","v":{"n":"]},["}}'),
        ChildEnded(2, "failed", '{"$error":"E"}'),
        CancelAsked('because "so"'),
    ],
)
def test_a_row_gives_its_input_back(given: Input) -> None:
    row = journal_row("run_1", 5, 99, given, Decision(site="flow/add", visit=1), 42)
    assert input_of(row) == given
    assert (row.seq, row.at, row.site, row.visit, row.started_at) == (5, 99, "flow/add", 1, 42)


def test_an_inbox_row_is_an_input_too() -> None:
    row = InboxRow(1, "run_1", "evt_7", "event", 0, '{"n":1}', 5, (3, 4))
    assert input_of(row) == EventOffered("evt_7", (3, 4), '{"n":1}')
    assert input_of(InboxRow(2, "run_1", "cancel", "cancel", 0, "enough", 5)) == CancelAsked("enough")


def test_the_start_is_no_row_and_an_unknown_kind_no_input() -> None:
    with pytest.raises(ValueError, match="no journal row"):
        journal_row("run_1", 0, 0, Started("[]"), Decision())
    with pytest.raises(ValueError, match="'gossip' is no input"):
        input_of(InboxRow(1, "run_1", "x", "gossip", 0, "", 5))


def test_the_error_of_a_failed_row_can_be_read() -> None:
    row = journal_row("run_1", 5, 99, StepFailed(3, 2, '{"$error":"E","args":[1,2]}', None, True), Decision())
    assert error_payload(row) == '{"$error":"E","args":[1,2]}'


def test_a_fold_from_any_snapshot_comes_to_the_same_state() -> None:
    compilation = compiled(BODY)
    outcome = drive(compilation, "flow", [3], events=[members(compilation)["Ping"](n=50)])
    program = Program.load(compilation.machines["flow"], registry_of(compilation.application))
    run = RunRow("run_01DRIVEN", "flow", "", "running", "[3]", START, START, started_at=START)
    for seq, text in enumerate(outcome.snapshots):
        state = fold(program, LoadedRun(run, seq, text, outcome.journal[seq:]))
        assert snapshot(state, program) == outcome.snapshots[-1]


@pytest.mark.parametrize("change", [{"payload": "70"}, {"digest": 1}, {"serial": 9}, {"attempt": 2}])
def test_a_journal_that_leads_elsewhere_is_noticed(change: dict[str, object]) -> None:
    compilation = compiled(BODY)
    outcome = drive(compilation, "flow", [3])
    program = Program.load(compilation.machines["flow"], registry_of(compilation.application))
    run = RunRow("run_01DRIVEN", "flow", "", "running", "[3]", START, START, started_at=START)
    journal = [*outcome.journal]
    journal[1] = dataclasses.replace(journal[1], **change)  # type: ignore[arg-type]
    with pytest.raises(JournalMismatch) as caught:
        fold(program, LoadedRun(run, 0, None, journal))
    assert caught.value.seq >= 2
