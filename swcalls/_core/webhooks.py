"""Reads webhook requests: from path, headers and body to a verified event, or to the verdict that there is none.

Nothing is parsed before the request is known to be genuine. The order is: MAC of the URL, signature, JSON, then the
cross-check of ids. The ingress calls `WebhookReader.read`, and decides who gets the event. Knows no HTTP server.
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
"""What became of a request. ``inbound``: a call that comes in was accepted; ``busy``: nobody takes calls here.
``foreign``: a genuine URL, but the payload is about another action. ``forwarded``: the webhook is kept for the process
that owns the action; ``unavailable``: it could not be kept, and must be sent again."""

INBOUND = "inbound"
"""The kind of the URL at which inbound calls are announced; it has only one key."""

HOLD = "hold"
"""The kind of the URL at which the document of a call that is not answered yet asks what to do."""

MOST_SHAPES = 256


class Reply(Struct, frozen=True):
    """The answer to a webhook request, and why.

    The body is empty, with no detail for whoever guesses URLs. The answer to an inbound call is a SWML document.
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
    """Which process waits for it. ``""``: the one that receives it; ``None``: the one that has the call."""
    event: Event | InboundCall


class Receipt(Struct, frozen=True):
    """What became of one webhook."""

    verdict: Verdict
    kind: str | None = None
    key: str | None = None
    event: Event | None = None
    new_shape: bool = False
    """No lifecycle knows the event's state, and it is the first of its shape."""


class WebhookReader:
    """Verifies and decodes webhook requests. *limit* is the largest body, in bytes."""

    def __init__(self, urls: CallbackUrls, verifier: Verifier, limit: int) -> None:
        self.urls = urls
        self.limit = limit
        self._verifier = verifier

    def knows(self, path: str) -> bool:
        """Say whether *path* was minted with our secret, so that the body is worth reading. `read` checks it again."""
        return self.urls.parse(self.urls.relative(path)) is not None

    def read(self, path: str, headers: Mapping[str, str], body: bytes) -> Webhook | Receipt:
        """Return the webhook; or a `Receipt`, if there is nothing to deliver.

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
        verifier, url = self._verifier, self.urls.handed_out(path)
        signed = kind != HOLD if reader is None else reader.signed
        # A person configured the URL for inbound calls somewhere, and these requests are documented to be signed.
        if verifier and not verifier.verify(url, body, headers, required=kind == INBOUND, signed=signed):
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
        # An enveloped payload may have an id inside and one outside; neither may be that of another action.
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
    """Read the announcement of an inbound call; or a state of a call, whose webhooks may go to the same URL."""
    inbound = read_inbound(raw)
    if inbound is not None:
        return Webhook(INBOUND, inbound.call_id, None, inbound)
    event = read("call", raw, body)
    if event.call_id is None:
        return Receipt("malformed", INBOUND)
    return Webhook("call", event.call_id, None, event)
