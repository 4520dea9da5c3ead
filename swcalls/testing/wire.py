"""The form of a webhook: what surrounds its parameters. Knows neither when one is due nor how it gets out."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from .clock import Clock
from .deliveries import Deliveries
from .faults import Dice
from .voicelog import VoiceLog

Shape = Literal["enveloped", "bare"]


class Wire:
    """Puts events into the shape that webhooks have, and sends them off; the log has them in any case."""

    def __init__(self, clock: Clock, deliveries: Deliveries, log: VoiceLog, *, project: str, shape: Shape) -> None:
        self.clock = clock
        self.log = log
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
        """Post *params*, which name their ``call_id``, to *url*; without one, nobody asked to be told.

        It comes after what was posted before on the same *lane*, which is the call, unless another one is named.
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
        """Post *payload* as it is: its kind has one shape, and not the common one."""
        if isinstance(payload.get("event_type"), str) and isinstance(payload.get("params"), dict):
            self.log.note(call_id, payload["event_type"], payload["params"])
        if url is not None:
            self._deliveries.post(call_id, url, payload)

    def origin(self) -> dict[str, str]:
        """Name the project and the space."""
        return {"project_id": self._project, "space_id": self._space_id}

    @property
    def dice(self) -> Dice:
        """What decides on faults."""
        return self._deliveries.dice

    @property
    def deliveries(self) -> Deliveries:
        """Everything on its way to the user."""
        return self._deliveries

    async def fetch(self, url: str, payload: dict[str, Any]) -> bytes | None:
        """Post *payload* and return the body of a 200; ``None`` for any other answer."""
        return await self._deliveries.fetch(url, payload)
