"""Dials under way: whoever gives one up, or closes the client, leaves no phone ringing for nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from .._core.operation import CallOperation
from ..commands.calls import End
from ..errors import CallEnded, ClientClosed, CommandUnconfirmed, SwcallsError
from .call_logging import about
from .tasks import Tasks

_log = logging.getLogger("swcalls.engine")

Dialling = Callable[[], Coroutine[Any, Any, None]]
Send = Callable[[CallOperation, str, End], Awaitable[object]]


class Dials:
    """Runs dials in tasks of their own, and hangs up what they set up when nobody is left to take it."""

    def __init__(self, tasks: Tasks, send: Send) -> None:
        self._tasks = tasks
        self._send = send
        self._users: dict[asyncio.Task[None], CallOperation] = {}
        """Those that no handler waits for, until whoever does has got the call."""
        self._closing = False

    async def run(self, call: CallOperation, work: Dialling) -> None:
        """Run *work*, which dials *call*. Cancelled before the command has left, it is not sent; later, it is hung up.

        Raises:
            ClientClosed: The client was closed meanwhile.
        """
        me = asyncio.current_task()
        cancelled = me.cancelling() if me else 0
        dialling = self._tasks.dial(self._dial(call, work))
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
        finally:
            self._users.pop(dialling, None)
        if self._is_too_late:
            raise _closed()

    def close(self) -> None:
        """Give up what has not left yet, and let nobody have what is answered from now on but handlers."""
        self._closing = True
        for dialling, call in self._users.items():
            if call.stage == "not_sent":
                dialling.cancel()
            elif dialling.done() and dialling.exception() is None:
                self._tasks.hang_up(self._hang_up(call))

    @property
    def _is_too_late(self) -> bool:
        return self._closing and not self._tasks.is_handler

    async def _dial(self, call: CallOperation, work: Dialling) -> None:
        try:
            await work()
        except asyncio.CancelledError:
            if call.stage != "not_sent":
                _log.warning("a dial is given up without its answer: a phone may be ringing", extra=about(call))
                self._tasks.hang_up(self._hang_up_once_known(call))
            raise
        except CommandUnconfirmed:
            if self._is_too_late:
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
        _log.info("a dial that was cancelled came to: %s", error, extra=about(call))
        if isinstance(error, CommandUnconfirmed):
            await self._hang_up_once_known(call)

    async def _hang_up_once_known(self, call: CallOperation) -> None:
        """Hang *call* up when a webhook tells its id, since no answer did."""
        told = asyncio.Event()
        call.watch(told.set)
        try:
            while call.id is None and not call.has_ended:
                told.clear()
                await told.wait()
        finally:
            call.unwatch(told.set)
        if not call.has_ended:
            await self._hang_up(call)

    async def _hang_up(self, call: CallOperation) -> None:
        _log.info("call %s: hung up, since its dial was cancelled", call.id, extra=about(call))
        try:
            await self._send(call, End.command, End())
        except CallEnded:
            pass  # It is over already.
        except SwcallsError as error:
            _log.warning("call %s: not hung up: %s", call.id, error, extra=about(call))


def _closed() -> ClientClosed:
    return ClientClosed("dial: the client was closed meanwhile; the call, if it came about, is hung up")
