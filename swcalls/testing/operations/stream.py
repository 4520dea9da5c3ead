"""The simulated ``calling.stream``: posts its beginning and its end, and opens no WebSocket."""

from __future__ import annotations

from typing import ClassVar

from swcalls.commands import Stream

from ..calls import Operation, SimulatedCall
from ..wire import Shape


class Streaming(Operation):
    """Posts ``streaming``, then ``finished`` when it is stopped, or the call ends."""

    kind: ClassVar[str] = "stream"
    shape: ClassVar[Shape | None] = "enveloped"

    def __init__(self, call: SimulatedCall, command: Stream) -> None:
        super().__init__(call, command)
        self._url = command.url
        self._name = command.name
        self._method = command.status_url_method or "POST"

    def start(self) -> None:
        self._report("streaming")

    def stop(self) -> None:
        self.finish()
        self._report("finished")

    def _report(self, state: str) -> None:
        name = {} if self._name is None else {"name": self._name}
        self.post(self._method, segment_id=self.call.id, state=state, url=self._url, **name)
