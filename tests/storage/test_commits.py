"""Transitions are committed in groups; a refused one takes nothing else with it, a dead epoch takes nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

import pytest

from flowgraph_runtime.records import JournalRow, TimerRow, Transition
from flowgraph_runtime.storage import StorageError, UnknownRun, loading
from flowgraph_runtime.storage.transaction import Catalog
from tests.storage.site import PAYLOAD, SECOND, Site

Errors: TypeAlias = list[StorageError | None]


def test_a_loaded_run_has_what_was_committed(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.step(run, 1, '"a"'), site.step(run, 2, '"b"'))
    loaded = site.load(run)
    assert [(row.seq, row.payload, row.site) for row in loaded.journal] == [(1, '"a"', "site1"), (2, '"b"', "site2")]
    assert loaded.journal[0] == site.journal(run, 1, payload='"a"')
    assert (loaded.run.workflow, loaded.run.machine, loaded.run.input) == ("pay", "m_1", f"[{PAYLOAD}]")
    assert (loaded.snapshot, loaded.inbox) == (None, [])


@pytest.mark.parametrize("count", [1, 9, 70])
@pytest.mark.parametrize("unlike", [0, 1, 70])
def test_rows_come_back_as_they_went_in(site: Site, count: int, unlike: int) -> None:
    """Those of first attempts that returned say less on their way; the others of their group are none the worse for it."""
    rows = [site.journal(run, 1, payload=f'"{number}"') for number, run in enumerate(site.started(count))]
    for number in range(count - min(count, unlike), count):
        row = rows[number]
        others = (
            row._replace(seq=2, attempt=2),
            row._replace(kind="failed"),
            JournalRow(row.run_id, 1, row.at, "timer", 3, "", 7),
            row._replace(kind="child", attempt=1),
        )
        rows[number] = others[number % len(others)]
        if rows[number].seq == 2:
            site.commit(row._replace(kind="failed"))
    site.commit(*rows)
    assert [site.load(row.run_id).journal[-1] for row in rows] == rows


def test_only_the_journal_after_the_snapshot_is_loaded(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.step(run, 1), Transition(run, snapshot=(1, '{"old":1}')))
    site.commit(site.step(run, 2), Transition(run, snapshot=(2, '{"new":1}')), site.step(run, 3))
    loaded = site.load(run)
    assert (loaded.snapshot_seq, loaded.snapshot) == (2, '{"new":1}')
    assert [row.seq for row in loaded.journal] == [3]
    assert site.seqs(run) == [1, 2, 3]
    assert site.run(site.store.results(run, [1, 3])) == {1: "null", 3: "null"}


def test_results_are_read_whatever_number_of_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_PARAMETERS", 3)
    (run,) = site.started()
    site.commit(*(site.step(run, seq) for seq in range(1, 12)))
    assert site.run(site.store.results(run, [*range(1, 12), 99])) == dict.fromkeys(range(1, 12), "null")
    assert site.run(site.store.results(run, [])) == {}


def test_a_dead_epochs_commit_is_rejected_whole(site: Site) -> None:
    runs = site.started(3)
    successor = site.run(site.store.open_epoch("second"))
    site.run(site.store.close_epoch(site.epoch))
    assert site.refusals(*(site.step(run, 1) for run in runs)) == ["Fenced"] * 3
    assert [site.seqs(run) for run in runs] == [[], [], []]
    assert {row.id for row in site.run(site.store.claim(successor, 10))} == set(runs)


def test_a_dead_epoch_is_told_so_whatever_else_is_wrong_with_its_commit(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.step(run, 1))
    site.run(site.store.close_epoch(site.epoch))
    again = Transition(run, rows=[site.journal(run, 1)], status="waiting", release=True)
    assert site.refusals(site.journal(run, 1)) == ["Fenced"]
    assert site.refusals(again, site.step(run, 2)) == ["Fenced", "Fenced"]
    assert site.seqs(run) == [1]


def test_a_dead_epoch_does_not_take_a_living_one_with_it(site: Site) -> None:
    mine = site.started(2)
    other = site.run(site.store.open_epoch("second"))
    theirs = site.started(1, epoch=other)
    site.run(site.store.close_epoch(site.epoch))

    async def together() -> list[Errors]:
        dead = site.store.commit(site.epoch, [site.step(run, 1) for run in mine])
        return list(await asyncio.gather(dead, site.store.commit(other, [site.step(theirs[0], 1)])))

    dead, alive = site.run(together())
    assert [type(error).__name__ for error in dead] == ["Fenced", "Fenced"]
    assert alive == [None]
    assert site.seqs(theirs[0]) == [1]


def test_a_refused_transition_fails_alone(site: Site) -> None:
    runs = site.started(7)
    site.commit(site.step(runs[3], 1))
    assert site.refusals(*(site.step(run, 1) for run in runs)) == [None, None, None, "Refused", None, None, None]
    assert [site.seqs(run) for run in runs] == [[1]] * 7


def test_a_decision_of_nothing_but_its_row_is_committed_as_that_row(site: Site) -> None:
    one, two, three = site.started(3)
    site.commit(site.journal(one, 1, payload='"é"'), site.step(two, 1))
    again = [site.journal(two, 1), site.journal(one, 2), site.step(three, 1), site.journal("run_nowhere", 1)]
    assert site.refusals(*again) == ["Refused", None, None, "UnknownRun"]
    assert [(site.seqs(run)) for run in (one, two, three)] == [[1, 2], [1], [1]]
    assert site.run(site.store.journal(one))[0] == site.journal(one, 1, payload='"é"')
    assert [(row.run_id, row.seq) for news in site.news for row in news.rows] == [(one, 1), (one, 2)]
    assert [change.run_id for news in site.news for change in news.transitions] == [two, three]


def test_of_many_starts_at_once_a_refused_one_fails_alone(site: Site) -> None:
    runs = [site.new_run() for _ in range(60)]
    runs[17].input = '["a\0b"]'
    runs[41].id = runs[40].id

    async def together() -> list[tuple[str, bool] | BaseException]:
        return list(await asyncio.gather(*(site.store.start_run(run) for run in runs), return_exceptions=True))

    answers = site.run(together())
    assert [(n, type(answer).__name__) for n, answer in enumerate(answers) if isinstance(answer, BaseException)] in (
        [(17, "UnstorableText"), (40, "Refused")],
        [(17, "UnstorableText"), (41, "Refused")],
    )
    started = [run.id for run, answer in zip(runs, answers, strict=True) if answer == (run.id, True)]
    assert len(started) == 58
    assert {row.id for row in site.run(site.store.claim(site.epoch, 100))} == set(started)


def test_of_starts_at_once_one_for_a_dead_epoch_fails_alone(site: Site) -> None:
    runs = [site.new_run() for _ in range(10)]
    site.run(site.store.start_run(runs[5]))
    runs += [site.new_run(owner=site.epoch + 7), site.new_run(owner=site.epoch)]

    async def together() -> list[tuple[str, bool] | BaseException]:
        return list(await asyncio.gather(*(site.store.start_run(run) for run in runs), return_exceptions=True))

    answers = site.run(together())
    failed = {number: type(answer).__name__ for number, answer in enumerate(answers) if isinstance(answer, BaseException)}
    assert failed == {5: "Refused", 10: "Fenced"}


def test_what_follows_a_refused_transition_is_refused_until_the_run_is_loaded(site: Site) -> None:
    run, other = site.started(2)
    site.commit(site.step(run, 1))
    refused = site.refusals(site.step(run, 1), site.step(run, 2), site.step(other, 1))
    assert refused == ["Refused", "Superseded", None]
    assert site.refusals(site.step(run, 2)) == ["Superseded"]
    assert [row.seq for row in site.load(run).journal] == [1]
    site.commit(site.step(run, 2))
    assert site.seqs(run) == [1, 2]


@pytest.mark.parametrize("text", ["a\0b", "half \ud800 pair"])
def test_text_that_a_database_would_change_is_refused_before_it(site: Site, text: str) -> None:
    run, other = site.started(2)
    refused = site.refusals(site.step(run, 1, text), site.step(other, 1), Transition(other, snapshot=(1, text)))
    assert refused == ["UnstorableText", None, "UnstorableText"]
    assert (site.seqs(run), site.seqs(other)) == ([], [1])
    assert site.load(other).snapshot is None


def test_a_process_remembers_no_run_that_is_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogs: list[Catalog] = []
    forget = Catalog.forget

    def heard(catalog: Catalog, run_ids: Iterable[str]) -> None:
        catalogs.append(catalog)
        forget(catalog, run_ids)

    monkeypatch.setattr(Catalog, "forget", heard)
    over, live = site.started(2)
    site.commit(site.journal(over, 1), site.journal(live, 1))
    assert {over, live} <= catalogs[-1].runs.keys()
    site.commit(Transition(over, rows=[site.journal(over, 2)], status="completed", result="1"))
    assert live in catalogs[-1].runs
    assert over not in catalogs[-1].runs


def test_an_unknown_run_is_named(site: Site) -> None:
    (run,) = site.started()
    assert site.refusals(site.step("run_nobody", 1), site.step(run, 1)) == ["UnknownRun", None]
    with pytest.raises(UnknownRun, match="there is no run 'run_nobody'"):
        site.load("run_nobody")


def test_only_the_owner_changes_a_run(site: Site) -> None:
    (run,) = site.started()
    other = site.run(site.store.open_epoch("second"))
    assert site.refusals(Transition(run, status="completed", result="1"), epoch=other) == ["NotOwner"]
    assert site.load(run).run.status == "queued"


def test_an_ended_run_leaves_nothing_waiting(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.wait(run, release=False, booking="s:1"))
    site.ingest(site.event("paid", booking="s:1"))
    site.commit(Transition(run, rows=[site.journal(run, 1)], status="completed", result="42"))
    loaded = site.load(run)
    assert (loaded.run.status, loaded.run.result, loaded.run.ended_at) == ("completed", "42", site.clock.now())
    assert loaded.inbox == []
    assert loaded.run.epoch is None
    assert site.run(site.store.next_timer()) is None


def test_a_timer_set_and_cleared_in_one_group_is_not_left_behind(site: Site) -> None:
    (run,) = site.started()
    timer = TimerRow(run, 5, site.clock.now() + SECOND, "sleep")
    site.commit(Transition(run, timers=[timer]), Transition(run, cleared_timers=[5]))
    assert site.run(site.store.next_timer()) is None
    site.commit(Transition(run, timers=[timer]))
    assert site.run(site.store.next_timer()) == timer.due
    site.commit(Transition(run, cleared_timers=[5]))
    assert site.run(site.store.next_timer()) is None


def test_a_child_tells_its_parent(site: Site) -> None:
    (parent,) = site.started()
    child = site.new_run(parent_run=parent, parent_serial=4)
    site.commit(Transition(parent, rows=[site.journal(parent, 1)], runs=[child]))
    (claimed,) = site.run(site.store.claim(site.epoch, 10))
    assert (claimed.id, claimed.parent_run, claimed.parent_serial) == (child.id, parent, 4)
    site.commit(Transition(child.id, status="failed", error='"boom"'))
    (row,) = site.load(parent).inbox
    assert (row.kind, row.serial, row.payload) == ("child", 4, '{"status": "failed", "payload": "\\"boom\\""}')


def test_callers_share_transactions(site: Site) -> None:
    runs = site.started(200)
    before = len(site.news)

    async def all_at_once() -> list[Errors]:
        return list(await asyncio.gather(*(site.store.commit(site.epoch, [site.step(run, 1)]) for run in runs)))

    assert site.run(all_at_once()) == [[None]] * 200
    assert len(site.news) - before < 50
    assert sum(len(news.transitions) for news in site.news[before:]) == 200
