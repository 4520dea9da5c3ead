"""Which inbound calls are held before they are answered, and what is decided on them, in all processes of a project.

The backplane gives an inbound call to the first process that takes it. A decision on a held call is stored with the
same methods: a record is announced, and the first decision that is written into it counts. So the process that runs the
handler and the process that gets the platform's question agree, in whatever order they come, and however often the
platform asks.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast, get_args

import msgspec

from .._core.webhooks import HOLD, Decision
from .protocol import Backplane, BackplaneUnavailable, Delivery

_log = logging.getLogger("swcalls.handover")

LATEST_QUESTION = 60.0
"""Seconds that the platform's question may come later than the handler starts."""
STORED = 3.0
"""Seconds that the backplane may take to store something."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before the backplane is asked again after it has failed; they double from the first to the longest."""

# No owner has a colon in its name.
_WORDS: dict[str, Decision] = {f"decision:{word}": word for word in get_args(Decision)}


class HeldCalls:
    """The held calls of *project*, on a *backplane*; a question of the platform is held for *seconds*."""

    def __init__(self, backplane: Backplane, project: str, seconds: float) -> None:
        self.seconds = seconds
        self._backplane = backplane
        self._project = project
        self._one_at_a_time = asyncio.Lock()

    async def hold(self, call_id: str, owner: str) -> None:
        """Hold the call *call_id*, if *owner* gets it. Called before *owner* takes the call; may be called again.

        Raises:
            BackplaneUnavailable: The call may or may not be held.
        """
        held = _record(call_id, "held", owner)
        async with self._one_at_a_time:
            if await self._backplane.announce_call(self._project, held, LATEST_QUESTION) is None:
                # Announced once only: another announcement would delete a decision.
                seconds = LATEST_QUESTION + self.seconds
                await self._backplane.announce_call(self._project, _record(call_id, "decision", owner), seconds)
                await self._backplane.take_call(self._project, held, owner)

    async def is_held(self, call_id: str, owner: str) -> bool:
        """Return whether *owner*, which has the call, holds it.

        Raises:
            BackplaneUnavailable: The backplane cannot be reached.
        """
        return await self._backplane.find_call(self._project, _record(call_id, "held", owner)) is not None

    async def decide(self, call_id: str, owner: str, decision: Decision, within: float | None = None) -> Decision:
        """Decide on a call that *owner* holds, unless that is done; return what was decided.

        A call on which nobody has decided for too long counts as answered.

        Args:
            within: Seconds for which a backplane that cannot be reached is asked again; default: as long as a question
                is held.
        """
        record, word, pause = _record(call_id, "decision", owner), f"decision:{decision}", FIRST_PAUSE
        try:
            async with asyncio.timeout(self.seconds if within is None else within):
                while True:
                    try:
                        async with asyncio.timeout(STORED):
                            found = await self._backplane.take_call(self._project, record, word)
                        return _WORDS.get(found or "", "answer")
                    except (BackplaneUnavailable, TimeoutError) as fault:
                        _log.info("call %s: the decision %r is stored again: %r", call_id, decision, fault)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
        except TimeoutError:
            _log.warning("call %s: perhaps answered, since the decision %r cannot be stored", call_id, decision)
        return decision

    async def decided(self, call_id: str, owner: str) -> Decision:
        """Wait for the decision on a call that *owner* holds; when there is none in time, decide to answer."""
        record, pause, clock = _record(call_id, "decision", owner), FIRST_PAUSE, asyncio.get_running_loop().time
        until = clock() + self.seconds
        try:
            async with asyncio.timeout_at(until):
                while True:
                    try:
                        found = await self._backplane.find_call(self._project, record, wait=max(0.0, until - clock()))
                        break
                    except BackplaneUnavailable as fault:
                        _log.info("call %s: the backplane is asked again for the decision: %r", call_id, fault)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
        except TimeoutError:
            found = None
        # The platform does not wait much longer.
        return await self.decide(call_id, owner, "answer", STORED) if found is None else _WORDS.get(found, "answer")

    async def tell(self, call_id: str, owner: str, decision: Decision) -> None:
        """Let *owner* know that the platform is told *decision*. If that fails, *owner* assumes it after a while."""
        body = msgspec.json.encode({"action": decision})
        try:
            async with asyncio.timeout(STORED):
                await self._backplane.publish(self._project, Delivery(owner=owner, kind=HOLD, key=call_id, body=body))
        except (BackplaneUnavailable, TimeoutError) as fault:
            _log.warning("call %s: process %s is not told what the platform was told: %r", call_id, owner, fault)


def decision_in(raw: dict[str, object]) -> Decision | None:
    """Return the decision in the body that `HeldCalls.tell` has made; ``None``: there is none."""
    word = raw.get("action")
    return cast(Decision, word) if word in get_args(Decision) else None


def _record(call_id: str, what: str, owner: str) -> str:
    """Return the name of a record; each owner has its own, since a call of a dead owner may get another one."""
    return f"{call_id}/{what}/{owner}"
