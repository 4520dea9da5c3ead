"""`Exchange`: creates the simulated calls, outbound and inbound, and keeps them by id."""

from __future__ import annotations

from typing import Any

from swcalls.commands import Dial

from .callee import Callee
from .calls import SimulatedCall
from .contract import Refusal
from .dial_queue import DialQueue
from .inbound import NotAnswered, announcement, read_document
from .swml import Scripts, check_swml
from .wire import Wire

MAX_CALLS = 10_000
"""How many calls are kept; beyond that, the oldest call that has ended is dropped."""


class Exchange:
    """Creates calls and keeps them, so that commands and the voice log find them."""

    def __init__(self, wire: Wire, callee: Callee, dial_rate: float | None = None) -> None:
        self.calls: dict[str, SimulatedCall] = {}
        self.callees: dict[str, Callee] = {}
        self.scripts: Scripts = Scripts(wire, self.place)
        self.queue: DialQueue = DialQueue(wire.clock, dial_rate)
        self._callee = callee
        self._wire = wire

    def dial(self, dial: Dial) -> SimulatedCall:
        """Start the outbound call of a ``dial`` command, or queue it.

        Raises:
            Refusal: As many calls are queued as the platform keeps.
        """
        self.queue.check_room()
        call = self._create(dial)
        self.queue.add(call)
        return call

    def place(self, dial: Dial) -> SimulatedCall:
        """Start an outbound call for a SWML document. It is never queued: whether it counts is not documented."""
        call = self._create(dial)
        call.start()
        return call

    def _create(self, dial: Dial) -> SimulatedCall:
        """Create a call to ``dial.to``; its callee is that of the number, or the default one."""
        callee = self.callees.get(dial.to or "", self._callee)
        call = self._admit(SimulatedCall(self._wire, dial, callee, dialplans=self.scripts))
        call.redirect(swml=dial.swml)
        return call

    async def ring(self, dial: Dial, url: str, callee: Callee | None, extra: dict[str, Any]) -> SimulatedCall:
        """Start an inbound call: request the SWML document of *url*, and run it until it answers the call.

        Raises:
            NotAnswered: No document that can be run came back, or it did not answer the call.
        """
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
            raise NotAnswered(
                f"call {call.id}: not answered: no SWML document that can be run came back: check that the "
                "application runs, and that the URL is its receiver.inbound_url"
            )
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
