"""`executor="dask"`: attempts as tasks of a Dask cluster that is there already; the state stays in the database.

Dask starts a task again by itself when it loses the worker that ran it. Here that is a failed attempt, retried as the step says:
the task tells which worker begins it, and is cancelled when the scheduler removes that worker.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, cast
from uuid import uuid4

from flowgraph.errors import StepInterrupted
from flowgraph_runtime.executors.assignments import Code
from flowgraph_runtime.executors.performing import Performer

CONNECT_WITHIN = 10.0
"""Seconds that the scheduler may take to answer."""
_IMPORTING = threading.Lock()


@dataclass(slots=True)
class _Waiting:
    """An attempt on its way: what to call when it begins, the address of the worker that has begun it, done when that is lost."""

    started: Callable[[], None]
    lost: asyncio.Future[str]
    worker: str | None = None


class DaskExecutor:
    """Runs attempts on the cluster of the scheduler at `address`. The connection is made when it is first needed."""

    def __init__(self, address: str, slots: int, code: Code) -> None:
        self.slots = slots
        self._address = address
        self._code = code.to_json()
        self._topic = f"flowgraph-{uuid4().hex}"
        self._waiting: dict[str, _Waiting] = {}
        self._connecting = asyncio.Lock()
        self._client: Any = None

    async def run(self, step: str, assignment: str, started: Callable[[], None]) -> str:
        """Return the text of the outcome. A cancelled call takes the task back: one that a worker has begun goes on there to its
        end, and nobody gets its result.

        Raises `StepInterrupted` when the worker is lost, when there is no scheduler, or when a worker lacks the step's code."""
        client = await self._connected(step)
        waiting = _Waiting(started, asyncio.get_running_loop().create_future())
        key = f"{step}-{uuid4().hex}"
        self._waiting[key] = waiting
        future = client.submit(perform, self._code, assignment, self._topic, key, key=key, pure=False)
        result = asyncio.ensure_future(_result(future, step))
        try:
            await asyncio.wait((result, waiting.lost), return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            raise StepInterrupted(
                f"the Dask worker that ran step '{step}', {waiting.lost.result()}, was lost before the step ended"
            )
        finally:
            del self._waiting[key]
            await _take_back(future, result)

    async def close(self) -> None:
        """Leave the cluster."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self, step: str) -> Any:
        async with self._connecting:
            if self._client is None or self._client.status in ("closing", "closed"):
                try:
                    self._client = await import_module("distributed").Client(
                        self._address, asynchronous=True, set_as_default=False, timeout=CONNECT_WITHIN
                    )
                except (OSError, ValueError) as error:
                    raise StepInterrupted(
                        f"step '{step}' was not begun: no Dask scheduler answers at {self._address}: {error}"
                    ) from None
                self._client.subscribe_topic(self._topic, self._begun)
                self._client.subscribe_topic("all", self._heard)
            return self._client

    def _begun(self, event: tuple[float, dict[str, str]]) -> None:
        key, worker = event[1]["key"], event[1]["worker"]
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        if waiting.worker is None:
            waiting.worker = worker
            waiting.started()
        elif not waiting.lost.done():  # Dask has started it again
            waiting.lost.set_result(waiting.worker)

    def _heard(self, event: tuple[float, Any]) -> None:
        if not isinstance(event[1], dict):
            return
        news = cast("dict[str, Any]", event[1])
        if news.get("action") != "remove-worker":
            return
        for waiting in self._waiting.values():
            if waiting.worker is not None and waiting.worker == news.get("worker") and not waiting.lost.done():
                waiting.lost.set_result(waiting.worker)


async def _result(future: Any, step: str) -> str:
    try:
        reply: str = await future
    except (CancelledError, asyncio.CancelledError) as error:
        if _being_cancelled():
            raise
        raise StepInterrupted(f"Dask gave step '{step}' up, or the scheduler was lost: {error}") from None
    except Exception as error:
        raise StepInterrupted(f"step '{step}' cannot run on Dask: {type(error).__name__}: {error}") from None
    return reply


async def _take_back(future: Any, result: asyncio.Future[str]) -> None:
    if result.done() and not result.cancelled() and result.exception() is None:
        future.release()
        return
    result.cancel()
    await asyncio.gather(result, return_exceptions=True)
    with suppress(Exception, CancelledError):  # the scheduler is gone
        await future.cancel(force=True)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


# --- on a worker of the cluster


def perform(code: str, assignment: str, topic: str, key: str) -> str:
    """Make the attempt here -> the text of its outcome. Raises `RuntimeError` when the author's code is not installed here."""
    worker = import_module("distributed").get_worker()
    try:
        with _IMPORTING:
            performer = _performer(code)
    except BaseException as error:
        why = f"{type(error).__name__}: {error}"
        raise RuntimeError(
            f"the worker {worker.address} cannot import the workflows' modules, install them there: {why}"
        ) from None
    worker.log_event(topic, {"key": key, "worker": worker.address})
    return performer.perform(assignment)


@lru_cache(maxsize=4)
def _performer(code: str) -> Performer:
    return Performer(Code.from_json(code))
