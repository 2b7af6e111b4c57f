"""A large input is kept apart where the database would write it anew with every change of its run; nobody who reads sees that."""

from __future__ import annotations

import pytest

from flowgraph_runtime.records import NewRun
from flowgraph_runtime.storage import Conflict
from flowgraph_runtime.storage.runs import LARGE
from tests.storage.site import Site

BIG = '["' + "x" * LARGE + '"]'


def test_every_way_to_read_a_run_gives_its_large_input(site: Site) -> None:
    site.run(site.store.start_run(NewRun("run_big", "pay", "m_1", BIG, 0, idempotency_key="k")))
    site.run(site.store.start_run(NewRun("run_small", "pay", "m_1", "[1]", 0)))
    claimed = {row.id: row.input for row in site.run(site.store.claim(site.epoch, 5))}
    listed = {row.id: row.input for row in site.run(site.store.runs())[0]}
    loaded = {name: site.load(name).run.input for name in claimed}
    one = site.run(site.store.run("run_big"))
    assert claimed == listed == loaded == {"run_big": BIG, "run_small": "[1]"}
    assert one is not None
    assert one.input == BIG


def test_an_idempotency_key_compares_large_inputs(site: Site) -> None:
    first = NewRun("run_1", "pay", "m_1", BIG, 0, idempotency_key="k")
    assert site.run(site.store.start_run(first)) == ("run_1", True)
    assert site.run(site.store.start_run(NewRun("run_2", "pay", "m_1", BIG, 0, idempotency_key="k"))) == ("run_1", False)
    with pytest.raises(Conflict):
        site.run(site.store.start_run(NewRun("run_3", "pay", "m_1", BIG + " ", 0, idempotency_key="k")))


def test_on_sqlite_the_row_itself_stays_small(site: Site) -> None:
    event = site.event()
    site.ingest(event, runs=[NewRun("run_event", "pay", "m_1", BIG, 0, event_id=event.id)])
    assert site.load("run_event").run.input == BIG
    rows = site.store.read(lambda connection: connection.exec_driver_sql("SELECT LENGTH(input) FROM fg_run").all())
    assert [tuple(row) for row in rows] == ([(None,)] if site.url.startswith("sqlite") else [(len(BIG),)])
