"""Receives webhooks: verifies each, delivers it here or hands it to the process that owns it, and responds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from .._core.registry import Registry
from .._core.webhooks import HOLD, INBOUND, REPLIES, Decision, Receipt, Reply, Shapes, Verdict, Webhook, WebhookReader
from ..events import InboundCall
from .decisions import Decisions

if TYPE_CHECKING:
    from ..backplane.handover import Handover

_log = logging.getLogger("swcalls.ingress")

Dispatch = Callable[[InboundCall], bool]
"""Accepts an inbound call; returns ``False`` if no handler accepts calls."""

Record = Callable[[str, Mapping[str, str], bytes | None, Reply], object]
"""Takes the path, the headers and the body (``None``: it was not read to its end) of a request, and the answer."""

_REFUSED = frozenset({"forged", "foreign", "malformed", "oversized", "busy"})


class Ingress:
    """Takes webhook requests from any HTTP server.

    Args:
        reader: Verifies and decodes requests.
        registry: Gets the events.
        dispatch: Gets the inbound calls; ``None``: inbound calls are refused.
        handover: Passes webhooks on to other processes; ``None``: there is only this process.
        decisions: Decides on inbound calls that are not answered yet; ``None``: no call is held.
    """

    def __init__(
        self,
        reader: WebhookReader,
        registry: Registry,
        dispatch: Dispatch | None = None,
        handover: Handover | None = None,
        decisions: Decisions | None = None,
    ) -> None:
        self.reader = reader
        self.verdicts: Counter[Verdict] = Counter()
        self.observers: list[Callable[[Receipt], object]] = [log_receipt]
        """Called with what became of each webhook. They must not raise."""
        self.recorders: list[Record] = []
        """Called after each request. They must not raise."""
        self._registry = registry
        self._dispatch = dispatch
        self._handover = handover
        self._decisions = decisions
        self._shapes = Shapes()

    async def accept(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Take one POST, and return the response when a crash of this process can no longer lose the webhook."""
        # Requests that come together are all read first, then all delivered, then all answered: so each part of the
        # code runs many times in a row, and stays in the processor's caches. With 64 connections that saves 22 of the
        # 75 us that a request takes. A single request waits two turns of the event loop for it, about 6 us.
        try:
            await asyncio.sleep(0)
        finally:
            # Deliver the webhook even if the sender has gone and this is cancelled: it may never come again.
            reply = self.accept_now(path, headers, body)
        if isinstance(reply, Webhook):
            if reply.kind == HOLD:
                return await self._decide(reply, path, headers, body)
            assert self._handover is not None
            receipt = await self._handover.hand_over(reply, body) or self.deliver(reply, len(body))
            return self._answer(receipt, path, headers, body)
        await asyncio.sleep(0)
        return reply

    def refuse(self, verdict: Verdict, path: str = "", headers: Mapping[str, str] = MappingProxyType({})) -> Reply:
        """Answer a request whose body was not read to its end."""
        return self._answer(Receipt(verdict), path, headers, None)

    def deliver(self, webhook: Webhook, size: int) -> Receipt:
        """Deliver *webhook*, whose body had *size* bytes, to its operation or to the handler of inbound calls."""
        kind, key, event = webhook.kind, webhook.key, webhook.event
        if isinstance(event, InboundCall):
            is_taken = self._dispatch is not None and self._dispatch(event)
            is_held = self._decisions is not None and self._decisions.holds(key)
            return Receipt("inbound" if is_taken else "busy", INBOUND, key, held_by="" if is_held else None)
        verdict = self._registry.deliver(kind, key, event, size, time.monotonic())
        return Receipt(verdict, kind, key, event)

    def platform_told(self, call_id: str, decision: Decision) -> None:
        """Apply a decision that another process has told the platform."""
        if self._decisions is not None:
            self._decisions.platform_told(call_id, decision)

    def note(self, receipt: Receipt) -> None:
        """Count the verdict on a webhook, and pass *receipt* to the observers."""
        receipt = self._shapes.mark(receipt)
        self.verdicts[receipt.verdict] += 1
        for observer in self.observers:
            observer(receipt)

    def accept_now(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply | Webhook:
        """Deliver a request here, and return the response; or return a webhook that another process may own."""
        found = self.reader.read(path, headers, body)
        if isinstance(found, Webhook):
            if found.kind == HOLD:
                return found
            if self._handover is not None and not self._handover.is_ours(found):
                return found
            found = self.deliver(found, len(body))
        return self._answer(found, path, headers, body)

    async def _decide(self, asked: Webhook, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer the request that asks what to do with a call. One that nobody holds is answered."""
        reply = self._answer(Receipt("applied", HOLD, asked.key), path, headers, body)
        return reply if self._decisions is None else await self._decisions.reply(asked.key, asked.owner or "")

    def _answer(self, receipt: Receipt, path: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        self.note(receipt)
        reply = REPLIES[receipt.verdict]
        if receipt.held_by is not None and self._decisions is not None and receipt.key is not None:
            reply = self._decisions.first_document(receipt.key, receipt.held_by) or reply
        for record in self.recorders:
            record(path, headers, body, reply)
        return reply


def log_receipt(receipt: Receipt) -> None:
    """Log the verdict on a webhook. The event is logged with ``%r``, so that a sender cannot forge a log line."""
    verdict, kind = receipt.verdict, receipt.kind
    if verdict in _REFUSED:
        _log.warning("webhook refused: %s (%s)", verdict, kind or "unknown address", extra=_about(receipt))
    elif receipt.new_shape:
        _log.warning("webhook of an unknown event (logged once): %s %.200r", kind, receipt.event, extra=_about(receipt))
    elif _log.isEnabledFor(logging.DEBUG):
        _log.debug("webhook %s: %s %.200r", verdict, kind, receipt.event, extra=_about(receipt))


def _about(receipt: Receipt) -> dict[str, str | None]:
    event = receipt.event
    return {
        "verdict": receipt.verdict,
        "kind": receipt.kind,
        "control_id": None if event is None else event.control_id,
        "call_id": None if event is None else event.call_id,
    }
