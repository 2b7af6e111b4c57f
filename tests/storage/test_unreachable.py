"""A database that is not there is a named error, not a driver's traceback."""

from __future__ import annotations

import asyncio
import socket

import pytest

from flowgraph_runtime.storage import DatabaseUnavailable, Store


def test_an_unreachable_server_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = taken.getsockname()[1]
        with pytest.raises(DatabaseUnavailable, match=f"cannot reach the database.*{port}"):
            Store.open(f"postgresql://nobody@127.0.0.1:{port}/none")


@pytest.mark.postgres
def test_a_lease_may_be_longer_than_any_timeout_of_the_server(postgres_url: str) -> None:
    store = Store.open(postgres_url, inline=True, lease=365 * 86_400.0)
    try:
        assert asyncio.run(store.fleet.open_epoch("one")) == 1
    finally:
        store.close()
