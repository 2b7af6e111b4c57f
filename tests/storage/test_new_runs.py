"""Runs come into being together, and one that cannot hinders no others."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from flowgraph_runtime.storage import Refused
from tests.storage.site import Site


def test_a_run_with_the_id_of_another_is_refused_alone(site: Site) -> None:
    first, *others = (site.new_run() for _ in range(4))
    twin = replace(others[0], id=first.id)

    async def started() -> list[object]:
        await site.store.start_run(first)
        return await asyncio.gather(*(site.store.start_run(run) for run in (others[1], twin, others[2])), return_exceptions=True)

    one, refused, other = site.runner.run(started())
    assert (one, other) == ((others[1].id, True), (others[2].id, True))
    assert isinstance(refused, Refused)
    assert site.runner.run(site.store.run(others[0].id)) is None
