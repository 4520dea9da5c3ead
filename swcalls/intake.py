"""Webhooks as they come in: dealt with here, or handed to the process that waits for them before they are answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from ._core.inbox import INBOUND, Forward, Inbox, Receipt, Reply
from .backplane import Backplane, BackplaneUnavailable, Delivery
from .events import Event, InboundCall
from .keeper import ANNOUNCED

_log = logging.getLogger("swcalls.intake")

ANSWERED = 10.0
"""Seconds after which a webhook is refused that cannot be handed over; the platform itself waits 5 for an answer."""

TURN = 0.5
"""Seconds that a process has to take a call before another one is told of it as well."""

Take = Callable[[InboundCall], Awaitable[str | None]]
"""Takes a call that is announced, if this process takes calls; returns whose it is."""

_REFUSED = frozenset({"forged", "foreign", "malformed", "oversized", "busy"})


class Intake:
    """Takes webhooks in for an *inbox*; the *backplane*, if there is one, has those of other processes."""

    def __init__(
        self, inbox: Inbox, project: str, backplane: Backplane | None = None, take: Take | None = None
    ) -> None:
        self.inbox = inbox
        self.backplane = backplane
        self._project = project
        self._take = take
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
            async with asyncio.timeout(ANSWERED):
                if isinstance(event, InboundCall):
                    return await self._announce(backplane, event, body)
                # While it is announced, whoever takes it must hear of its end too.
                owner = forward.owner or await backplane.find_call(self._project, key, wait=ANNOUNCED) or ""
                if not owner or backplane.holds(owner):
                    return Receipt(self.inbox.deliver(kind, key, event, len(body)), kind, key, event)
                await backplane.publish(self._project, Delivery(owner=owner, kind=kind, key=key, body=body))
        except (BackplaneUnavailable, TimeoutError) as fault:
            _log.warning("a webhook is refused, to be sent again: %r", fault)
            return Receipt("unavailable", kind, key, told)
        return Receipt("forwarded", kind, key, told)

    async def _announce(self, backplane: Backplane, inbound: InboundCall, body: bytes) -> Receipt:
        """Give a call that comes in to one process: this one, if it takes calls, else one that does.

        It is answered once one has it. Told that none has, the platform may repeat it, here or to another process;
        nobody takes it in between, since it is announced for a few seconds only.
        """
        call_id = inbound.call_id
        owner = await backplane.announce_call(self._project, call_id, ANNOUNCED)
        if owner is not None:
            # If it has been told already, it knows that; if it has been started anew since, it does not.
            await backplane.publish(self._project, Delivery(owner=owner, kind=INBOUND, key=call_id, body=body))
        elif self._take is not None:
            owner = await self._take(inbound)
        owner = owner or await self._offer(backplane, call_id, body)
        return Receipt("busy" if owner is None else "inbound", INBOUND, call_id)

    async def _offer(self, backplane: Backplane, call_id: str, body: bytes) -> str | None:
        """Tell processes that take calls of one that is announced, until one has it; return which."""
        told: list[str] = []
        clock = asyncio.get_running_loop().time
        end = clock() + ANNOUNCED
        while clock() < end:
            taker = await backplane.taker(self._project, besides=told)
            if taker is None:
                break
            told.append(taker)
            try:
                await backplane.publish(self._project, Delivery(owner=taker, kind=INBOUND, key=call_id, body=body))
            except BackplaneUnavailable as fault:
                _log.warning("call %s: owner %s cannot be told of it: %s", call_id, taker, fault)
                continue
            owner = await backplane.find_call(self._project, call_id, wait=TURN)
            if owner is not None:
                return owner
        # Those that were told may still take it, for as long as it is announced.
        return await backplane.find_call(self._project, call_id, wait=ANNOUNCED) if told else None


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
