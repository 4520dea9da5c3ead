"""The simulated ``calling.tap``: posts its beginning and its end, and sends no audio."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from swcalls.commands import Tap

from ..calls import Operation, SimulatedCall


class Tapping(Operation):
    """Posts ``tapping``, then ``finished`` when it is stopped, or the call ends."""

    kind: ClassVar[str] = "tap"

    def __init__(self, call: SimulatedCall, command: Tap) -> None:
        super().__init__(call, command)
        self._echo = {"tap": msgspec.to_builtins(command.tap), "device": msgspec.to_builtins(command.device)}

    def start(self) -> None:
        self._report("tapping")

    def stop(self) -> None:
        self.finish()
        self._report("finished")

    def _report(self, state: str) -> None:
        self.post(segment_id=self.call.id, state=state, **self._echo)
