"""The platform's side of all calls: where commands find them. Knows no HTTP."""

from __future__ import annotations

from typing import Any

from swcalls.commands import Dial

from .callee import Callee
from .calls import SimulatedCall
from .inbound import NotAnswered, announcement, answers
from .wire import Wire

MAX_CALLS = 10_000
"""How many calls are remembered; beyond, the oldest that has ended makes room."""


class Exchange:
    """Sets up calls, and remembers them."""

    def __init__(self, wire: Wire, callee: Callee) -> None:
        self.calls: dict[str, SimulatedCall] = {}
        self.callees: dict[str, Callee] = {}
        self._callee = callee
        self._wire = wire

    def dial(self, dial: Dial) -> SimulatedCall:
        """Call ``dial.to``, where the callee of that number answers, or else the one for all others."""
        callee = self.callees.get(dial.to or "", self._callee)
        call = self._admit(SimulatedCall(self._wire, dial, callee))
        call.start()
        return call

    async def ring(self, dial: Dial, url: str, callee: Callee | None, extra: dict[str, Any]) -> SimulatedCall:
        """Ring who is behind *url*, from *dial.from_*, and have the call answered by the document that comes back."""
        call = self._admit(SimulatedCall(self._wire, dial, callee or self._callee, "inbound"))
        call.arrive()
        answer = await self._wire.fetch(url, announcement(call, self._wire, extra))
        if answer is None or not answers(answer):
            call.end("error")
            raise NotAnswered(f"call {call.id}: nobody took it: no SWML document that answers came back")
        call.answer()
        return call

    def _admit(self, call: SimulatedCall) -> SimulatedCall:
        self.calls[call.id] = call
        if len(self.calls) > MAX_CALLS:
            oldest = next((known.id for known in self.calls.values() if known.state == "ended"), None)
            if oldest is not None:
                del self.calls[oldest]
        return call
