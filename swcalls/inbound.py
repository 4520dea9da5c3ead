"""Calls that come in: each is handed to the user's handler, once, in a task that the client owns."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from .call import Call
from .commands import EndReason
from .errors import CallEnded, SwcallsError
from .events import InboundCall
from .logbook import about
from .switchboard import Switchboard

Handler = Callable[[Call], Awaitable[object]]

REMEMBERED = 4096
"""How many calls are remembered, so that an announcement that is repeated rings nobody twice."""

_log = logging.getLogger("swcalls.inbound")


class Doorbell:
    """Runs *handler* for each call that comes in; with *hang_up*, the call ends with it."""

    def __init__(self, switchboard: Switchboard, handler: Handler, *, hang_up: bool = True) -> None:
        self._switchboard = switchboard
        self._handler = handler
        self._hang_up = hang_up
        self._announced: OrderedDict[str, None] = OrderedDict()

    def ring(self, inbound: InboundCall) -> bool:
        """Take a call, unless it was taken already; say that it is taken."""
        if inbound.call_id in self._announced:
            return True
        self._announced[inbound.call_id] = None
        if len(self._announced) > REMEMBERED:
            self._announced.popitem(last=False)
        call = Call(self._switchboard, inbound.call_id)
        call.inbound = inbound
        if call.journal is not None:
            call.journal.event("call", call.key, inbound, "applied", call.journal.clock())
        self._switchboard.adopt(call)
        visit = _Visit(self._switchboard, call, hang_up=self._hang_up)
        self._switchboard.tasks.handle(visit.run(self._handler), visit.leave)
        return True


class _Visit:
    """One call that came in, from its handler's first step to the hang-up."""

    def __init__(self, switchboard: Switchboard, call: Call, *, hang_up: bool) -> None:
        self._switchboard = switchboard
        self._call = call
        self._hang_up = hang_up
        self._reason: EndReason | None = None

    async def run(self, handler: Handler) -> None:
        call = self._call
        try:
            await handler(call)
        except Exception as error:
            end = _end_in(error)
            if end is not None:
                _log.info("call %s: its handler found a call that has ended: %s", call.id, end, extra=about(call))
            else:
                _log.exception("call %s: the handler failed, and the call is ended", call.id, extra=about(call))
                self._reason = "error"

    def leave(self) -> None:
        """Have the call ended, unless it has ended, was told to, or was handed on. A second time nothing is done."""
        call = self._call
        if self._hang_up and not call._released and not call.has_ended:
            self._switchboard.tasks.hang_up(self._end())
        self._hang_up = False

    async def _end(self) -> None:
        call = self._call
        try:
            await call.end(self._reason)
        except CallEnded:
            pass  # It was over, and the news had not come yet.
        except SwcallsError as error:
            _log.warning("call %s: not ended: %s", call.id, error, extra=about(call))


def _end_in(error: Exception) -> Exception | None:
    """Return what says that a call has ended, if nothing else is wrong; of a group, every error must say so."""
    if not isinstance(error, ExceptionGroup):
        return error if isinstance(error, CallEnded) else None
    ends = [_end_in(inner) for inner in error.exceptions]
    return None if None in ends else ends[0]
