"""Calls that come in: each is handed to the user's handler, once, in a task that the client owns."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from .call import Call
from .errors import CommandError
from .events import InboundCall
from .logbook import about
from .switchboard import Switchboard

Handler = Callable[[Call], Awaitable[object]]

REMEMBERED = 4096
"""How many calls are remembered, so that an announcement that is repeated rings nobody twice."""

_log = logging.getLogger("swcalls.inbound")


class Doorbell:
    """Runs *handler* for each call that comes in."""

    def __init__(self, switchboard: Switchboard, handler: Handler) -> None:
        self._switchboard = switchboard
        self._handler = handler
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
        self._switchboard.tasks.handle(self._handle(call))
        return True

    async def _handle(self, call: Call) -> None:
        try:
            await self._handler(call)
        except Exception:
            _log.exception("call %s: the handler failed, and the call is ended", call.id, extra=about(call))
            try:
                await call.end("error")
            except CommandError as error:
                _log.info("call %s: not ended: %s", call.id, error, extra=about(call))
