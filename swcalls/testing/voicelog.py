"""`VoiceLog`: the simulator's record of the events of each call; `lookup` serves it over HTTP.

Source: wire contract, section f.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .clock import Clock

CALLS_KEPT = 10_000
"""How many calls are kept; beyond that, the oldest is dropped."""
LINES_KEPT = 1000
"""How many events of each call are kept."""


class VoiceLog:
    """The events of all calls, also those for which no webhook was requested."""

    def __init__(self, clock: Clock, project: str) -> None:
        self._clock = clock
        self._project = project
        self._lines: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()

    def note(self, call_id: str, event_type: str, params: Mapping[str, Any]) -> None:
        """Record an event of a call; *params* are those of its webhook."""
        lines = self._lines.get(call_id)
        if lines is None:
            lines = self._lines[call_id] = deque(maxlen=LINES_KEPT)
            if len(self._lines) > CALLS_KEPT:
                self._lines.popitem(last=False)
        lines.append(
            {
                "event_at": datetime.fromtimestamp(self._clock.now(), UTC).isoformat().replace("+00:00", "Z"),
                "level": "info",
                "name": event_type.replace(".", "_"),
                "details": dict(params),
                "project_id": self._project,
                "log_id": call_id,
            }
        )

    def events(self, call_id: str) -> list[dict[str, Any]]:
        """Return the events of a call, the oldest first."""
        return list(self._lines.get(call_id, ()))
