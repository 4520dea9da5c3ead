"""Inbound calls that are not answered yet: the platform asks, by a request that is held, whether to answer.

The first document of such a call makes the request. When nobody decides in time, or this process is gone, the document
itself answers the call and parks it. Not confirmed on a live account.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import msgspec

from .._core.callback_urls import CallbackUrls
from .._core.webhooks import HOLD, Reply
from ..commands.swml import TAIL_CONNECT_TIMEOUT, Answer, Hangup, Request, Sleep, Switch, document

Decision = Literal["answer", "busy", "decline"]

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
    """

    def __init__(self, urls: CallbackUrls, seconds: float, told: Callable[[str, Decision], object]) -> None:
        self.seconds = seconds
        self._urls = urls
        self._told = told
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def expect(self, call_id: str) -> None:
        """Hold the call *call_id*."""
        self._held[call_id] = _Held()
        if len(self._held) > MOST_HELD:
            self._held.popitem(last=False)[1].decide("answer")

    def announced(self, call_id: str) -> Reply | None:
        """Return the first document of a call that is held; ``None``: it is not."""
        if call_id not in self._held:
            return None
        ask = Request(
            self._urls.mint(HOLD, call_id),
            headers={"Content-Type": "application/json"},
            body={"call_id": call_id},
            connect_timeout=TAIL_CONNECT_TIMEOUT,
            timeout=self.seconds + ANSWER_MARGIN,
            save_variables=True,
        )
        refusals = {"busy": [Hangup("busy")], "decline": [Hangup("decline")]}
        swml = document([ask, Switch("request_response.action", refusals, [Answer(), Sleep(-1)])])
        return Reply(200, msgspec.json.encode(swml), "inbound", "application/json")

    def decide(self, call_id: str, decision: Decision) -> Decision | None:
        """Decide on a call, unless that is done; return what was decided; ``None``: the call is not held."""
        held = self._held.get(call_id)
        if held is None:
            return None
        held.decide(decision)
        return held.decision

    async def reply(self, call_id: str) -> Reply:
        """Hold the platform's request until somebody decides, and return the answer."""
        held = self._held.get(call_id)
        if held is None:
            return _reply("answer")
        try:
            async with asyncio.timeout(self.seconds):
                await held.made.wait()
        except TimeoutError:
            held.decide("answer")
        decision = held.decision or "answer"
        if not held.told.is_set():
            held.told.set()
            self._told(call_id, decision)
        return _reply(decision)

    async def platform_told(self, call_id: str) -> None:
        """Return when the platform has asked for the decision; or after as long as a request is held."""
        held = self._held.get(call_id)
        if held is None or held.told.is_set():
            return
        try:
            async with asyncio.timeout(self.seconds):
                await held.told.wait()
        except TimeoutError:
            # The request was lost, and the document has answered the call.
            held.told.set()
            self._told(call_id, "answer")


def _reply(decision: Decision) -> Reply:
    return Reply(200, msgspec.json.encode({"action": decision}), "applied", "application/json")
