"""Lets dials wait until few enough of the client's calls are up."""

from __future__ import annotations

import asyncio

from .._core.call_slots import CallSlots
from .._core.operation import CallOperation


class CallQueue:
    """The dialled calls of one client, and the dials that wait for their turn."""

    def __init__(self) -> None:
        self._slots = CallSlots(self._begin)
        self._waiters: dict[str, asyncio.Future[None]] = {}

    async def enter(self, call: CallOperation, most: int | None) -> None:
        """Wait until fewer than *most* calls are up, and count *call* from now on; ``None``: do not wait.

        If this is cancelled, the call is not counted.
        """
        if self._slots.take(call.key, most):
            return
        waiter = self._waiters[call.key] = asyncio.get_running_loop().create_future()
        try:
            await waiter
        except BaseException:
            self._slots.free(call.key)  # Its turn may have come at the same moment.
            raise
        finally:
            del self._waiters[call.key]

    def leave(self, call: CallOperation) -> None:
        """Count *call* no more: it is over, or was never started."""
        self._slots.free(call.key)

    def _begin(self, key: str) -> None:
        waiter = self._waiters[key]
        if not waiter.done():
            waiter.set_result(None)
