"""An HTTP answer as a result or as the typed error that it means. Reads any of the error bodies that are known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import msgspec

from ..call_leg import CallLeg, ChargeDetail, FabricDeviceLeg, Leg
from ..errors import (
    CallNotFound,
    CommandRejected,
    CommandUnconfirmed,
    Conflict,
    InvalidParams,
    RateLimited,
    ServerFault,
    Unauthorized,
)
from .decoding import MalformedBody, parse
from .fields import Object, number, part, text, whole

_BY_STATUS: Mapping[int, type[CommandRejected]] = {
    400: InvalidParams,
    401: Unauthorized,
    403: Unauthorized,
    404: CallNotFound,
    409: Conflict,
    410: CallNotFound,
    422: InvalidParams,
    429: RateLimited,
}

_GATEWAY_STATUSES = frozenset({502, 504})
"""A gateway that got no answer does not know whether the command arrived. Source: wire contract, section 0, item 7."""

FABRIC_LEG = "fabric_subscriber_device_leg"


def interpret(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    command: str,
    call_id: str | None,
    wall_clock: float,
    secrets: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the JSON object of a 2xx answer; raise what any other one means.

    Args:
        wall_clock: Unix seconds, to make a wait of a ``Retry-After`` date.
        secrets: What no error may show, should the answer repeat it.

    Raises:
        CommandRejected: By status; its subclass says which.
        CommandUnconfirmed: 502 or 504, or a 2xx answer that is not a JSON object.
    """
    request_id = headers.get("X-Request-Id")
    if 200 <= status < 300:
        try:
            return parse(body)
        except MalformedBody as fault:
            if body.startswith(b"+OK"):
                # The one answer that is a line of text: a sidecar's counters.
                return {"result": body.decode(errors="replace")}
            message = f"the answer, with status {status}, cannot be understood: {fault}"
            unclear = CommandUnconfirmed(message, command=command, call_id=call_id, request_id=request_id)
            unclear.status = status
            raise unclear from None
    errors = _errors(_redacted(body, secrets))
    if status in _GATEWAY_STATUSES:
        message = f"it may have arrived: a gateway answered with {status}"
        unclear = CommandUnconfirmed(message, command=command, call_id=call_id, request_id=request_id)
        unclear.status = status
        raise unclear
    kind = _BY_STATUS.get(status, ServerFault if status >= 500 else CommandRejected)
    error = kind(
        _message(status, errors), status=status, errors=errors, command=command, call_id=call_id, request_id=request_id
    )
    error.retry_after = _retry_after(headers, wall_clock)
    raise error


def _retry_after(headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Read ``Retry-After``, seconds or an HTTP date, as seconds from now (>= 0); ``None`` without a usable one."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    seconds = number({"value": value}, "value")
    if seconds is None:
        # Rare, and what it imports is not cheap.
        from email.utils import parsedate_to_datetime

        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall_clock
    return max(0.0, seconds)


def read_leg(raw: dict[str, Any]) -> Leg | None:
    """Read a call leg; ``None`` if it has no id. Everything else may be missing."""
    leg_id = text(raw, "id")
    if not leg_id:
        return None
    details = raw.get("charge_details")
    common: dict[str, Any] = {
        "id": leg_id,
        "from_": text(raw, "from"),
        "to": text(raw, "to"),
        "direction": text(raw, "direction"),
        "source": text(raw, "source"),
        "url": text(raw, "url"),
        "charge": number(raw, "charge"),
        "charge_details": tuple(_charge(item) for item in details if isinstance(item, dict))
        if isinstance(details, list)
        else (),
        "created_at": text(raw, "created_at"),
        "type": text(raw, "type"),
        "status": text(raw, "status"),
        "raw": raw,
    }
    if common["type"] == FABRIC_LEG:
        return FabricDeviceLeg(**common)
    return CallLeg(
        **common,
        duration=whole(raw, "duration"),
        duration_ms=whole(raw, "duration_ms"),
        billing_ms=whole(raw, "billing_ms"),
        parent_id=text(raw, "parent_id"),
    )


def find_text(answer: Object, key: str) -> str | None:
    """Find a string that no schema places: at the top, or one level down."""
    places: tuple[Object, ...] = (answer, part(answer, "result"), part(answer, "params"), part(answer, "data"))
    return next((found for place in places if (found := text(place, key)) is not None), None)


def counters(answer: Object) -> dict[str, str]:
    """Read the line ``+OK key=value ...`` of a sidecar's status, wherever in *answer* it stands."""
    places: tuple[Object, ...] = (answer, part(answer, "result"), part(answer, "params"), part(answer, "data"))
    lines = (value for place in places for value in place.values() if isinstance(value, str))
    line = next((line for line in lines if line.startswith("+OK")), "")
    return dict(pair.split("=", 1) for pair in line.split()[1:] if "=" in pair)


def _charge(item: Object) -> ChargeDetail:
    return ChargeDetail(description=text(item, "description"), charge=number(item, "charge"))


def _redacted(body: bytes, secrets: tuple[str, ...]) -> bytes:
    for secret in filter(None, secrets):
        # As it is, and as JSON spells it.
        for spelling in {secret.encode(), msgspec.json.encode(secret)[1:-1]}:
            body = body.replace(spelling, b"***")
    return body


def _errors(body: bytes) -> tuple[dict[str, Any], ...]:
    """Find the reasons in any of the known forms; HTML and nothing at all are forms too."""
    try:
        answer = parse(body)
    except MalformedBody:
        return ()
    items = answer.get("errors")
    if isinstance(items, list):
        return tuple(item if isinstance(item, dict) else {"message": str(item)} for item in items)
    for name in ("error", "message"):
        if (said := text(answer, name)) is not None:
            return ({"message": said},)
    return ()


def _message(status: int, errors: tuple[dict[str, Any], ...]) -> str:
    reasons = [
        ": ".join(
            part for part in (text(e, "attribute"), text(e, "code"), text(e, "message") or text(e, "detail")) if part
        )
        for e in errors
    ]
    said = "; ".join(reason for reason in reasons if reason)
    # An answer may hold anything: `!r` leaves nothing in it that could forge a line of a log.
    return f"refused with {status}" + (f" ({repr(said[:500])[1:-1]})" if said else "")
