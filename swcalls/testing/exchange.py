"""The platform's side of all calls: where commands find them. Knows no HTTP."""

from __future__ import annotations

from typing import Any

from swcalls.commands import Dial

from .callee import Callee
from .calls import SimulatedCall
from .contract import Refusal
from .inbound import NotAnswered, announcement, read_document
from .swml import Scripts, check_swml
from .wire import Wire

MAX_CALLS = 10_000
"""How many calls are remembered; beyond, the oldest that has ended makes room."""


class Exchange:
    """Sets up calls, and remembers them."""

    def __init__(self, wire: Wire, callee: Callee) -> None:
        self.calls: dict[str, SimulatedCall] = {}
        self.callees: dict[str, Callee] = {}
        self.scripts: Scripts = Scripts(wire, self.dial)
        self._callee = callee
        self._wire = wire

    def dial(self, dial: Dial) -> SimulatedCall:
        """Call ``dial.to``, where the callee of that number answers, or else the one for all others."""
        callee = self.callees.get(dial.to or "", self._callee)
        call = self._admit(SimulatedCall(self._wire, dial, callee, dialplans=self.scripts))
        call.redirect(swml=dial.swml)
        call.start()
        return call

    async def ring(self, dial: Dial, url: str, callee: Callee | None, extra: dict[str, Any]) -> SimulatedCall:
        """Ring who is behind *url*, from *dial.from_*, and have the call answered by the document that comes back."""
        scripts = self.scripts
        call = self._admit(SimulatedCall(self._wire, dial, callee or self._callee, "inbound", scripts))
        call.arrive()
        answer = await self._wire.fetch(url, announcement(call, self._wire, extra))
        document = None if answer is None else read_document(answer)
        try:
            check_swml(document, "swml")
        except Refusal:
            document = None
        if document is None:
            call.end("error")
            raise NotAnswered(f"call {call.id}: nobody took it: no SWML document came back that can be run")
        call.redirect(swml=document)
        await scripts.until([call], "answered")
        if call.state == "ended":
            raise NotAnswered(f"call {call.id}: it was not answered: {call.end_reason}")
        return call

    def _admit(self, call: SimulatedCall) -> SimulatedCall:
        self.calls[call.id] = call
        if len(self.calls) > MAX_CALLS:
            oldest = next((known.id for known in self.calls.values() if known.state == "ended"), None)
            if oldest is not None:
                del self.calls[oldest]
        return call
