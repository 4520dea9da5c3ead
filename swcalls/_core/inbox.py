"""One webhook request, from its bytes to the answer, in the only order that is safe.

Path, signature, JSON, cross-check, delivery: nothing is parsed before it is known to be genuine. Knows no HTTP server:
`accept` takes what any of them has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..commands import PARKED
from ..events import Event, InboundCall, UnknownEvent
from .callbacks import CallbackUrls
from .decoding import READERS, MalformedBody, parse, read, read_inbound
from .fields import text
from .signature import Verifier
from .transitions import Delivered

Verdict = Delivered | Literal[
    "inbound", "busy", "malformed", "forged", "foreign", "oversized", "forwarded", "unavailable"
]  # fmt: skip
"""What became of a request. ``inbound``: a call that comes in, and is taken; ``busy``: nobody takes calls here.
``foreign``: genuine URL, but the payload is about another action. ``forwarded``: it is kept for the process that waits
for it; ``unavailable``: it could not be, and must be sent again."""

INBOUND = "inbound"
"""The kind of the URL at which inbound calls are announced; it has but one key."""

SHAPES_KEPT = 256


class Reply(Struct, frozen=True):
    """What to answer to a webhook request, and why.

    The body is empty, with no detail for whoever guesses, but for an inbound call: then it is a SWML document.
    """

    status: int
    body: bytes
    verdict: Verdict
    content_type: str = "text/plain"
    headers: Mapping[str, str] = MappingProxyType({})


class Forward(Struct, frozen=True):
    """A verified webhook that another process waits for, or perhaps does."""

    owner: str
    """``""``: whoever has the call."""
    kind: str
    key: str
    event: Event | InboundCall


_REPLIES: Mapping[Verdict, Reply] = {
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

Deliver = Callable[[str, str, Event, int], Delivered]
"""Takes kind, key, event and the size of its body."""

Record = Callable[[str, Mapping[str, str], bytes | None, Reply], object]
"""Takes the path, the headers and the body (``None``: it was not read to its end) of a request, and its answer."""


class Receipt(Struct, frozen=True):
    """What an observer of the inbox is told of each request."""

    verdict: Verdict
    kind: str | None = None
    key: str | None = None
    event: Event | None = None
    new_shape: bool = False
    """Nothing here knows what this means, and it is the first of its shape."""


class Inbox:
    """Verifies and decodes webhooks, and passes their events to *deliver*."""

    def __init__(self, urls: CallbackUrls, verifier: Verifier, deliver: Deliver, *, limit: int) -> None:
        self.urls = urls
        self.limit = limit
        self.verdicts: Counter[Verdict] = Counter()
        self.observers: list[Callable[[Receipt], object]] = []
        """Called after each request. They must not raise."""
        self.recorders: list[Record] = []
        """Called after each request as well, with what it was like. They must not raise."""
        self.ring: Callable[[InboundCall], bool] | None = None
        """Takes a call that comes in, or says that it does not."""
        self.is_ours: Callable[[str], bool] | None = None
        """Where processes share a project: whether an owner's deliveries are dealt with here."""
        self._verifier = verifier
        self.deliver = deliver
        self._shapes: set[tuple[str, str | None, str]] = set()

    def accept(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply | Forward:
        """Take in one POST. *path* is the raw one, as sent; a query is ignored.

        What another process may be waiting for is not answered yet: whoever forwards it calls `conclude`.
        """
        receipt = self._judge(self.urls.relative(path), headers, body)
        return receipt if isinstance(receipt, Forward) else self.conclude(receipt, path, headers, body)

    def conclude(self, receipt: Receipt, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer a request as *receipt* says."""
        reply = self._reply(receipt)
        if self.recorders:
            self._record(path, headers, body, reply)
        return reply

    def knows(self, path: str) -> bool:
        """Say whether *path* was minted with our secret: then its body is worth reading. `accept` looks again."""
        return self.urls.parse(self.urls.relative(path)) is not None

    def refuse(self, verdict: Verdict, path: str = "", headers: Mapping[str, str] = MappingProxyType({})) -> Reply:
        """Answer a request that was not read to its end."""
        reply = self._reply(Receipt(verdict))
        self._record(path, headers, None, reply)
        return reply

    def _record(self, path: str, headers: Mapping[str, str], body: bytes | None, reply: Reply) -> None:
        for record in self.recorders:
            record(path, headers, body, reply)

    def note(self, receipt: Receipt) -> None:
        """Count, and tell observers of, what came in by another way than a request."""
        self._reply(receipt)

    def _reply(self, receipt: Receipt) -> Reply:
        self.verdicts[receipt.verdict] += 1
        for observer in self.observers:
            observer(receipt)
        return _REPLIES[receipt.verdict]

    def _judge(self, path: str, headers: Mapping[str, str], body: bytes) -> Receipt | Forward:
        if len(body) > self.limit:
            return Receipt("oversized")
        address = self.urls.parse(path)
        if address is None:
            return Receipt("forged")
        kind, key, owner = address
        reader = READERS.get(kind)
        # A person pasted the URL for inbound calls somewhere, and these are documented to be signed.
        required = kind == INBOUND
        signed = reader is None or reader.signed
        verifier, url = self._verifier, self.urls.handed_out(path)
        if verifier and not verifier.verify(url, body, headers, required=required, signed=signed):
            return Receipt("forged", kind, key)
        try:
            raw = parse(body)
        except MalformedBody:
            return Receipt("malformed", kind, key)
        if kind == INBOUND:
            return self._announce(raw, body)
        if reader is None:
            event: Event = UnknownEvent(state="", payload=body)
            return Receipt("unknown", kind, key, event, self._is_new_shape(kind, event))
        event = read(kind, raw, body)
        # An envelope may have one inside and one outside; neither may be another action's.
        own = (None, key)
        if reader.keyed and (event.control_id not in own or text(raw, "control_id") not in own):
            return Receipt("foreign", kind, key, event)
        kind = reader.about or kind
        if owner and self.is_ours is not None and not self.is_ours(owner):
            return Forward(owner, kind, key, event)
        verdict = self.deliver(kind, key, event, len(body))
        return Receipt(verdict, kind, key, event, verdict == "unknown" and self._is_new_shape(kind, event))

    def _announce(self, raw: dict[str, Any], body: bytes) -> Receipt | Forward:
        """Take an inbound call; or the state of one, whose webhooks may have been pointed here as well."""
        inbound = read_inbound(raw)
        if inbound is not None:
            if self.is_ours is not None:
                return Forward("", INBOUND, inbound.call_id, inbound)
            return self.announce(inbound)
        event = read("call", raw, body)
        if event.call_id is None:
            return Receipt("malformed", INBOUND)
        if self.is_ours is not None:
            return Forward("", "call", event.call_id, event)
        return Receipt(self.deliver("call", event.call_id, event, len(body)), "call", event.call_id, event)

    def announce(self, inbound: InboundCall) -> Receipt:
        """Have a call taken here, if anybody does."""
        taken = self.ring is not None and self.ring(inbound)
        return Receipt("inbound" if taken else "busy", INBOUND, inbound.call_id)

    def _is_new_shape(self, kind: str, event: Event) -> bool:
        event_type = event.event_type if isinstance(event, UnknownEvent) else None
        shape = (kind, event_type, event.state)
        if shape in self._shapes or len(self._shapes) >= SHAPES_KEPT:
            return False
        self._shapes.add(shape)
        return True
