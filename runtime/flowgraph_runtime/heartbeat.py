"""Tells the database that this process is alive: in a thread of its own, so that a blocked loop does not cost the epoch."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import TracebackType
from typing import Protocol

from flowgraph_runtime.storage.errors import Fenced

_LOG = logging.getLogger("flowgraph.heartbeat")


class BeatStore(Protocol):
    """The call of the store that a heartbeat needs."""

    async def heartbeat(self, epoch: int) -> None:
        """Say that the epoch's process is alive."""


class Heartbeat:
    """A context: beats every `interval` seconds until it is left."""

    def __init__(self, store: BeatStore, epoch: int, interval: float) -> None:
        self._store = store
        self._epoch = epoch
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_for_ever, name="flowgraph-heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _beat_for_ever(self) -> None:
        with asyncio.Runner() as runner:
            while not self._stop.wait(self._interval):
                try:
                    runner.run(self._store.heartbeat(self._epoch))
                except Fenced:  # closed a moment ago, or taken over: the worker hears of that at its next claim or commit
                    return
                except Exception as error:
                    _LOG.warning("no heartbeat for epoch %d: %s", self._epoch, error)
