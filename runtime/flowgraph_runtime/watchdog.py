"""Names the step that holds the event loop: everything else in the process waits meanwhile."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Protocol

_LOG = logging.getLogger("flowgraph.watchdog")
PATIENCE = 1.0
"""Seconds that a step may hold the loop without being named."""


class Busy(Protocol):
    """Says which step holds the loop: (run id, step), a new tuple for each slice of it, or None."""

    busy: tuple[str, str] | None


class Watchdog:
    """A context: looks twice per patience, and logs a step that is found in the same slice throughout one, with its stack."""

    def __init__(self, runner: Busy, patience: float = PATIENCE) -> None:
        self._runner = runner
        self._patience = patience
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flowgraph-watchdog", daemon=True)
        self._loop_thread = threading.get_ident()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        seen: tuple[str, str] | None = None
        looks = 0
        while not self._stop.wait(self._patience / 2):
            busy = self._runner.busy
            looks = looks + 1 if busy is not None and busy is seen else 0
            seen = busy
            if busy is not None and looks == 2:
                self._report(*busy)

    def _report(self, run_id: str, step: str) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage]  # there is no other way
        stack = "".join(traceback.format_stack(frame)[-6:]) if frame is not None else ""
        _LOG.warning(
            "step '%s' of run %s blocks the event loop for over %g s: make it a plain function, which runs in a thread\n%s",
            step,
            run_id,
            self._patience,
            stack,
        )
