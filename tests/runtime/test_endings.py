"""Who waits for a run's end gets the run as it is in the database, without asking it."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.endings import Endings
from flowgraph_runtime.records import RunRow, Transition
from flowgraph_runtime.storage import CommitNews, Store
from tests.runtime.conftest import ended, engine, until
from tests.runtime.live import live


@pytest.mark.parametrize("case", ["completed", "failed", "cancelled", "too large", "woken"])
def test_the_end_that_is_told_is_the_row_in_the_database(run, stage, case):
    workflow, given = {
        "completed": ("thank", {"order_id": "a"}),
        "failed": ("trial", {"how": "give up"}),
        "cancelled": ("stuck", {"order_id": "a"}),
        "too large": ("trial", {"how": "huge"}),
        "woken": ("nap", {"days": 3}),
    }[case]
    stage.events["hanging"] = asyncio.Event()

    async def scenario():
        async with engine() as service:
            await until(lambda: service.worker is not None and service.worker.idle)
            started, _ = await service.intake.start(workflow, given)
            with service.endings.of(started) as ends:
                if case == "cancelled":
                    await service.store.ask_cancel(started, "by hand")
                row = await ended(service, started)
                return ends.get_nowait(), row

    told, row = run(scenario())
    assert told == row or (told is None and case in ("cancelled", "woken")), "decided while another decision was being committed"


def test_the_answer_to_a_start_that_waits_for_the_end_reads_nothing(tmp_path, stage, monkeypatch):
    reads, read = [], Store.run

    async def counted(self, id):
        reads.append(id)
        return await read(self, id)

    monkeypatch.setattr(Store, "run", counted)
    with live(tmp_path) as http:
        answer = http.post("/v1/workflows/thank/runs?wait=30s", json={"input": {"order_id": "a"}})
        assert answer.json()["status"] == "completed"
        first = list(reads)
        assert http.get(f"/v1/runs/{answer.json()['id']}").json() == answer.json()
    assert first == []


def test_ends_of_runs_that_others_own_have_to_be_looked_at():
    async def scenario():
        endings = Endings(lambda run_id: None)
        with endings.of("run_1") as ends, endings.of("run_2") as others:
            endings.committed(CommitNews(transitions=[Transition("run_1", status="running")]))
            assert ends.empty()
            endings.committed(CommitNews(transitions=[Transition("run_1", status="completed", ended_at=5)]))
            endings.close()
            with endings.of("run_3") as late:
                return ends.get_nowait(), others.get_nowait(), late.get_nowait(), others.empty()

    assert asyncio.run(scenario()) == (None, None, None, True)


def test_all_who_wait_for_a_run_are_told():
    row = RunRow("run_1", "w", "m", "queued", "[]", 1, 1, started_at=2, epoch=3)

    async def scenario():
        endings = Endings(lambda run_id: row)
        with endings.of("run_1") as first, endings.of("run_1") as second:
            endings.committed(CommitNews(transitions=[Transition("run_1", status="failed", error="{}", ended_at=5)]))
            return first.get_nowait(), second.get_nowait()

    first, second = asyncio.run(scenario())
    assert first == second == RunRow("run_1", "w", "m", "failed", "[]", 1, 1, started_at=2, ended_at=5, error="{}")
