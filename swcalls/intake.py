"""Webhooks as they come in: dealt with here, or handed to the process that waits for them before they are answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from ._core.inbox import INBOUND, Forward, Inbox, Receipt, Reply
from .backplane import Backplane, BackplaneUnavailable, Delivery
from .events import Event, InboundCall

_log = logging.getLogger("swcalls.intake")

_REFUSED = frozenset({"forged", "foreign", "malformed", "oversized", "busy"})


class Intake:
    """Takes webhooks in for an *inbox*; the *backplane*, if there is one, has those of other processes."""

    def __init__(self, inbox: Inbox, project: str, backplane: Backplane | None = None) -> None:
        self.inbox = inbox
        self.backplane = backplane
        self._project = project
        if backplane is not None:
            inbox.is_ours = backplane.holds

    async def accept(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Take in one POST, and say what to answer, once it is where a crash of this process cannot lose it."""
        # What comes at once is all read before any of it is judged, and all judged before any is answered: so each part
        # of the code runs many times in a row, and stays in the processor's caches. With 64 connections that saves 22
        # of the 75 us that a request takes; one that comes alone has two turns of the event loop to wait, some 6 us.
        try:
            await asyncio.sleep(0)
        finally:
            # Even if nobody is left to be answered, the webhook is here now, and may never come again.
            found = self.inbox.accept(path, headers, body)
        if isinstance(found, Forward):
            receipt = await self._handed_over(found, body)
            return self.inbox.conclude(receipt, path, headers, body)
        await asyncio.sleep(0)
        return found

    async def _handed_over(self, forward: Forward, body: bytes) -> Receipt:
        backplane, kind, key, event = self.backplane, forward.kind, forward.key, forward.event
        assert backplane is not None
        told = event if isinstance(event, Event) else None
        try:
            if isinstance(event, InboundCall):
                return await self._announce(backplane, event, body)
            owner = forward.owner or await backplane.find_call(self._project, key) or ""
            if not owner or backplane.holds(owner):
                return Receipt(self.inbox.deliver(kind, key, event, len(body)), kind, key, event)
            await backplane.publish(self._project, Delivery(owner=owner, kind=kind, key=key, body=body))
        except BackplaneUnavailable as fault:
            _log.warning("a webhook is refused, to be sent again: %s", fault)
            return Receipt("unavailable", kind, key, told)
        return Receipt("forwarded", kind, key, told)

    async def _announce(self, backplane: Backplane, inbound: InboundCall, body: bytes) -> Receipt:
        """Give a call that comes in to one process: this one, if it takes calls, else one that does."""
        call_id = inbound.call_id
        takes_calls = self.inbox.ring is not None
        wanted = backplane.owner if takes_calls else await backplane.taker(self._project)
        if wanted is None:
            return Receipt("busy", INBOUND, call_id)
        owner = await backplane.take_call(self._project, call_id, wanted)
        if takes_calls and backplane.holds(owner):
            return self.inbox.announce(inbound)
        if owner == wanted:
            await backplane.publish(self._project, Delivery(owner=owner, kind=INBOUND, key=call_id, body=body))
        return Receipt("inbound", INBOUND, call_id)


def log_receipt(receipt: Receipt) -> None:
    """Log what an operator should know of a webhook; nothing in it can forge a line."""
    verdict, kind = receipt.verdict, receipt.kind
    if verdict in _REFUSED:
        _log.warning("webhook refused: %s (%s)", verdict, kind or "unknown address", extra=_about(receipt))
    elif receipt.new_shape:
        _log.warning("webhook of a shape never seen: %s %.200r", kind, receipt.event, extra=_about(receipt))
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
