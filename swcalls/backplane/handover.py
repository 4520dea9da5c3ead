"""Hands webhooks to the process that owns them, and inbound calls to one process that takes calls. Knows no HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from .._core.webhooks import INBOUND, Receipt, Webhook
from ..events import Event, InboundCall
from .protocol import Backplane, BackplaneUnavailable, Delivery

_log = logging.getLogger("swcalls.handover")

ANNOUNCED = 3.0
"""Seconds for which the first process that asks may take an inbound call; the platform itself waits 5 for an answer."""

ANSWERED = 10.0
"""Seconds after which a webhook is refused that cannot be handed over; the platform itself waits 5 for an answer."""

TURN = 0.5
"""Seconds that a process has to take an inbound call before another process is told of it as well."""


class Dispatcher(Protocol):
    """Runs the handler for inbound calls in this process."""

    @property
    def takes_calls(self) -> bool:
        """Whether inbound calls are taken now."""
        ...

    def dispatch(self, inbound: InboundCall, *, promised: bool = False) -> bool:
        """Take a call, if calls are taken; *promised*: even if they are refused by now."""
        ...


class Handover:
    """Passes webhooks to other processes over a *backplane*; *dispatcher* takes inbound calls in this one."""

    def __init__(self, backplane: Backplane, project: str, dispatcher: Dispatcher | None = None) -> None:
        self._backplane = backplane
        self._project = project
        self._dispatcher = dispatcher
        self._takes: set[asyncio.Task[str | None]] = set()

    def is_ours(self, webhook: Webhook) -> bool:
        """Say whether *webhook* is certainly delivered in this process."""
        owner = webhook.owner
        return owner is not None and (not owner or self._backplane.holds(owner))

    async def hand_over(self, webhook: Webhook, body: bytes) -> Receipt | None:
        """Pass *webhook* on to the process that owns it; ``None``: this process does."""
        backplane, kind, key, event = self._backplane, webhook.kind, webhook.key, webhook.event
        told = event if isinstance(event, Event) else None
        try:
            async with asyncio.timeout(ANSWERED):
                if isinstance(event, InboundCall):
                    return await self._announce(event, body)
                # While the call is announced, the process that takes it must hear of its end too.
                owner = webhook.owner or await backplane.find_call(self._project, key, wait=ANNOUNCED) or ""
                if not owner or backplane.holds(owner):
                    return None
                await backplane.publish(self._project, Delivery(owner=owner, kind=kind, key=key, body=body))
        except (BackplaneUnavailable, TimeoutError) as fault:
            _log.warning("a webhook is refused, to be sent again: %r", fault)
            return Receipt("unavailable", kind, key, told)
        return Receipt("forwarded", kind, key, told)

    def begin_to_take(self, inbound: InboundCall) -> asyncio.Task[str | None] | None:
        """Take a call that is announced, in a task whose result is the call's owner; ``None``: calls are not taken."""
        # A call that was promised to this process is handled, even if the process refuses calls by then.
        if self._dispatcher is None or not self._dispatcher.takes_calls:
            return None
        task = asyncio.get_running_loop().create_task(self._take(inbound, self._dispatcher))
        self._takes.add(task)
        task.add_done_callback(self._took)
        return task

    async def taken(self) -> None:
        """Return when the handlers of the calls that are being taken have begun."""
        if self._takes:
            await asyncio.wait(self._takes, timeout=ANNOUNCED)

    def cancel(self) -> set[asyncio.Task[str | None]]:
        """Cancel the tasks that take calls, and return them to be awaited."""
        takes = set(self._takes)
        for take in takes:
            take.cancel()
        return takes

    async def _announce(self, inbound: InboundCall, body: bytes) -> Receipt:
        """Give an inbound call to one process: this one, if it takes calls, else another one that does.

        The platform is answered when a process has the call. If none has it, the platform may announce it again, here
        or to another process; nobody takes the call in between, since the announcement lasts a few seconds only.
        """
        backplane, call_id = self._backplane, inbound.call_id
        owner = await backplane.announce_call(self._project, call_id, ANNOUNCED)
        if owner is not None:
            # The owner knows the call already, unless it was restarted since.
            await backplane.publish(self._project, Delivery(owner=owner, kind=INBOUND, key=call_id, body=body))
        elif (take := self.begin_to_take(inbound)) is not None:
            await asyncio.wait([take], timeout=ANNOUNCED)
            if not take.done():
                raise BackplaneUnavailable(f"call {call_id}: not taken within {ANNOUNCED:g} s")
            owner = take.result()
        owner = owner or await self._offer(call_id, body)
        return Receipt("busy" if owner is None else "inbound", INBOUND, call_id)

    async def _offer(self, call_id: str, body: bytes) -> str | None:
        """Tell one process after another of a call that is announced, until one has taken it; return which."""
        backplane, told = self._backplane, list[str]()
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
        # A process that was told may still take the call, for as long as it is announced.
        return await backplane.find_call(self._project, call_id, wait=ANNOUNCED) if told else None

    async def _take(self, inbound: InboundCall, dispatcher: Dispatcher) -> str | None:
        backplane, owner, pause = self._backplane, self._backplane.owner, 0.05
        while backplane.holds(owner):
            try:
                async with asyncio.timeout(ANNOUNCED):
                    taken_by = await backplane.take_call(self._project, inbound.call_id, owner)
            except (BackplaneUnavailable, TimeoutError) as fault:
                # The call may be ours now, or not: the next question tells.
                _log.info("call %s: asked again whose it is: %r", inbound.call_id, fault)
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
            _log.error("an inbound call was not taken", exc_info=task.exception())
