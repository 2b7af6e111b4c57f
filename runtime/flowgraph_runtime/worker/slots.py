"""Attempts that wait for slots of concurrency limits, and slots that go back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import count

from flowgraph_runtime.engine.blocks import UndoAction
from flowgraph_runtime.engine.run_state import BODY, RunState
from flowgraph_runtime.engine.tokens import UNTOUCHED, StepPending
from flowgraph_runtime.records import SlotRequest
from flowgraph_runtime.steps import Hold
from flowgraph_runtime.storage.errors import Fenced
from flowgraph_runtime.storage.slots import Slots
from flowgraph_runtime.worker.live import Attempt

_LOG = logging.getLogger("flowgraph.worker")
RETRY_AFTER = 0.5
"""Seconds between tries while the database does not answer."""


class SlotQueue:
    """Holds attempts back until the database has given them their slots, and gives the slots back when the attempts have really
    ended. What comes in while one exchange is under way goes into the next one.

    `start` gets each attempt whose turn it is; at once those that no limit counts."""

    def __init__(self, slots: Slots, epoch: int, start: Callable[[Attempt], None]) -> None:
        self._slots = slots
        self._epoch = epoch
        self._start = start
        self._tickets = count(1)
        self._waiting: dict[int, Attempt] = {}
        self._asked: list[SlotRequest] = []
        self._returned: list[int] = []
        self._some = asyncio.Event()
        self._exchanging = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing to tell the database. Attempts may wait for slots that others hold."""
        return not self._exchanging and not self._some.is_set()

    def submit(self, attempt: Attempt) -> None:
        """Start the attempt of a run with limits as soon as it has its slots."""
        live, command = attempt.live, attempt.command
        pending = live.state.pending.get(command.serial)
        counted = isinstance(pending, StepPending) and live.limits is not None and not _cleans_up(live.state, pending)
        needs = live.limits.of_step(command.step) if counted and live.limits is not None else ()
        if not needs or not isinstance(pending, StepPending):
            self._start(attempt)
            return
        ticket = next(self._tickets)
        attempt.ticket, attempt.hold = ticket, Hold(lambda: self._give_back(ticket))
        live.attempts[command.serial] = attempt
        self._waiting[ticket] = attempt
        self._asked.append(SlotRequest(ticket, live.id, command.serial, pending.since, needs))
        self._some.set()

    def withdraw(self, attempt: Attempt) -> bool:
        """Let an attempt wait no longer; False when it does not wait here."""
        if attempt.ticket is None or self._waiting.pop(attempt.ticket, None) is None:
            return False
        attempt.live.attempts.pop(attempt.command.serial, None)
        self._give_back(attempt.ticket)
        return True

    def heard(self, tickets: Iterable[tuple[int, int]]) -> None:
        """Hear which tickets, each with its epoch, have got their slots."""
        for epoch, ticket in tickets:
            attempt = self._waiting.pop(ticket, None) if epoch == self._epoch else None
            if attempt is not None:
                self._start(attempt)

    async def look(self) -> None:
        """Ask for grants that nobody told of: those of other processes, and of commits whose outcome was not heard."""
        if self._waiting:
            self.heard((self._epoch, ticket) for ticket in await self._slots.granted(self._epoch))

    async def run(self) -> None:
        """Exchange for ever. Raises Fenced."""
        while True:
            await self._some.wait()
            self._exchanging = True
            try:
                await self._exchange()
            finally:
                self._exchanging = False

    async def _exchange(self) -> None:
        self._some.clear()
        asked = [request for request in self._asked if request.ticket in self._waiting]
        returned, self._asked, self._returned = self._returned, [], []
        try:
            await self._slots.exchange(self._epoch, asked, returned)
        except Fenced:
            raise
        except Exception as error:
            _LOG.warning("cannot exchange slots of limits, trying again in %g s: %s", RETRY_AFTER, error)
            self._asked, self._returned = [*asked, *self._asked], [*returned, *self._returned]
            await asyncio.sleep(RETRY_AFTER)
            self._some.set()

    def _give_back(self, ticket: int) -> None:
        self._returned.append(ticket)
        self._some.set()


def _cleans_up(state: RunState, pending: StepPending) -> bool:
    """Whether the attempt is part of the clean-up after a cancel or a failure, which no limit may hold up: it is all that is
    done then, and it would wait for those that it makes way for."""
    token = pending.token
    while token.group is not None:
        if token.cancel != UNTOUCHED or isinstance(token.group.action, UndoAction):
            return True
        token = token.group.token
    return state.phase != BODY or state.cancel_reason is not None or token.cancel != UNTOUCHED
