"""A workflow that was renamed: its lists hold the runs from before, under whichever of its names they are asked for."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowgraph_compiler import Compilation
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text
from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings

OLD = """
from flowgraph import workflow

@workflow
async def flow(n: int) -> int:
    return n

@workflow
async def other(n: int) -> int:
    return n
"""
NEW = OLD.replace("@workflow\nasync def flow", '@workflow(aliases=("flow",))\nasync def course')


def compiled(text: str, name: str) -> Compilation:
    sys.modules.pop(name, None)
    return compile_application((from_text(text, name),))


async def requested(compilation: Compilation, db: str, *requests: tuple[str, str, Any]) -> list[httpx2.Response]:
    app = create_app(compilation, settings=Settings(db=db, poll_interval=0.05, grace=0.2))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.request(method, path, json=body) for method, path, body in requests]


@pytest.fixture
def answers(tmp_path: Path) -> list[httpx2.Response]:
    db = f"sqlite:///{tmp_path / 'runs.db'}"
    starts = [("POST", f"/v1/workflows/{name}/runs", {"input": {"n": 1}}) for name in ("flow", "other")]
    looks = [f"/v1/runs?workflow={name}" for name in ("course", "flow", "other", "nobody")]
    pages = ["/runs?workflow=course", "/runs?workflow=flow&status=completed", "/workflows/course"]

    async def scenario() -> list[httpx2.Response]:
        old = await requested(compiled(OLD, "renamed_old"), db, *starts)
        wait = [("GET", f"/v1/runs/{answer.json()['id']}?wait=20s", None) for answer in old]
        new = await requested(
            compiled(NEW, "renamed_new"), db, *wait, starts[0], *(("GET", path, None) for path in (*looks, *pages))
        )
        return [*old, *new[len(wait) :]]

    return asyncio.run(scenario())


def test_lists_of_a_renamed_workflow_hold_the_runs_from_before(answers: list[httpx2.Response]) -> None:
    before, other, after, by_name, by_alias, of_other, of_nobody, *pages = answers
    both = [after.json()["id"], before.json()["id"]]
    assert [run["id"] for run in by_name.json()["items"]] == both
    assert [run["id"] for run in by_alias.json()["items"]] == both
    assert [run["id"] for run in of_other.json()["items"]] == [other.json()["id"]]
    assert of_nobody.json()["items"] == []
    for page in pages:
        assert before.json()["id"] in page.text
        assert other.json()["id"] not in page.text
