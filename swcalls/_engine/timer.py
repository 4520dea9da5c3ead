"""One timer for all deadlines of a client. It also starts the reading of the voice log for overdue actions."""

from __future__ import annotations

import asyncio
import time

from .._core.operation import CallOperation
from .._core.registry import Registry
from .log_checker import LogChecker
from .tasks import Tasks


class Timer:
    """Calls `Registry.expire` when the next deadline has come, between `open` and `close`."""

    def __init__(self, registry: Registry, log_checker: LogChecker, tasks: Tasks) -> None:
        self._registry = registry
        self._log_checker = log_checker
        self._tasks = tasks
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop of the client while the client is open."""

    def open(self) -> None:
        """Start the timer, in the running event loop."""
        self.loop = asyncio.get_running_loop()
        self._set_next()

    def close(self) -> None:
        """Stop the timer."""
        self.loop = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def check_open(self) -> None:
        """Raise ``RuntimeError`` if the client is not open, or was opened in another event loop."""
        if self.loop is None:
            raise RuntimeError("the client is not open: use it in `async with`, or `await client.open()`")
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("the client was opened in another event loop: use it in that event loop only")

    def set(self, due: float) -> None:
        """Fire at the time *due*, unless the timer is set to an earlier time."""
        if self.loop is None:
            return
        if self._handle is not None:
            if self._due <= due:
                return
            self._handle.cancel()
        self._due = due
        self._handle = self.loop.call_later(due - time.monotonic(), self._fire)

    def _fire(self) -> None:
        self._handle = None
        self._registry.expire(time.monotonic())
        self._query_log()

    def _query_log(self) -> None:
        for call in self._registry.log_queries.take():
            self._tasks.spawn(self._check(call))
        self._set_next()

    def _set_next(self) -> None:
        due = self._registry.deadlines.next
        if due is not None:
            self.set(due)

    async def _check(self, call: CallOperation) -> None:
        await self._log_checker.check(call)
        self._query_log()
