"""The simulated ``calling.transcribe``: posts a transcript after it was stopped, or the call has ended."""

from __future__ import annotations

import uuid
from collections import deque
from typing import Any, ClassVar

from swcalls.commands import Transcribe

from ..calls import SENTENCES_KEPT, Operation, Party, SimulatedCall
from ..speech import heard_within

TRANSCRIBING_SECONDS = 2.0
"""Simulated seconds from the stop, or the end of the call, to the transcript."""


class Transcribing(Operation):
    """Posts only ``calling.transcript.completed`` or ``failed``, some time after its end.

    The transcript has what both sides said from its start to its end.
    """

    kind: ClassVar[str] = "transcribe"

    def __init__(self, call: SimulatedCall, command: Transcribe) -> None:
        super().__init__(call, command)
        self._texts: deque[str] = deque(maxlen=SENTENCES_KEPT)
        self._started: float | None = None
        self._has_heard_caller = False

    def start(self) -> None:
        """Begin; no webhook is posted."""
        self._started = self.clock.now()

    def overhear(self, party: Party, text: str) -> None:
        self._texts.append(text)
        self._has_heard_caller = self._has_heard_caller or party == "remote-caller"

    def stop(self) -> None:
        self._hear_callee()
        self.finish()
        # Set after `finish`, which cancels the operation's timers.
        self.after(TRANSCRIBING_SECONDS, self._report)

    def _hear_callee(self) -> None:
        """Add what the callee has had time to say, unless something else, such as a collect, made the callee speak."""
        text = self.call.says.first
        if text and self._started is not None and not self._has_heard_caller:
            seconds = self.clock.now() - self._started - self.call.callee.reacts_after
            if seconds > 0:
                self._texts.append(heard_within(text, seconds))

    def _report(self) -> None:
        failed = self.call.callee.transcription_fails
        params: dict[str, Any] = {"id": str(uuid.uuid4()), "call_id": self.call.id, "segment_id": self.call.id}
        if self._texts and not failed:
            params["text"] = " ".join(self._texts)
        payload = {
            "event_type": f"calling.transcript.{'failed' if failed else 'completed'}",
            "timestamp": round(self.clock.now(), 6),
            **self.call.wire.origin(),
            "params": params,
        }
        self.call.wire.post_plain(self._status_url, self.call.id, payload)
