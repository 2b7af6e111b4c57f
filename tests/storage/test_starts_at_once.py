"""Starts that come at once share a transaction; each has its own answer."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.records import NewRun
from flowgraph_runtime.storage import Store


@pytest.fixture
def store(tmp_path):
    opened = Store.open(f"sqlite:///{tmp_path}/starts.db")
    yield opened
    opened.close()


def _run(number: int, owner: int | None = None) -> NewRun:
    return NewRun(f"run_{number:05}", "pay", "m_1", "[]", 1, owner=owner)


async def _served(store: Store) -> int:
    await store.save_machine("m_1", "pay", "{}", "{}")
    return await store.open_epoch("first")


def test_a_start_that_is_refused_is_refused_alone(store: Store) -> None:
    async def start() -> list[object]:
        epoch = await _served(store)
        await store.start_run(_run(5))
        runs = [*(_run(number) for number in range(10)), _run(20, epoch + 7), _run(21, epoch)]
        return await asyncio.gather(*(store.start_run(run) for run in runs), return_exceptions=True)

    answers = asyncio.run(start())
    failed = {number: type(answer).__name__ for number, answer in enumerate(answers) if isinstance(answer, Exception)}
    assert failed == {5: "Refused", 10: "Fenced"}
