"""The journal: rows and inputs, and the fold that notices another decision."""

from __future__ import annotations

import copy
from decimal import Decimal

import pytest
from msgspec import structs

from flowgraph.codec import loads
from flowgraph_runtime.engine import program as program_module
from flowgraph_runtime.engine.commands import Decision, RunStep, SetTimer
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.digests import agrees, digest
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
from flowgraph_runtime.engine.run_state import RunState
from flowgraph_runtime.engine.state import snapshot
from flowgraph_runtime.records import InboxRow, JournalRow, LoadedRun, RunRow
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


def test_a_recorded_checksum_is_understood_whichever_kind_it_is() -> None:
    call = RunStep(3, 0, "flow/add#1", "add", 2, 1, (2, "x"), {"by": None})
    other = structs.replace(call, arguments=(3, "x"))
    for recorded in (1433188088, digest([call])):  # the first is what journals held when every decision had the general kind
        assert agrees([call], recorded)
        assert not agrees([other], recorded)
        assert not agrees([call, call], recorded)
    several = [RunStep(3, 0, "flow/add#1", "add", 2, 1, (2, "x"), {}), SetTimer(4, 5, "sleep")]
    assert digest(several) == 1592834828


@pytest.mark.parametrize("value", [2**70, "\ud800", 1.5, [1, {"a": (2, None)}], {1, 2}, Decimal("1.0"), {3: 4}, b"x"])
def test_every_argument_has_a_checksum_that_a_fold_comes_to_again(value: object) -> None:
    call = RunStep(3, 0, "flow/add#1", "add", 2, 1, (value,), {})
    assert digest([call]) == digest([copy.deepcopy(call)])
    assert agrees([copy.deepcopy(call)], digest([call]))
    assert digest([structs.replace(call, visit=3)]) != digest([call])


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


STEPS = """
@subflow
async def twice(n: int) -> int:
    return await add(n) + await add(n)

@workflow
async def flow(n: int) -> list[int]:
    got = [await twice(n), await add(n, b=2)]
    for i in range(n):
        both = await parallel(add(i), twice(i))
        try:
            got.append(await add(both[1]))
            got.append(10 // (i - 1))
        except ZeroDivisionError:
            got.append(await add(-1))
    return got
"""


def test_a_result_at_hand_leads_to_what_its_text_leads_to() -> None:
    compilation = compiled(STEPS)
    outcome = drive(compilation, "flow", [3])
    program = Program.load(compilation.machines["flow"], registry_of(compilation.application))
    states = [RunState.new("run_01DRIVEN") for _ in range(2)]
    for state in states:
        decide(program, state, Started("[3]"), START)
    assert len(outcome.journal) > 10
    for row in outcome.journal:
        given = input_of(row)
        assert isinstance(given, StepDone)
        kept = structs.replace(given, value=loads(given.payload, program.types))
        first, second = (decide(program, state, one, row.at) for state, one in zip(states, (given, kept), strict=True))
        assert first == second
        assert snapshot(states[0], program) == snapshot(states[1], program)
    assert states[1].phase == "ended"


@pytest.mark.parametrize("change", [{"payload": "70"}, {"digest": 1}, {"serial": 9}, {"attempt": 2}])
def test_a_journal_that_leads_elsewhere_is_noticed(change: dict[str, object]) -> None:
    compilation = compiled(BODY)
    outcome = drive(compilation, "flow", [3])
    program = Program.load(compilation.machines["flow"], registry_of(compilation.application))
    run = RunRow("run_01DRIVEN", "flow", "", "running", "[3]", START, START, started_at=START)
    journal = [*outcome.journal]
    journal[1] = journal[1]._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(JournalMismatch) as caught:
        fold(program, LoadedRun(run, 0, None, journal))
    assert caught.value.seq >= 2


BLOCKS = """
@workflow
async def flow(n: int) -> list[int]:
    got: list[int] = []
    for i in range(n):
        if i % 2:
            got.append(i)
            continue
        try:
            got.append(await add(i))
            if i > 2:
                break
            got.append(7 // i)
        except ZeroDivisionError as error:
            got.append(len(str(error)))
        finally:
            got.append(await add(-i))
        match i:
            case 0:
                got.append(0)
            case other:
                got.append(await add(other, other))
    while len(got) < 20:
        got.append(1)
    return got
"""


def test_blocks_that_follow_one_another_in_a_function_do_what_each_does_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compilation = compiled(BLOCKS)
    types = registry_of(compilation.application)
    together = Program.load(compilation.machines["flow"], types)
    monkeypatch.setattr(program_module, "NEAR", 0)
    alone = Program.load(compilation.machines["flow"], types)
    journal = drive(compilation, "flow", [6]).journal
    ways = set()
    for operations in (*range(1, 60), 1_000):  # a run that exceeds its budget does so at the same operation
        monkeypatch.setattr("flowgraph_runtime.engine.decide.OPERATIONS", operations)
        first, second = (_decisions(program, journal) for program in (together, alone))
        assert first == second
        ways.add(len(first))
    assert len(ways) > 3


def _decisions(program: Program, journal: list[JournalRow]) -> list[object]:
    state, seen = RunState.new("run_01DRIVEN"), []
    for given, at in [(Started("[6]"), START), *((input_of(row), row.at) for row in journal)]:
        seen.append((decide(program, state, given, at), snapshot(state, program)))
        if state.phase == "ended":
            break
    return seen
