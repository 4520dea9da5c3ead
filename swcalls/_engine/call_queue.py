"""Lets dials wait until few enough of the client's calls are up."""

from __future__ import annotations

import asyncio

from .._core.call_slots import CallSlots
from .._core.operation import CallOperation
from ..errors import ClientClosed


class CallQueue:
    """The dialled calls of one client, and the dials that wait for their turn."""

    def __init__(self) -> None:
        self._slots = CallSlots(self._begin)
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._is_closed = False

    async def enter(self, call: CallOperation, most: int | None) -> None:
        """Wait until fewer than *most* calls are up, and count *call* from now on; ``None``: do not wait.

        If this is cancelled, the call is not counted.

        Raises:
            ClientClosed: The client is being closed, and it is not the turn of the call.
        """
        if self._slots.take(call.key, most):
            return
        if self._is_closed:
            self._slots.free(call.key)
            raise _closed()
        waiter = self._waiters[call.key] = asyncio.get_running_loop().create_future()
        try:
            await waiter
        except BaseException:
            self._slots.free(call.key)  # Its turn may have come at the same moment.
            raise
        finally:
            del self._waiters[call.key]

    def close(self) -> None:
        """Let no dial wait any more, not even one of a handler: the calls that are up may not end in time."""
        self._is_closed = True
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(_closed())

    def leave(self, call: CallOperation) -> None:
        """Count *call* no more: it is over, or was never started."""
        self._slots.free(call.key)

    def _begin(self, key: str) -> None:
        waiter = self._waiters[key]
        if not waiter.done():
            waiter.set_result(None)


def _closed() -> ClientClosed:
    return ClientClosed("dial: not sent, since the client was closed while the dial waited for its turn (max_calls)")
