"""`ReceivedCommand`: a request that the simulator got. Tests read them in ``Simulator.commands``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ReceivedCommand:
    """A request, and the status of its response. A value that cannot be read is ``""``, ``None`` or ``{}``."""

    command: str
    call_id: str | None
    params: dict[str, Any] = field(repr=False)
    status: int
    """The HTTP status of the response."""


def received_command(request: dict[str, Any], status: int) -> ReceivedCommand:
    """Return *request*, which may be malformed, as a `ReceivedCommand`."""
    command, call_id, params = request.get("command"), request.get("id"), request.get("params")
    if not isinstance(params, dict):
        params = {}
    if command == "update":
        call_id = params.get("id")
    return ReceivedCommand(
        command if isinstance(command, str) else "", call_id if isinstance(call_id, str) else None, params, status
    )
