"""Runs dials, and hangs up the call when the dial is cancelled or the client closes, so that no phone keeps ringing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from .._core.operation import CallOperation
from ..commands.calls import End
from ..errors import CallEnded, ClientClosed, CommandUnconfirmed, SwcallsError
from .call_logging import about
from .call_queue import CallQueue
from .tasks import Tasks

_log = logging.getLogger("swcalls.engine")

Dialling = Callable[[], Coroutine[Any, Any, None]]
Send = Callable[[CallOperation, str, End], Awaitable[object]]


class Dials:
    """Runs dials in tasks of their own, and hangs up a call that no caller waits for any more."""

    def __init__(self, tasks: Tasks, send: Send) -> None:
        self._tasks = tasks
        self._send = send
        self._users: dict[asyncio.Task[None], CallOperation] = {}
        """Dials that were not started by a handler, until their caller has got the call."""
        self._closing = False
        self.calls_up: CallQueue = CallQueue()
        """The dialled calls whose end is reported to this client, and the dials that wait for their turn."""

    async def run(self, call: CallOperation, work: Dialling, most: int | None = None, *, counted: bool = False) -> None:
        """Run *work*, which dials *call*. If cancelled, send nothing, or hang up if the request was written.

        Args:
            most: Wait first until fewer calls than that are up.
            counted: The call itself counts until `CallQueue.leave` is called.

        Raises:
            ClientClosed: The client was closed in the meantime.
        """
        me = asyncio.current_task()
        cancelled = me.cancelling() if me else 0
        dialling = self._tasks.dial(self._dial(call, self._in_turn(call, work, most) if counted else work))
        if not self._tasks.is_handler:
            self._users[dialling] = call
        try:
            await asyncio.shield(dialling)
        except asyncio.CancelledError:
            if dialling.cancelled() and me and me.cancelling() == cancelled:
                raise _closed() from None
            if call.stage == "not_sent":
                dialling.cancel()
            self._tasks.hang_up(self._abandon(dialling, call))
            raise
        except CommandUnconfirmed:
            if self._is_too_late:
                self._tasks.hang_up(self._hang_up_once_known(call))
            raise
        finally:
            self._users.pop(dialling, None)
        if self._is_too_late:
            raise _closed()

    def close(self) -> None:
        """Cancel the dials that were not sent yet. From now on, hang up dialled calls, except those of handlers."""
        self._closing = True
        for dialling, call in self._users.items():
            if call.stage == "not_sent":
                dialling.cancel()
            elif dialling.done() and dialling.exception() is None:
                self._tasks.hang_up(self._hang_up(call))
        self.calls_up.close()

    @property
    def _is_too_late(self) -> bool:
        return self._closing and not self._tasks.is_handler

    def _in_turn(self, call: CallOperation, work: Dialling, most: int | None) -> Dialling:
        """Return *work*, with the waiting before it, and with the end of the counting if nothing was sent."""

        async def run() -> None:
            await self.calls_up.enter(call, most)
            try:
                await work()
            except BaseException:
                if call.stage == "not_sent":
                    self.calls_up.leave(call)
                raise

        return run

    async def _dial(self, call: CallOperation, work: Dialling) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            if call.stage != "not_sent":
                _log.warning("a dial is cancelled without its response: a phone may be ringing", extra=about(call))
                self._tasks.hang_up(self._hang_up_once_known(call))
            raise
        if self._is_too_late:
            self._tasks.hang_up(self._hang_up(call))
            raise _closed()

    async def _abandon(self, dialling: asyncio.Task[None], call: CallOperation) -> None:
        await asyncio.wait([dialling])
        if dialling.cancelled():
            return
        error = dialling.exception()
        if error is None:
            await self._hang_up(call)
            return
        _log.info("a cancelled dial failed: %s", error, extra=about(call))
        if isinstance(error, CommandUnconfirmed):
            await self._hang_up_once_known(call)

    async def _hang_up_once_known(self, call: CallOperation) -> None:
        """Hang *call* up when a webhook brings its id, since the response did not."""
        changed = asyncio.Event()
        call.watch(changed.set)
        try:
            while call.id is None and not call.has_ended:
                changed.clear()
                await changed.wait()
        finally:
            call.unwatch(changed.set)
        if not call.has_ended:
            await self._hang_up(call)

    async def _hang_up(self, call: CallOperation) -> None:
        _log.info("call %s: hung up, since its dial was cancelled", call.id, extra=about(call))
        try:
            await self._send(call, End.command, End())
        except CallEnded:
            pass  # The call has ended already.
        except SwcallsError as error:
            _log.warning("call %s: not hung up: %s", call.id, error, extra=about(call))


def _closed() -> ClientClosed:
    return ClientClosed("dial: the client was closed meanwhile; the call, if the platform started it, is hung up")
