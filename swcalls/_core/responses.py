"""Turns an HTTP response to a command into its JSON object or a typed error, for the transport; decodes call legs."""

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
"""With these statuses the platform may have received the command. Source: wire contract, section 0, item 7."""

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
    """Return the JSON object of a 2xx response; raise the error that any other response means.

    Args:
        command: The command, for errors; *call_id* likewise.
        wall_clock: Unix seconds, to turn a ``Retry-After`` date into a wait.
        secrets: Strings that are masked in errors, since the response may repeat them.

    Raises:
        CommandRejected: The platform refused the command; the status decides which subclass.
        CommandUnconfirmed: 502 or 504, or a 2xx answer that is not a JSON object.
    """
    request_id = headers.get("X-Request-Id")
    if 200 <= status < 300:
        try:
            return parse(body)
        except MalformedBody as fault:
            if body.startswith(b"+OK"):
                # Only the command `ai_sidecar.status` is answered by a line of text instead of JSON.
                return {"result": body.decode(errors="replace")}
            message = f"the response (status {status}) cannot be decoded: {fault}"
            unclear = CommandUnconfirmed(message, command=command, call_id=call_id, request_id=request_id)
            unclear.status = status
            raise unclear from None
    errors = _errors(_redacted(body, secrets))
    if status in _GATEWAY_STATUSES:
        message = f"the command may have arrived: a gateway answered with {status}"
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
    """Return ``Retry-After`` (seconds or an HTTP date) in seconds (>= 0); ``None`` if missing or unusable."""
    value = headers.get("Retry-After")
    if value is None:
        return None
    seconds = number({"value": value}, "value")
    if seconds is None:
        # A date is rare, and this module is slow to import.
        from email.utils import parsedate_to_datetime

        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall_clock
    return max(0.0, seconds)


def read_leg(raw: dict[str, Any]) -> Leg | None:
    """Return the call leg in *raw*; ``None`` if *raw* has no id. Every other field may be missing."""
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
    """Return the string at *key*, at the top of *answer* or one level down: no schema says where it is."""
    places: tuple[Object, ...] = (answer, part(answer, "result"), part(answer, "params"), part(answer, "data"))
    return next((found for place in places if (found := text(place, key)) is not None), None)


def counters(answer: Object) -> dict[str, str]:
    """Return the pairs of a sidecar's status line, ``+OK key=value ...``, at the top of *answer* or one level down."""
    places: tuple[Object, ...] = (answer, part(answer, "result"), part(answer, "params"), part(answer, "data"))
    lines = (value for place in places for value in place.values() if isinstance(value, str))
    line = next((line for line in lines if line.startswith("+OK")), "")
    return dict(pair.split("=", 1) for pair in line.split()[1:] if "=" in pair)


def _charge(item: Object) -> ChargeDetail:
    return ChargeDetail(description=text(item, "description"), charge=number(item, "charge"))


def _redacted(body: bytes, secrets: tuple[str, ...]) -> bytes:
    for secret in filter(None, secrets):
        # The secret as it is, and with JSON's escapes.
        for spelling in {secret.encode(), msgspec.json.encode(secret)[1:-1]}:
            body = body.replace(spelling, b"***")
    return body


def _errors(body: bytes) -> tuple[dict[str, Any], ...]:
    """Return the reasons in an error body, in any known form; empty for HTML and an empty body."""
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
    # `repr` escapes line breaks: the response must not be able to forge a log line.
    return f"refused with {status}" + (f" ({repr(said[:500])[1:-1]})" if said else "")
