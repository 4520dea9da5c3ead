"""How the payloads of what a SWML document does are read: ``connect``, ``join_conference``, and the tail of a document.

The tail is a request that the document itself makes, so its body is ours: ``op`` (the key), ``call_id``, and
the variables in which the steps left what they came to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .fields import Fields, Object, identifier, part, text, truth, whole

MOST_VARIABLES = 64
LONGEST_VARIABLE = 4096
"""Characters of a variable, beyond which it is cut; the whole is in the event's ``raw``."""

_NO_VARIABLES = frozenset({"op", "control_id", "call_id", "event_type", "params"})
_OUTCOMES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "connect": ("connect_result", {"connected": "disconnected", "failed": "failed"}),
    "conference": ("join_conference_result", {"completed": "left", "failed": "failed"}),
    "digits": ("send_digits_result", {"failed": "failed"}),
}
"""Of each kind: the variable that says what its step came to, and its values as states."""


def connect_fields(p: Object, raw: Object) -> Fields:
    peer = part(p, "peer")
    device = part(part(peer, "device"), "params")
    return {
        "state": text(p, "connect_state") or text(p, "state") or "",
        "peer_id": identifier(peer, "call_id"),
        "failed_reason": text(p, "failed_reason"),
        "from_": text(device, "from_number") or text(device, "from"),
        "to": text(device, "to_number") or text(device, "to"),
    }


def conference_fields(p: Object, raw: Object) -> Fields:
    # The lifecycle turns the word into `joined`, `left` or `ended`: only it knows which member is our own call.
    return {
        "state": text(p, "status") or text(p, "state") or "",
        "name": text(p, "name"),
        "conference_id": identifier(p, "conference_id"),
        "size": whole(p, "size"),
        "muted": truth(p, "muted"),
        "hold": truth(p, "hold"),
        "reason": text(p, "reason_ended"),
    }


def tail_fields(kind: str) -> Callable[[Object, Object], Fields]:
    """Make the reader of the tail of a document that was run for an operation of *kind*."""
    variable, states = _OUTCOMES.get(kind, ("", {}))

    def fields(p: Object, raw: Object) -> Fields:
        names = [name for name in p if name not in _NO_VARIABLES][:MOST_VARIABLES]
        variables = {name: (text(p, name) or "")[:LONGEST_VARIABLE] for name in names}
        key = text(p, "op" if p.get("control_id") is None else "control_id")
        return {
            # A body that does not name the operation is no tail, and ends nothing.
            "state": "" if key is None else states.get(variables.get(variable, ""), "finished"),
            "control_id": key,
            "variables": variables,
        }

    return fields
