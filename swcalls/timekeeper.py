"""Keeps time for a registry: one timer serves every deadline, and the voice log is asked about what is overdue."""

from __future__ import annotations

import asyncio
import time

from ._core.operation import CallOperation
from ._core.registry import Registry
from .reconciler import Reconciler
from .tasks import Tasks


class Timekeeper:
    """Wakes *registry* when its next deadline has come, between `open` and `close`."""

    def __init__(self, registry: Registry, reconciler: Reconciler, tasks: Tasks) -> None:
        self._registry = registry
        self._reconciler = reconciler
        self._tasks = tasks
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop of the client while it is open."""

    def open(self) -> None:
        """Begin to keep time, in the event loop that runs."""
        self.loop = asyncio.get_running_loop()
        self.arm()

    def close(self) -> None:
        """Wake nobody any more."""
        self.loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check(self) -> None:
        """Raise ``RuntimeError`` if the client is not open, or was opened in another event loop."""
        if self.loop is None:
            raise RuntimeError("the client is not open: use it in `async with`, or `await client.open()`")
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("the client was opened in another event loop, and works in that one only")

    def arm(self) -> None:
        """Set the timer to the next deadline, if it is not set to that or earlier. Call it after every change."""
        due = self._registry.deadlines.next
        if due is None or self.loop is None:
            return
        if self._timer is not None:
            if self._wakes_at <= due:
                return
            self._timer.cancel()
        self._wakes_at = due
        self._timer = self.loop.call_later(due - time.monotonic(), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._registry.expire(time.monotonic())
        self._ask_log()

    def _ask_log(self) -> None:
        """Have the voice log asked about what the registry wants to know, and set the timer to what is due then."""
        for call in self._registry.inquiries.take():
            self._tasks.spawn(self._ask_about(call))
        self.arm()

    async def _ask_about(self, call: CallOperation) -> None:
        await self._reconciler.ask(call)
        self._ask_log()
