"""Verifies and decodes webhook requests: path, headers and body become an event, or a verdict that refuses them.

No body is parsed before the request is known to be genuine. The order is: MAC of the URL, signature, JSON, then the
cross-check of ids. The ingress calls `WebhookReader.read`, and decides which process gets the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..commands import PARKED
from ..events import Event, InboundCall, SwmlEvent, UnknownEvent
from .callback_urls import CallbackUrls
from .decoding import READERS, MalformedBody, parse, read, read_inbound
from .fields import text
from .registry import Delivered
from .signature import Verifier

Verdict = Delivered | Literal[
    "inbound", "busy", "malformed", "forged", "foreign", "oversized", "forwarded", "unavailable"
]  # fmt: skip
"""What became of a request. ``inbound``: an inbound call was accepted; ``busy``: this process accepts no calls.
``foreign``: a genuine URL, but the payload is about another action. ``forwarded``: the webhook is kept for the process
that owns the action; ``unavailable``: the webhook could not be kept, and the platform must send it again."""

INBOUND = "inbound"
"""The kind of the URL at which inbound calls are announced. There is one such URL, with one key."""

HOLD = "hold"
"""The kind of the URL at which the document of a call that is not answered yet asks what to do."""

Decision = Literal["answer", "busy", "decline"]
"""What is decided on a call that is not answered yet."""

MOST_SHAPES = 256
"""How many shapes of unknown events are remembered."""


class Reply(Struct, frozen=True):
    """The response to a webhook request, and the verdict behind it.

    The body is empty, so that a stranger who guesses URLs learns nothing. The response to an inbound call is a SWML
    document.
    """

    status: int
    body: bytes
    verdict: Verdict
    content_type: str = "text/plain"
    headers: Mapping[str, str] = MappingProxyType({})


REPLIES: Mapping[Verdict, Reply] = {
    "applied": Reply(200, b"", "applied"),
    "duplicate": Reply(200, b"", "duplicate"),
    "late": Reply(200, b"", "late"),
    "early": Reply(200, b"", "early"),
    "unknown": Reply(200, b"", "unknown"),
    "inbound": Reply(200, msgspec.json.encode(PARKED), "inbound", "application/json"),
    "busy": Reply(503, b"", "busy"),
    "malformed": Reply(400, b"", "malformed"),
    "forged": Reply(403, b"", "forged"),
    "foreign": Reply(403, b"", "foreign"),
    "oversized": Reply(413, b"", "oversized"),
    "forwarded": Reply(200, b"", "forwarded"),
    "unavailable": Reply(503, b"", "unavailable", headers={"Retry-After": "1"}),
}


class Webhook(Struct, frozen=True):
    """A verified webhook."""

    kind: str
    key: str
    owner: str | None
    """The process that waits for it. ``""``: the process that receives it; ``None``: the process that has the call."""
    event: Event | InboundCall


class Receipt(Struct, frozen=True):
    """What became of one webhook."""

    verdict: Verdict
    kind: str | None = None
    key: str | None = None
    event: Event | None = None
    new_shape: bool = False
    """No lifecycle has the event's state, and the event is the first one of its kind, type and state."""
    held_by: str | None = None
    """Of an inbound call: the process that decides whether it is answered; ``""``: the only one; ``None``: it is."""


class WebhookReader:
    """Verifies and decodes webhook requests. *limit* is the largest body, in bytes."""

    def __init__(self, urls: CallbackUrls, verifier: Verifier, limit: int) -> None:
        self.urls = urls
        self.limit = limit
        self._verifier = verifier

    def knows(self, path: str) -> bool:
        """Return whether *path* has a right MAC, so that the body is worth reading. `read` checks the MAC again."""
        return self.urls.parse(self.urls.relative(path)) is not None

    def read(self, path: str, headers: Mapping[str, str], body: bytes) -> Webhook | Receipt:
        """Return the verified webhook; or a `Receipt` with the verdict, if there is nothing to deliver.

        Args:
            path: The raw path of the request, as sent; a query is ignored.
        """
        if len(body) > self.limit:
            return Receipt("oversized")
        path = self.urls.relative(path)
        address = self.urls.parse(path)
        if address is None:
            return Receipt("forged")
        kind, key, owner = address
        reader = READERS.get(kind)
        if self._verifier:
            url, signed = self.urls.handed_out(path), kind != HOLD if reader is None else reader.signed
            # The URL for inbound calls is configured by hand and may leak; its requests are documented to be signed.
            if not self._verifier.verify(url, body, headers, required=kind == INBOUND, signed=signed):
                return Receipt("forged", kind, key)
        try:
            raw = parse(body)
        except MalformedBody:
            return Receipt("malformed", kind, key)
        if kind == INBOUND:
            return _read_announcement(raw, body)
        if kind == HOLD:
            return Webhook(kind, key, owner, SwmlEvent(state="", call_id=key, payload=body))
        if reader is None:
            return Receipt("unknown", kind, key, UnknownEvent(state="", payload=body))
        event = read(kind, raw, body)
        # An enveloped payload may have an id inside and one outside. Neither may be the id of another action.
        own = (None, key)
        if reader.keyed and (event.control_id not in own or text(raw, "control_id") not in own):
            return Receipt("foreign", kind, key, event)
        return Webhook(kind, key, owner, event)


class Shapes:
    """The shapes of unknown events that have been seen, so that each is logged once."""

    def __init__(self) -> None:
        self._seen: set[tuple[str | None, str | None, str]] = set()

    def mark(self, receipt: Receipt) -> Receipt:
        """Return *receipt*, with ``new_shape`` set if it is the first of an unknown shape."""
        event = receipt.event
        if receipt.verdict != "unknown" or event is None:
            return receipt
        shape = (receipt.kind, event.event_type if isinstance(event, UnknownEvent) else None, event.state)
        if shape in self._seen or len(self._seen) >= MOST_SHAPES:
            return receipt
        self._seen.add(shape)
        return Receipt("unknown", receipt.kind, receipt.key, event, new_shape=True)


def _read_announcement(raw: dict[str, Any], body: bytes) -> Webhook | Receipt:
    """Return the announcement of an inbound call, or the state of a call: both may come to the same URL."""
    inbound = read_inbound(raw)
    if inbound is not None:
        return Webhook(INBOUND, inbound.call_id, None, inbound)
    event = read("call", raw, body)
    if event.call_id is None:
        return Receipt("malformed", INBOUND)
    return Webhook("call", event.call_id, None, event)
