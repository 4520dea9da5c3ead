"""`Exchange`: creates the simulated calls, outbound and inbound, and keeps them by id."""

from __future__ import annotations

from typing import Any

from swcalls.commands import Dial

from .callee import Callee
from .calls import SimulatedCall
from .inbound import NotAnswered, announcement, answers
from .wire import Wire

MAX_CALLS = 10_000
"""How many calls are kept; beyond that, the oldest call that has ended is dropped."""


class Exchange:
    """Creates calls and keeps them, so that commands and the voice log find them."""

    def __init__(self, wire: Wire, callee: Callee) -> None:
        self.calls: dict[str, SimulatedCall] = {}
        self.callees: dict[str, Callee] = {}
        self._callee = callee
        self._wire = wire

    def dial(self, dial: Dial) -> SimulatedCall:
        """Start an outbound call to ``dial.to``; its callee is that of the number, or the default one."""
        callee = self.callees.get(dial.to or "", self._callee)
        call = self._admit(SimulatedCall(self._wire, dial, callee))
        call.start()
        return call

    async def ring(self, dial: Dial, url: str, callee: Callee | None, extra: dict[str, Any]) -> SimulatedCall:
        """Start an inbound call: request the SWML document of *url*, and answer the call as it says.

        Raises:
            NotAnswered: No document that answers the call came back.
        """
        call = self._admit(SimulatedCall(self._wire, dial, callee or self._callee, "inbound"))
        call.arrive()
        answer = await self._wire.fetch(url, announcement(call, self._wire, extra))
        if answer is None or not answers(answer):
            call.end("error")
            raise NotAnswered(f"call {call.id}: not answered: no SWML document with an `answer` step came back")
        call.answer()
        return call

    def _admit(self, call: SimulatedCall) -> SimulatedCall:
        self.calls[call.id] = call
        if len(self.calls) > MAX_CALLS:
            oldest = next((known.id for known in self.calls.values() if known.state == "ended"), None)
            if oldest is not None:
                del self.calls[oldest]
        return call
