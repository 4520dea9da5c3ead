"""Simulated faxes. No command of the API starts one: tests call `fax`, the commands can only stop it."""

from __future__ import annotations

from swcalls.commands import KeyedCommand

from ..calls import Operation, SimulatedCall

PAGE_SECONDS = 1.0


class Fax(Operation):
    """Posts ``page`` for each page, then ``finished``."""

    direction = "send"

    def __init__(self, call: SimulatedCall, command: KeyedCommand, pages: int) -> None:
        super().__init__(call, command)
        self._pages = pages
        self._done = 0

    def start(self) -> None:
        self.after(PAGE_SECONDS, self._page)

    def stop(self) -> None:
        self._end(success=False, result_text="stopped")

    def _page(self) -> None:
        self._done += 1
        self._report("page", number=self._done)
        if self._done < self._pages:
            self.after(PAGE_SECONDS, self._page)
        else:
            self._end(success=True, result_text="OK")

    def _end(self, *, success: bool, result_text: str) -> None:
        self.finish()
        self._report("finished", pages=self._done, success=success, result=0 if success else 1, result_text=result_text)

    def _report(self, type_: str, **more: object) -> None:
        fax = {"type": type_, "params": {"direction": self.direction, **more}}
        params = {"control_id": self.control_id, "call_id": self.call.id, "node_id": self.call.wire.node_id, "fax": fax}
        self.call.wire.post(self._status_url, "calling.call.fax", params)


class SendingFax(Fax):
    """A fax that is being sent."""

    kind = "send_fax"


class ReceivingFax(Fax):
    """A fax that is being received."""

    kind = "receive_fax"
    direction = "receive"


def fax(call: SimulatedCall, control_id: str, status_url: str, *, receive: bool = False, pages: int = 3) -> None:
    """Start a fax on *call*, as a dialplan could; its webhooks go to *status_url*."""
    kind = ReceivingFax if receive else SendingFax
    call.begin(kind(call, KeyedCommand(control_id=control_id, status_url=status_url), pages))
