"""The tasks of a worker, which live and die together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol


class Part(Protocol):
    """A part of a worker."""

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        ...

    async def run(self) -> None:
        """Work for ever."""


class Life:
    """Runs coroutines that never end, until `end` is called or one of them fails."""

    def __init__(self) -> None:
        self._halt: asyncio.Future[None] | None = None

    async def run(self, parts: Iterable[Coroutine[Any, Any, None]], close: Callable[[], Awaitable[None]]) -> None:
        """Run the parts; when it is over, `close` first and then cancel them. Raises what ended it, if that was an error."""
        self._halt = asyncio.get_running_loop().create_future()
        tasks = [asyncio.ensure_future(self._watched(part)) for part in parts]
        try:
            await self._halt
        finally:
            await close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watched(self, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """End it, by an error or in good order. Only the first call counts."""
        if self._halt is None or self._halt.done():
            return
        if error is None:
            self._halt.set_result(None)
        else:
            self._halt.set_exception(error)

    async def until(self, done: Coroutine[Any, Any, None]) -> None:
        """Wait for something that may never come once it is over; not at all when it has not begun."""
        if self._halt is None:
            done.close()
            return
        waiting = asyncio.ensure_future(done)
        await asyncio.wait([waiting, self._halt], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
