"""How the platform asks what to do with a call that comes in, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

import msgspec

from .calls import SimulatedCall
from .wire import Wire


class NotAnswered(RuntimeError):
    """Nobody took the call."""


def announcement(call: SimulatedCall, wire: Wire, extra: dict[str, Any]) -> dict[str, Any]:
    """Make the request for a document. Source: wire contract, section c.13."""
    numbers = {"from_number": call.from_, "to_number": call.to} if call.device_type == "phone" else {}
    described = {
        "call_id": call.id,
        "node_id": wire.node_id,
        "segment_id": call.id,
        "call_state": "created",
        "direction": "inbound",
        "type": call.device_type,
        "from": call.from_,
        "to": call.to,
        **numbers,
        "headers": [{"name": name, "value": value} for name, value in extra["headers"]],
        **wire.origin(),
    }
    return {"call": described, "vars": {}, "envs": extra["variables"], "params": {}}


def answers(document: bytes) -> bool:
    """Tell whether *document*, SWML as JSON, answers the call in its main section."""
    try:
        swml = msgspec.json.decode(document)
        steps = swml["sections"]["main"]
        return any(step == "answer" or "answer" in step for step in steps)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError):
        return False
