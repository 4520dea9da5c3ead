"""Inbound calls that are not answered yet: the platform asks, by a request that is held, whether to answer.

The first document of such a call makes the request. When nobody decides in time, or the process that gets the request
is gone, the document itself answers the call and parks it. Not confirmed on a live account.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from .._core.callback_urls import CallbackUrls
from .._core.webhooks import HOLD, Decision, Reply
from ..commands.swml import TAIL_CONNECT_TIMEOUT, Answer, Hangup, Request, Sleep, Switch, document

if TYPE_CHECKING:
    from ..backplane.held_calls import HeldCalls

_log = logging.getLogger("swcalls.inbound")

MOST_HELD = 4096
"""How many calls are remembered; of more, the oldest is answered."""
ANSWER_MARGIN = 5.0
"""Seconds that the platform waits longer than the request is held, so that it gets the answer."""


class _Held:
    """One call: what was decided, and whether the platform has been told."""

    def __init__(self) -> None:
        self.decision: Decision | None = None
        self.made: asyncio.Event = asyncio.Event()
        self.told: asyncio.Event = asyncio.Event()

    def decide(self, decision: Decision) -> None:
        if self.decision is None:
            self.decision = decision
            self.made.set()


class Decisions:
    """What is decided on the calls that are held.

    Args:
        urls: Mints the URL of the request.
        seconds: How long a request is held.
        told: Called with a call's id and the decision, when the platform is told.
        owner: The name of this process; ``""``: it is the only one.
        shared: The decisions of all processes; ``None``: this process is the only one.
    """

    def __init__(
        self,
        urls: CallbackUrls,
        seconds: float,
        told: Callable[[str, Decision], object],
        owner: str = "",
        shared: HeldCalls | None = None,
    ) -> None:
        self._seconds = seconds
        self._urls = urls
        self._told = told
        self._owner = owner
        self._shared = shared
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def expect(self, call_id: str) -> None:
        """Hold the call *call_id*, on which this process decides."""
        self._held[call_id] = _Held()
        if len(self._held) > MOST_HELD:
            self._held.popitem(last=False)[1].decide("answer")

    def holds(self, call_id: str) -> bool:
        """Return whether this process decides on the call *call_id*."""
        return call_id in self._held

    def first_document(self, call_id: str, owner: str) -> Reply | None:
        """Return the first document of a call that *owner* holds; ``None``: there is no URL for the question."""
        if self._urls.public_url is None:
            _log.error("call %s: answered before its handler decides, since this receiver has no public_url", call_id)
            return None
        ask = Request(
            self._urls.mint(HOLD, call_id, owner=owner),
            headers={"Content-Type": "application/json"},
            body={"call_id": call_id},
            connect_timeout=TAIL_CONNECT_TIMEOUT,
            timeout=self._seconds + ANSWER_MARGIN,
            save_variables=True,
        )
        refusals = {"busy": [Hangup("busy")], "decline": [Hangup("decline")]}
        swml = document([ask, Switch("request_response.action", refusals, [Answer(), Sleep(-1)])])
        return Reply(200, msgspec.json.encode(swml), "inbound", "application/json")

    async def decide(self, call_id: str, decision: Decision) -> Decision | None:
        """Decide on a call, unless that is done; return what was decided; ``None``: this process does not hold it."""
        held = self._held.get(call_id)
        if held is None:
            return None
        if held.decision is None and self._shared is not None:
            decision = await self._shared.decide(call_id, self._owner, decision)
        held.decide(decision)
        return held.decision

    async def reply(self, call_id: str, owner: str) -> Reply:
        """Hold the platform's request until *owner* decides, and return the answer."""
        decision: Decision = "answer"
        held = self._held.get(call_id) if owner == self._owner else None
        if held is not None:
            try:
                async with asyncio.timeout(self._seconds):
                    await held.made.wait()
            except TimeoutError:
                await self.decide(call_id, "answer")
            decision = held.decision or "answer"
            self.platform_told(call_id, decision)
        elif self._shared is not None and owner:
            decision = await self._shared.decided(call_id, owner)
            await self._shared.tell(call_id, owner, decision)
        return Reply(200, msgspec.json.encode({"action": decision}), "applied", "application/json")

    def platform_told(self, call_id: str, decision: Decision) -> None:
        """Apply what the platform was told, by this process or by another one."""
        held = self._held.get(call_id)
        if held is not None:
            if held.told.is_set():
                return
            held.decide(decision)
            held.told.set()
        self._told(call_id, decision)

    async def until_told(self, call_id: str) -> None:
        """Return when the platform has asked for the decision; or after as long as a request is held."""
        held = self._held.get(call_id)
        if held is None or held.told.is_set():
            return
        try:
            async with asyncio.timeout(self._seconds):
                await held.told.wait()
        except TimeoutError:
            # The request was lost, and the document has answered the call.
            self.platform_told(call_id, "answer")
