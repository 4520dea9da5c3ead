"""The simulated ``calling.refer``: a SIP REFER and its result."""

from __future__ import annotations

from typing import ClassVar

from swcalls.commands import Refer

from ..calls import Operation, SimulatedCall

REFERRING_SECONDS = 1.0
_INVITE_CODES = {"success": "200", "busy": "486", "noAnswer": "480", "cancel": "487"}


class Referring(Operation):
    """Posts ``inProgress``, then the state in ``Callee.refers``."""

    kind: ClassVar[str] = "refer"

    def __init__(self, call: SimulatedCall, command: Refer) -> None:
        super().__init__(call, command)
        self._to = command.device.params.to

    def start(self) -> None:
        self._report("inProgress")
        self.after(REFERRING_SECONDS, self._conclude)

    def stop(self) -> None:
        self.finish()
        self._report("cancel")

    def _conclude(self) -> None:
        self.finish()
        state = self.call.callee.refers
        self._report(state, sip_notify_response_code=_INVITE_CODES.get(state, "500"))

    def _report(self, state: str, **more: str) -> None:
        params = {
            "call_id": self.call.id,
            "node_id": self.call.wire.node_id,
            "sip_refer_to": self._to,
            "state": state,
            "sip_refer_response_code": "202",
            **more,
        }
        self.call.wire.post(self._status_url, "calling.call.refer", params)
