"""Hands webhooks to the process that owns them, and inbound calls to one process that accepts calls. Knows no HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Protocol

from .._core.webhooks import INBOUND, Receipt, Webhook
from ..events import Event, InboundCall
from .held_calls import HeldCalls
from .protocol import Backplane, BackplaneUnavailable, Delivery

_log = logging.getLogger("swcalls.handover")

ANNOUNCED = 3.0
"""Seconds for which an inbound call is announced, and processes may take it. The platform waits 5 s for a response."""

ANSWERED = 10.0
"""Seconds after which a webhook that cannot be handed over is refused. The platform waits 5 s for a response."""

TURN = 0.5
"""Seconds that a process has to take an inbound call before the call is offered to another process as well."""

MOST_ADDRESSES, MOST_PASSED = 1024, 64
"""For how many addresses it is remembered which processes do not take their calls, and how many processes for each."""


class Dispatcher(Protocol):
    """Runs the handler for inbound calls in this process."""

    def takes(self, inbound: InboundCall) -> bool:
        """Return whether this call is accepted now: there is a handler for the address that was called."""
        ...

    def holds(self, inbound: InboundCall) -> bool:
        """Return whether a call is held until its handler decides on it, if this process gets the call."""
        ...

    def dispatch(self, inbound: InboundCall, *, promised: bool = False) -> bool:
        """Run the handler for a call, if calls are accepted; *promised*: even if they are refused by now."""
        ...


class Handover:
    """Passes webhooks to other processes over a *backplane*.

    Args:
        dispatcher: Accepts inbound calls in this process; ``None``: it accepts none.
        held_calls: Knows which calls are held before they are answered; ``None``: no call is.
    """

    def __init__(
        self,
        backplane: Backplane,
        project: str,
        dispatcher: Dispatcher | None = None,
        held_calls: HeldCalls | None = None,
    ) -> None:
        self._backplane = backplane
        self._project = project
        self._dispatcher = dispatcher
        self._held_calls = held_calls
        self._takes: set[asyncio.Task[str | None]] = set()
        self._passed = _Passed()

    def is_ours(self, webhook: Webhook) -> bool:
        """Return whether *webhook* certainly belongs to this process."""
        owner = webhook.owner
        return owner is not None and (not owner or self._backplane.holds(owner))

    async def hand_over(self, webhook: Webhook, body: bytes) -> Receipt | None:
        """Pass *webhook* on to the process that owns it; return ``None`` if this process owns it."""
        backplane, kind, key, event = self._backplane, webhook.kind, webhook.key, webhook.event
        noted = event if isinstance(event, Event) else None
        try:
            async with asyncio.timeout(ANSWERED):
                if isinstance(event, InboundCall):
                    return await self._announce(event, body)
                # A call without an owner may be announced just now: wait, so that its new owner gets this webhook too.
                owner = webhook.owner or await backplane.find_call(self._project, key, wait=ANNOUNCED) or ""
                if not owner or backplane.holds(owner):
                    return None
                await backplane.publish(self._project, Delivery(owner=owner, kind=kind, key=key, body=body))
        except (BackplaneUnavailable, TimeoutError) as fault:
            _log.warning("a webhook is refused with 503, so that the platform sends it again: %r", fault)
            return Receipt("unavailable", kind, key, noted)
        return Receipt("forwarded", kind, key, noted)

    def begin_to_take(self, inbound: InboundCall) -> asyncio.Task[str | None] | None:
        """Take an announced call, in a task that returns its owner; ``None``: this process does not accept it."""
        # Once this process owns the call, its handler runs, even if the process refuses calls by then.
        if self._dispatcher is None or not self._dispatcher.takes(inbound):
            return None
        task = asyncio.get_running_loop().create_task(self._take(inbound, self._dispatcher))
        self._takes.add(task)
        task.add_done_callback(self._took)
        return task

    async def taken(self) -> None:
        """Wait until the handlers of the calls that this process is taking have started."""
        if self._takes:
            await asyncio.wait(self._takes, timeout=ANNOUNCED)

    def cancel(self) -> set[asyncio.Task[str | None]]:
        """Cancel the tasks that take calls, and return them to be awaited."""
        takes = set(self._takes)
        for take in takes:
            take.cancel()
        return takes

    async def _announce(self, inbound: InboundCall, body: bytes) -> Receipt:
        """Give an inbound call to one process: this one, if it accepts calls, else another one that does.

        The response is sent when a process has the call. If no process takes the call, the platform may announce it
        again, here or to another process; no process can take it in between, since the announcement has expired.
        """
        backplane, call_id = self._backplane, inbound.call_id
        owner = await backplane.announce_call(self._project, call_id, ANNOUNCED)
        if owner is not None:
            # Usually the owner has the call already; a restarted owner gets it again.
            await backplane.publish(self._project, Delivery(owner=owner, kind=INBOUND, key=call_id, body=body))
        elif (take := self.begin_to_take(inbound)) is not None:
            await asyncio.wait([take], timeout=ANNOUNCED)
            if not take.done():
                raise BackplaneUnavailable(f"call {call_id}: this process did not take the call within {ANNOUNCED:g} s")
            owner = take.result()
        owner = owner or await self._offer(call_id, inbound.to or "", body)
        if owner is None:
            return Receipt("busy", INBOUND, call_id)
        return Receipt("inbound", INBOUND, call_id, held_by=owner if await self._is_held(inbound, owner) else None)

    async def _is_held(self, inbound: InboundCall, owner: str) -> bool:
        """Return whether *owner*, which has the call, decides whether it is answered."""
        if self._held_calls is None:
            return False
        if self._dispatcher is not None and owner == self._backplane.owner:
            return self._dispatcher.holds(inbound)
        return await self._held_calls.is_held(inbound.call_id, owner)

    async def _offer(self, call_id: str, to: str, body: bytes) -> str | None:
        """Offer an announced call to one process after another until one takes it; return its owner or ``None``.

        A process that has no handler for *to* does not take the call, and does not say so. It is asked last the next
        time that *to* is called.
        """
        backplane, offered_to = self._backplane, list[str]()
        clock = asyncio.get_running_loop().time
        end = clock() + ANNOUNCED
        while clock() < end:
            passed = self._passed.owners(to)
            taker = await backplane.taker(self._project, besides=[*offered_to, *passed])
            if taker is None and passed:
                taker = await backplane.taker(self._project, besides=offered_to)
            if taker is None:
                break
            offered_to.append(taker)
            try:
                await backplane.publish(self._project, Delivery(owner=taker, kind=INBOUND, key=call_id, body=body))
            except BackplaneUnavailable as fault:
                _log.warning("call %s: cannot be offered to process %s: %s", call_id, taker, fault)
                continue
            owner = await backplane.find_call(self._project, call_id, wait=TURN)
            self._passed.note(to, taker, has_passed=owner is None)
            if owner is not None:
                return owner
        # A process that got the offer may take the call as long as it is announced.
        return await backplane.find_call(self._project, call_id, wait=ANNOUNCED) if offered_to else None

    async def _take(self, inbound: InboundCall, dispatcher: Dispatcher) -> str | None:
        backplane, owner, pause = self._backplane, self._backplane.owner, 0.05
        while backplane.holds(owner):
            try:
                async with asyncio.timeout(ANNOUNCED):
                    # Before the call is taken: who waits for an owner then asks at once whether the owner holds it.
                    if self._held_calls is not None and dispatcher.holds(inbound):
                        await self._held_calls.hold(inbound.call_id, owner)
                    taken_by = await backplane.take_call(self._project, inbound.call_id, owner)
            except (BackplaneUnavailable, TimeoutError) as fault:
                # This process may own the call now, or not: ask again.
                _log.info("call %s: asking the backplane again who owns it: %r", inbound.call_id, fault)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
                continue
            if taken_by is not None and backplane.holds(taken_by):
                dispatcher.dispatch(inbound, promised=True)
            return taken_by
        return None

    def _took(self, task: asyncio.Task[str | None]) -> None:
        self._takes.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("taking an inbound call failed", exc_info=task.exception())


class _Passed:
    """Which processes did not take a call to an address when it was their turn. The latest of each are remembered."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, list[str]] = OrderedDict()

    def owners(self, to: str) -> list[str]:
        """Return the processes that did not take the latest call to *to* that they were offered."""
        return self._owners.get(to, [])

    def note(self, to: str, owner: str, *, has_passed: bool) -> None:
        """Note whether *owner* has passed."""
        others = [other for other in self._owners.pop(to, []) if other != owner]
        if has_passed:
            others = [*others, owner][-MOST_PASSED:]
        if others:
            self._owners[to] = others
            if len(self._owners) > MOST_ADDRESSES:
                self._owners.popitem(last=False)
