"""The simulator's request for an SWML document when a call comes in, and the check of the document. For `Exchange`."""

from __future__ import annotations

from typing import Any

import msgspec

from .calls import SimulatedCall
from .swml.rules import sections_of
from .wire import Wire


class NotAnswered(RuntimeError):
    """The simulated inbound call was not answered."""


def announcement(call: SimulatedCall, wire: Wire, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the request for an SWML document. Source: wire contract, section c.13."""
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


def read_document(body: bytes) -> dict[str, Any] | None:
    """Read a SWML document as JSON; ``None`` for what has no steps."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return document if sections_of(document) is not None else None
