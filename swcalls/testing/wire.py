"""`Wire`: puts an event into the form of a webhook, records it in the voice log, and gives it to `Deliveries`."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from .audio_lines import AudioLines
from .clock import Clock
from .deliveries import Deliveries
from .faults import Dice
from .voicelog import VoiceLog

Shape = Literal["enveloped", "bare"]


class Wire:
    """Turns the events of calls and operations into webhooks. Each event is recorded in the voice log, too."""

    def __init__(self, clock: Clock, deliveries: Deliveries, log: VoiceLog, *, project: str, shape: Shape) -> None:
        self.clock = clock
        self.log = log
        self.audio: AudioLines = AudioLines()
        """Opens the WebSockets of streams."""
        self.node_id: str = str(uuid.uuid4())
        self.base_url = ""
        self._deliveries = deliveries
        self._project = project
        self._space_id = str(uuid.uuid4())
        self._shape = shape

    def post(
        self,
        url: str | None,
        event_type: str,
        params: dict[str, Any],
        *,
        method: str = "POST",
        shape: Shape | None = None,
        lane: str | None = None,
        is_logged: bool = True,
    ) -> None:
        """Post an event to *url*; None: no webhook was requested, so the event is only recorded.

        Args:
            url: The status URL of the command.
            event_type: The type in the envelope.
            params: The parameters of the event, among them ``call_id``.
            method: The HTTP method.
            shape: The form of the webhook; None: that of the simulator.
            lane: What the webhook is ordered by; None: the call.
            is_logged: The voice log gets the event, too.
        """
        call_id = params["call_id"]
        if is_logged:
            self.log.note(call_id, event_type, params)
        if url is None:
            return
        payload = params
        if (shape or self._shape) == "enveloped":
            payload = {
                "event_type": event_type,
                "event_channel": f"swml:{call_id}",
                "timestamp": round(self.clock.now(), 6),
                "project_id": self._project,
                "space_id": self._space_id,
                "params": params,
            }
        self._deliveries.post(lane or call_id, url, payload, method)

    def post_plain(self, url: str | None, call_id: str, payload: dict[str, Any]) -> None:
        """Post *payload* unchanged; for events that have a form of their own."""
        if isinstance(payload.get("event_type"), str) and isinstance(payload.get("params"), dict):
            self.log.note(call_id, payload["event_type"], payload["params"])
        if url is not None:
            self._deliveries.post(call_id, url, payload)

    def origin(self) -> dict[str, str]:
        """Return the ids of the project and of the space, for payloads."""
        return {"project_id": self._project, "space_id": self._space_id}

    @property
    def dice(self) -> Dice:
        """The dice that decide when faults happen."""
        return self._deliveries.dice

    @property
    def deliveries(self) -> Deliveries:
        """The webhooks on their way to the user's receiver."""
        return self._deliveries

    async def fetch(self, url: str, payload: dict[str, Any]) -> bytes | None:
        """Post *payload* to *url*; return the body of a response with status 200, else None."""
        return await self._deliveries.fetch(url, payload)
