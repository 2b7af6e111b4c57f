"""uvicorn on a real socket, in a thread of the test's process: quick to start, and settings and keys are at hand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette

from flowgraph_runtime.app import create_app
from flowgraph_runtime.auth import key_hash, new_key
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import KeyRow, Store
from tests.runtime.conftest import compilation
from tests.runtime.server import free_port


@contextmanager
def live(folder: Path, **settings: Any) -> Iterator[httpx2.Client]:
    """Serve `orders` -> a client of the server."""
    port = free_port()
    given = {"db": f"sqlite:///{folder}/live.db", "port": port, "poll_interval": 0.05, "grace": 0.5, **settings}
    app = create_app(compilation(), settings=Settings(**given))
    with serving(app, port) as client:
        yield client


@contextmanager
def serving(app: Starlette, port: int) -> Iterator[httpx2.Client]:
    """Run uvicorn for the block."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, http="h11", log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.01)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(timeout=60)
        assert not thread.is_alive()


def make_keys(folder: Path, scopes: dict[str, tuple[str, ...]], revoked: tuple[str, ...] = ()) -> dict[str, str]:
    """Store a key for each name -> its secret."""
    secrets = {name: new_key() for name in scopes}

    async def fill() -> None:
        store = Store.open(f"sqlite:///{folder}/live.db")
        try:
            for name, granted in scopes.items():
                await store.create_key(KeyRow(name, name, secrets[name][:8], key_hash(secrets[name]), granted, store.clock.now()))
            for name in revoked:
                await store.revoke_key(name)
        finally:
            store.close()

    asyncio.run(fill())
    return secrets
