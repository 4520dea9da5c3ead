"""The backplane of a simulated project: one in memory, whose operations take time and go wrong as is planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from memory import Fault, MemoryBackplane, MemoryHub

from swcalls.backplane import BackplaneUnavailable

from .space import Plan

T = TypeVar("T")

_TIMES = {"slow": 3.0, "hangs": 60.0}
DELAY = 0.002
_FAULTS = {"unavailable": Fault.FAIL, "done, but unavailable": Fault.LOSE_ANSWER, "twice": Fault.TWICE}


class Hub(MemoryHub):
    """What all processes share."""

    def __init__(self, clock: Callable[[], float], plan: Plan) -> None:
        super().__init__(clock)
        self.plan = plan

    def member(self, owner: str) -> MemoryBackplane:
        """Make the backplane of one process."""
        return Member(self, owner)

    def kept(self) -> set[str]:
        """Return the keys, and the ids of calls, that a successor of a process would find."""
        memos = [memo for memos in self.memos.values() for memo in memos.values()]
        waiting = [entry.delivery for stream in self.streams.values() for entry in stream]
        return {
            *(memo.key for memo in memos),
            *(memo.call_id or "" for memo in memos),
            *(delivery.key for delivery in waiting),
        }


class Member(MemoryBackplane):
    """The backplane of one process."""

    _hub: Hub

    async def _operate(self, name: str, do: Callable[[], T], **how: Any) -> T:
        hub = self._hub
        fault = hub.plan.next("backplane")
        # One that hangs is given up some day, as a connection to a server is.
        await asyncio.sleep(_TIMES.get(fault or "", DELAY))
        if self._is_gone:
            # What is left of a dead process in this one is only to be tidied up.
            raise BackplaneUnavailable(f"{name}: the process is dead")
        if fault == "hangs" and name != "remember":
            raise BackplaneUnavailable(f"{name}: no answer, on purpose")
        hub.faults = {len(hub.operations): _FAULTS[fault]} if fault in _FAULTS else {}
        return await super()._operate(name, do, **how)
