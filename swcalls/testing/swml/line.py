"""What connects calls: whoever speaks or presses a digit on one of them is heard on the others."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from ..calls import SimulatedCall
from .rules import JoinConference


class Bridge:
    """Two calls, each of which hears the other, until one of them ends or they are parted."""

    def __init__(self, ours: SimulatedCall, peer: SimulatedCall) -> None:
        self.over: asyncio.Event = asyncio.Event()
        self.was_parted: bool = False
        """A command has parted the two, which leaves both calls up."""
        self._calls = (ours, peer)
        for call in self._calls:
            call.line = self

    def others(self, call: SimulatedCall) -> list[SimulatedCall]:
        """Return who hears *call*."""
        return [other for other in self._calls if other is not call]

    def part(self) -> None:
        """Part the two, and leave both up."""
        self.was_parted = True
        self.leave(self._calls[0])

    def leave(self, call: SimulatedCall) -> None:
        """Part the two; a second time nothing happens."""
        for end in self._calls:
            if end.line is self:
                end.line = None
        self.over.set()


class Conference:
    """Any number of calls that hear each other, once somebody has started it.

    Each member's ``status_callback`` is told of all members, not only of itself. Only callbacks of the type ``relay``
    are posted: the other types are forms, which nobody here reads.
    """

    def __init__(self, name: str, close: Callable[[Conference], object]) -> None:
        self.name = name
        self.id: str = str(uuid.uuid4())
        self.is_started = False
        self.is_over = False
        self._close = close
        self._members: dict[SimulatedCall, tuple[JoinConference, asyncio.Event]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def join(self, call: SimulatedCall, settings: JoinConference) -> asyncio.Event:
        """Let *call* in; return an event that is set when it is out again."""
        out = asyncio.Event()
        self._members[call] = (settings, out)
        call.line = self
        if settings.start_on_enter and not self.is_started:
            self.is_started = True
            self._tell("start", call, "conference-start")
        self._tell("join", call, "participant-join")
        return out

    def others(self, call: SimulatedCall) -> list[SimulatedCall]:
        """Return who hears *call*: nobody before the start, or if it is muted."""
        settings, _ = self._members[call]
        if settings.muted or not self.is_started:
            return []
        return [other for other in self._members if other is not call]

    def leave(self, call: SimulatedCall) -> None:
        """Let *call* out; a second time nothing happens."""
        if call not in self._members:
            return
        settings, _ = self._members[call]
        self._tell("leave", call, "participant-leave", size=len(self._members) - 1)
        if settings.end_on_exit or len(self._members) == 1:
            self._end(call)
        else:
            self._release(call)

    def _end(self, last: SimulatedCall) -> None:
        self.is_over = True
        self._close(self)
        more = {
            "reason_ended": "participant-with-end-on-exit-left" if len(self._members) > 1 else "last-participant-left"
        }
        self._tell("end", last, "conference-end", size=0, call_id_ending_conf=last.id, **more)
        for call in list(self._members):
            self._release(call)

    def _release(self, call: SimulatedCall) -> None:
        _, out = self._members.pop(call)
        if call.line is self:
            call.line = None
        out.set()

    def _tell(self, event: str, about: SimulatedCall, status: str, **more: Any) -> None:
        settings, _ = self._members[about]
        params = {
            "call_id": about.id,
            "name": self.name,
            "conference_id": self.id,
            "status": status,
            "size": len(self._members),
            "muted": settings.muted,
            "hold": False,
            "start_on_join": settings.start_on_enter,
            "end_on_leave": settings.end_on_exit,
            "coaching": False,
            **more,
        }
        about.wire.log.note(about.id, "calling.conference", params)
        for call, (wants, _) in self._members.items():
            if event not in wants.status_callback_event.split() or wants.status_callback_event_type != "relay":
                continue
            if event in ("leave", "end") and call is about and call.wire.dice.happens("lost_results"):
                continue
            call.wire.post(wants.status_callback, "calling.conference", params, lane=call.id, is_logged=False)
