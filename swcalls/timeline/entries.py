"""`Mark`: one entry of a call's timeline. Marks are for people who read them later, not for control flow."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from .._core.observer import AudioVerdict, CommandVerdict, EventVerdict, WaitVerdict
from ..events import CallEvent, CollectEvent, Event, InboundCall

What = Literal["command", "retry", "event", "wait", "settled", "audio"]

SettledVerdict = Literal["callback", "call_ended", "deadline", "closed"]
Verdict = CommandVerdict | EventVerdict | WaitVerdict | AudioVerdict | SettledVerdict


class Mark(Struct, frozen=True, kw_only=True):
    """One entry of a timeline: one thing that happened on a call."""

    at: float
    """When it happened, in seconds of a monotonic clock; ``Timeline.time`` turns this into the time of day.

    For a command: when it was sent. For a wait, or audio: when it began.
    """
    took: float | None = None
    """Seconds until a command was answered, or a wait or audio ended; ``None``: not yet, or none of these."""
    what: What
    """The sort of entry.

    - ``command``: a command was sent.
    - ``retry``: a command was sent again.
    - ``event``: a webhook came, or the voice log or a command's response reported the same.
    - ``wait``: the program waits for something.
    - ``settled``: the action, or the call, has its outcome.
    - ``audio``: the program has heard the call; ``levels`` says how loud it was.
    """
    kind: str
    """``call``, or the kind of the action: ``play``, ``record``, …"""
    key: str | None = None
    """The ``control_id`` of the action; ``None``: the mark belongs to the call."""
    word: str
    """A short text, which depends on ``what``.

    - ``command`` and ``retry``: the name of the command on the wire.
    - ``event``: the state, or the digits or the text that were collected.
    - ``wait``: what the program waits for: ``finished``, ``answered``, ``reached playing``, …
    - ``settled``: ``result``, or the name of the error.
    - ``audio``: ``audio``.
    """
    verdict: Verdict
    """The outcome of this entry, which depends on ``what``.

    - ``command``: ``accepted``, ``failed``, ``cancelled``; ``""``: not answered yet.
    - ``event``: ``applied``, ``duplicate``, ``late``, ``early``, ``unknown``; or no webhook: ``reconciled`` (the voice
      log reported it), ``reported`` (a command's response reported it).
    - ``wait``: ``result``, ``error``, ``timeout``, ``cancelled``; ``""``: the wait has not ended.
    - ``settled``: what settled it, as in ``Outcome.settled_by``.
    - ``audio``: what ended it, as in ``CallAudio.ended_by``.
    """
    detail: str = ""
    """Why a command failed; the result, or the message of the error, of what has settled; the counts of audio."""
    status: int | None = None
    """The HTTP status of a command's response."""
    event: Event | InboundCall | None = None
    """The event, with its payload in ``raw``."""

    levels: tuple[int, ...] = ()
    """How loud audio was, at equal distances from its beginning to its end: 0 (silence) to 8."""

    @property
    def end(self) -> float:
        """When the command was answered, or the wait or the audio ended; ``at`` if none of these is the case."""
        return self.at if self.took is None else self.at + self.took


def event_word(event: Event | InboundCall) -> str:
    """Return the ``Mark.word`` of *event*: its state, or the input that it brought."""
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
