"""The simulated ``calling.transcribe``: posts a transcript after it was stopped, or the call has ended."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from ..calls import Operation

TRANSCRIBING_SECONDS = 2.0
"""Simulated seconds from the stop, or the end of the call, to the transcript."""


class Transcribing(Operation):
    """Posts only ``calling.transcript.completed`` or ``failed``, some time after its end."""

    kind: ClassVar[str] = "transcribe"

    def start(self) -> None:
        """Begin; no webhook is posted."""

    def stop(self) -> None:
        self.finish()
        # Set after `finish`, which cancels the operation's timers.
        self.after(TRANSCRIBING_SECONDS, self._report)

    def _report(self) -> None:
        failed = self.call.callee.transcription_fails
        params: dict[str, Any] = {"id": str(uuid.uuid4()), "call_id": self.call.id, "segment_id": self.call.id}
        if self.call.spoken and not failed:
            params["text"] = " ".join(self.call.spoken)
        payload = {
            "event_type": f"calling.transcript.{'failed' if failed else 'completed'}",
            "timestamp": round(self.clock.now(), 6),
            **self.call.wire.origin(),
            "params": params,
        }
        self.call.wire.post_plain(self._status_url, self.call.id, payload)
