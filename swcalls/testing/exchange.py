"""The platform's side of all calls: where commands find them. Knows no HTTP."""

from __future__ import annotations

from swcalls.commands import Dial

from .callee import Callee
from .calls import SimulatedCall
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
        call = SimulatedCall(self._wire, dial, callee)
        self.calls[call.id] = call
        if len(self.calls) > MAX_CALLS:
            oldest = next((known.id for known in self.calls.values() if known.state == "ended"), None)
            if oldest is not None:
                del self.calls[oldest]
        call.start()
        return call
