"""Starts, replaces and ends the SWML documents of simulated calls. Knows no particular step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from swcalls.commands import PARKED, Dial

from ..calls import SimulatedCall
from ..wire import Wire
from .line import Conference
from .rules import sections_of
from .script import Script

MOST_TRANSFERS = 32
"""How many transfers a call may have in all. Source: SWML wire facts, section 1.3."""

PlaceCall = Callable[[Dial], SimulatedCall]
_PARKED = PARKED["sections"]["main"]


class _Plan:
    """The documents of one call, and their variables, which last as long as the call."""

    def __init__(self) -> None:
        self.document: dict[str, Any] | None = None
        """What is to be run once the call is answered."""
        self.variables: dict[str, Any] = {}
        self.transfers = 0
        self.script: Script | None = None
        self.task: asyncio.Task[None] | None = None
        self.watchers: set[asyncio.Event] = set()
        """Set whenever the call enters a state."""


class Scripts:
    """Runs one document on each call at a time. A new one replaces it, and the end of the call ends it."""

    def __init__(self, wire: Wire, place_call: PlaceCall) -> None:
        self.wire = wire
        self.place_call = place_call
        self.conferences: dict[str, Conference] = {}
        """Those that are going on, by name."""
        self._plans: dict[str, _Plan] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def expect(self, call: SimulatedCall, document: dict[str, Any] | None) -> None:
        """Run *document* on *call* once it is answered."""
        self._plan(call).document = document

    def redirect(self, call: SimulatedCall, document: dict[str, Any]) -> None:
        """Run *document* on *call* from now on: at once, or, on one that was dialled, once it is answered."""
        plan = self._plan(call)
        if call.state == "answered" or call.direction == "inbound":
            is_allowed = not self.wire.dice.faults.redirects_count or self.transferred(call)
            self._begin(call, plan, document, is_allowed=is_allowed)
        else:
            plan.document = document

    def entered(self, call: SimulatedCall) -> None:
        """Called when *call* has entered a state."""
        plan = self._plans.pop(call.id, _Plan()) if call.state == "ended" else self._plan(call)
        for watcher in plan.watchers:
            watcher.set()
        if call.state == "ended":
            if plan.task is not None:
                plan.task.cancel()
            if call.line is not None:
                call.line.leave(call)
        elif call.state == "answered" and plan.document is not None:
            document, plan.document = plan.document, None
            self._begin(call, plan, document)

    def variables(self, call: SimulatedCall) -> dict[str, Any]:
        """Return the variables of *call*, which last as long as it does."""
        return self._plan(call).variables

    def transferred(self, call: SimulatedCall) -> bool:
        """Count a transfer, and say whether it was within the limit."""
        plan = self._plan(call)
        plan.transfers += 1
        return plan.transfers <= MOST_TRANSFERS

    async def until(self, calls: Sequence[SimulatedCall], *states: str) -> None:
        """Return once one of *calls* is in one of *states*, or all have ended."""
        woken = asyncio.Event()
        plans = [self._plan(call) for call in calls if call.state != "ended"]
        for plan in plans:
            plan.watchers.add(woken)
        try:
            while not any(call.state in states for call in calls) and any(call.state != "ended" for call in calls):
                woken.clear()
                await woken.wait()
        finally:
            for plan in plans:
                plan.watchers.discard(woken)

    async def begun(self, call_id: str) -> None:
        """Return once the document that runs on this call, if any does, has to wait for something."""
        plan = self._plans.get(call_id)
        if plan is not None and plan.script is not None:
            await plan.script.begun.wait()

    async def close(self) -> None:
        """Stop every document, and run no more."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, call: SimulatedCall, plan: _Plan, document: dict[str, Any], *, is_allowed: bool = True) -> None:
        sections = sections_of(document)
        if sections is None or self._is_closed:
            return
        before, plan.task = plan.task, None
        if before is not None:
            before.cancel()
        if sections["main"] == _PARKED and before is None and is_allowed:
            # By far the most frequent document, which needs nobody to run it.
            call.answer()
            return
        plan.script = script = Script(self, call, sections, is_allowed=is_allowed)
        plan.task = task = asyncio.get_running_loop().create_task(script.run(before))
        self._tasks.add(task)
        self.wire.deliveries.work_begins()
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.wire.deliveries.work_ends()

    def _plan(self, call: SimulatedCall) -> _Plan:
        plan = self._plans.get(call.id)
        if plan is None:
            plan = self._plans[call.id] = _Plan()
        return plan
