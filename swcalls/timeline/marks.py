"""One thing that happened on a call, and when: for whoever watches or looks back, not for control flow."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from .._core.observer import CommandVerdict, EventVerdict, WaitVerdict
from ..events import CallEvent, CollectEvent, Event, InboundCall

What = Literal["command", "retry", "event", "wait", "settled"]

Verdict = CommandVerdict | EventVerdict | WaitVerdict | Literal["callback", "call_ended", "deadline", "closed"]


class Mark(Struct, frozen=True, kw_only=True):
    """One thing that happened on a call."""

    at: float
    """When: seconds by a clock that never jumps, so that only differences mean anything; ``Timeline.time`` tells more.

    A command's is when it was sent, a wait's when it began.
    """
    took: float | None = None
    """Seconds until a command was answered, or a wait ended; ``None``: that has not happened, or there is none."""
    what: What
    """``command``; ``retry``: a command is sent again; ``event``: a webhook, or what stands in for one; ``wait``:
    somebody awaits something; ``settled``: the action, or the call, has its outcome."""
    kind: str
    """What it is about: ``call``, or an action's kind: ``play``, ``record``, …"""
    key: str | None = None
    """The ``control_id`` of the action; ``None``: it is about the call."""
    word: str
    """What is said: the wire command; an event's state, or what was pressed; what is waited for (``finished``,
    ``answered``, ``reached playing``, …); ``result``, or the name of the error."""
    verdict: Verdict
    """What came of it.

    - A command: ``accepted``, ``failed``, ``cancelled``; ``""``: not answered yet.
    - An event: ``applied``, ``duplicate``, ``late``, ``early``, ``unknown``; ``reconciled`` and ``reported`` are no
      webhook: the voice log told it, or the answer to a command.
    - A wait: ``result``, ``error``, ``timeout``, ``cancelled``; ``""``: it goes on.
    - What has settled: by what, as in ``Outcome.settled_by``.
    """
    detail: str = ""
    """More about it: why a command failed, what the result or the error is."""
    status: int | None = None
    """Of a command that was answered: the HTTP status."""
    event: Event | InboundCall | None = None
    """The event, with its payload in ``raw``."""

    @property
    def end(self) -> float:
        """When it was over; ``at``, for what has no length, or goes on."""
        return self.at if self.took is None else self.at + self.took


def said(event: Event | InboundCall) -> str:
    """Put an event in a word or two."""
    match event:
        case CollectEvent(digits=str(digits)):
            return digits + (event.terminator or "")
        case CollectEvent(text=str(text)):
            return text
        case CallEvent(end_reason=str(reason)):
            return f"{event.state}: {reason}"
        case InboundCall():
            return "inbound"
        case _:
            return event.state
