"""Commits of nothing but journal rows, which are laid out before the writer sees them: each row comes to its own run, whole."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.records import Decided, JournalRow
from flowgraph_runtime.storage.errors import Transient
from flowgraph_runtime.storage.writer import Transactor
from tests.storage.site import Site

MANY = 60


def stored(site: Site, run: str) -> list[JournalRow]:
    return site.run(site.store.journal(run))


def test_of_many_rows_those_that_are_refused_fail_alone(site: Site) -> None:
    runs = site.started(MANY)
    rows = [site.journal(run, 1, payload=f'"{number}"') for number, run in enumerate(runs)]
    site.commit(site.journal(runs[7], 1, payload='"earlier"'))
    rows[31] = site.journal(runs[31], 1, payload="a\0b")
    rows[50] = site.journal("run_nobody", 1)
    refused = dict.fromkeys(range(MANY)) | {7: "Refused", 31: "UnstorableText", 50: "UnknownRun"}
    assert site.refusals(*rows) == list(refused.values())
    rows[7] = site.journal(runs[7], 1, payload='"earlier"')
    for number, run in enumerate(runs):
        assert stored(site, run) == ([] if number in (31, 50) else [rows[number]])


def test_rows_of_runs_whose_numbers_are_not_at_hand(site: Site) -> None:
    runs = site.started(MANY)
    known = site.store._transactor._catalog.runs
    for seq, forgotten in ((1, runs), (2, runs[::2]), (3, [])):
        for run in forgotten:
            known.pop(run, None)
        site.commit(*(site.journal(run, seq, payload=f'"{run}"') for run in runs))
    for run in runs:
        assert [(row.run_id, row.seq, row.payload) for row in stored(site, run)] == [(run, seq, f'"{run}"') for seq in (1, 2, 3)]


def test_rows_of_several_callers_at_once(site: Site) -> None:
    runs = site.started(MANY)
    others = [site.step(run, 2) for run in runs[:2]]
    parts: list[list[Decided]] = [[site.journal(run, 1) for run in runs[start:MANY:3]] for start in range(3)]

    async def together(*parts: list[Decided]) -> list[list[BaseException | None]]:
        return list(await asyncio.gather(*(site.store.commit(site.epoch, part) for part in parts)))

    heard = len(site.news)
    assert site.run(together(*parts)) == [[None] * len(part) for part in parts]
    assert [site.seqs(run) for run in runs] == [[1]] * MANY
    told = [row for news in site.news[heard:] for row in news.rows]
    assert sorted(row.run_id for row in told) == sorted(runs)
    later = [site.journal(run, 2) for run in runs[2:]]
    assert site.run(together([*later], [*others])) == [[None] * len(later), [None] * len(others)]
    assert [site.seqs(run) for run in runs] == [[1, 2]] * MANY


@pytest.mark.parametrize("count", [1, 5, 9, MANY])
def test_rows_of_a_transaction_that_is_tried_again(site: Site, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    runs = site.started(count)
    commit, tried = Transactor._commit, 0

    def fails_first(transactor: Transactor) -> None:
        nonlocal tried
        tried += 1
        if tried < 3:
            transactor._database.writing().flush()
            raise Transient("somebody was in the way")
        commit(transactor)

    monkeypatch.setattr(Transactor, "_commit", fails_first)
    rows = [site.journal(run, 1, payload=f'"{run}"') for run in runs]
    site.commit(*rows)
    assert tried == 3
    assert [stored(site, run) for run in runs] == [[row] for row in rows]
