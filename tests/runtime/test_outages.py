"""The database is away for a while: workers wait for it and go on, nobody's run is blamed, and clients are told to come back."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_compiler.serialize import to_json
from flowgraph_runtime.errors import StartupRefused
from flowgraph_runtime.records import LoadedRun, RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.storage import MachineRow, Store
from flowgraph_runtime.storage.errors import DatabaseFull, DatabaseUnavailable, OutcomeUnknown, Transient
from flowgraph_runtime.worker import committer
from flowgraph_runtime.worker.loader import Loader
from tests.runtime.conftest import compilation, ended, engine, until
from tests.runtime.live import live

GOOD = {"name": "order.placed", "data": {"order_id": "o1"}}


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch):
    """`away(name, times)`: a call of the store fails so often, as it does while the database is away."""
    monkeypatch.setattr(committer, "PAUSE", 0.001)
    monkeypatch.setattr(committer, "LONGEST_PAUSE", 0.001)
    failures: dict[str, int] = {}

    def fail(name: str, times: int, error: Exception) -> dict[str, int]:
        call = getattr(Store, name)
        failures[name] = times

        async def failing(self, *arguments, **options):
            if failures[name] > 0:
                failures[name] -= 1
                raise error
            return await call(self, *arguments, **options)

        monkeypatch.setattr(Store, name, failing)
        return failures

    return fail


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), Transient("the line broke"), DatabaseFull("no room")])
def test_a_commit_waits_until_the_database_is_back(run, stage, away, error):
    """Far more often than a run's own transition may be refused."""
    failures = away("commit", 30, error)

    async def scenario():
        async with engine() as service:
            started, _ = await service.intake.start("thank", {"order_id": "x"})
            return await ended(service, started)

    row = run(scenario())
    assert (row.status, row.takeovers, failures["commit"]) == ("completed", 0, 0)
    assert [call[2] for call in stage.calls] == [1] * len(stage.calls), "no step was run again for it"


def test_a_commit_of_unknown_end_is_not_counted_against_the_run(run, stage, away):
    failures = away("commit", 12, OutcomeUnknown("the line broke"))

    async def scenario():
        async with engine() as service:
            started, _ = await service.intake.start("thank", {"order_id": "x"})
            return await ended(service, started)

    row = run(scenario())
    assert (row.status, failures["commit"]) == ("completed", 0)


class Library:
    """A store whose answers fail at first."""

    def __init__(self, failing: str) -> None:
        self.failures = {failing: 3}
        self.text = to_json(next(iter(compilation().machines.values())))

    async def _answer(self, call: str, answer: object) -> object:
        if self.failures.get(call, 0):
            self.failures[call] -= 1
            raise DatabaseUnavailable("away")
        return answer

    async def load(self, run_id: str) -> object:
        return await self._answer("load", LoadedRun(RunRow(run_id, "w", "m_new", "queued", "[]", 0, 0), -1, None))

    async def machine(self, fingerprint: str) -> object:
        return await self._answer("machine", MachineRow(fingerprint, "w", self.text, "{}", 0))


@pytest.mark.parametrize("call", ["load", "machine"])
def test_a_run_that_cannot_be_read_just_now_is_not_given_up(run, call, monkeypatch):
    """That what a new owner reads of a run does not come says nothing about the run."""
    monkeypatch.setattr("flowgraph_runtime.worker.loader.RETRY_AFTER", 0.001)
    library = Library(call)
    resumed, unusable = [], []

    async def scenario():
        registry = Registry.from_compilation(compilation())
        loader = Loader(library, registry, lambda loaded, _: resumed.append(loaded), lambda *why: unusable.append(why))
        loader.load("run_1")
        task = asyncio.create_task(loader.run())
        await until(lambda: bool(resumed or unusable))
        task.cancel()

    run(scenario())
    assert ([loaded.run.id for loaded in resumed], unusable, library.failures) == (["run_1"], [], {call: 0})


@pytest.mark.parametrize(
    ("error", "status"),
    [(DatabaseUnavailable("away"), 503), (Transient("cut"), 503), (OutcomeUnknown("cut"), 503), (DatabaseFull("no room"), 507)],
)
def test_clients_are_told_to_come_back(tmp_path, monkeypatch, error, status):
    async def failing(*_: object, **__: object) -> None:
        raise error

    with live(tmp_path) as client:
        assert client.post("/v1/events", json=GOOD).status_code == 200
        monkeypatch.setattr(Store, "ingest", failing)
        monkeypatch.setattr(Store, "runs", failing)
        posted, sent, listed = client.post("/v1/events", json=GOOD), client.post("/e/key", json=GOOD), client.get("/v1/runs")
        assert [answer.status_code for answer in (posted, sent, listed)] == [status] * 3
        assert all(int(answer.headers["retry-after"]) > 0 for answer in (posted, sent, listed))
        assert posted.headers["content-type"] == "application/problem+json"
        assert sent.json()["status"] == status, "in the form that Inngest's SDKs read"
        monkeypatch.undo()
        assert client.post("/v1/events", json=GOOD).status_code == 200


@pytest.mark.postgres
def test_a_heartbeat_that_cannot_keep_the_lease_is_refused(run, postgres_url):
    async def scenario():
        async with engine(url=postgres_url, lease=3.0, heartbeat_interval=2.0):
            pass

    with pytest.raises(
        StartupRefused, match="a heartbeat every 2 s cannot keep a lease of 3 s; set FLOWGRAPH_HEARTBEAT_INTERVAL"
    ):
        run(scenario())
