"""What the platform tells about a call and its operations, one Struct a kind. Knows neither JSON nor lifecycles.

States are open: a word that is not known here is kept as it came.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Event(Struct, frozen=True, kw_only=True):
    """Something that happened. Base of all events."""

    state: str
    """The word that says what happened, as the platform spells it; ``""`` when there was none."""
    call_id: str | None = None
    control_id: str | None = None
    timestamp: float | None = None
    """Unix seconds, by the platform's clock; only enveloped payloads carry one."""
    raw: dict[str, Any]
    """The payload as received."""

    @property
    def words(self) -> tuple[str, ...]:
        """What ``Action.reached`` can wait for."""
        return (self.state,)

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if name != "raw")
        shown = (f"{name}={value!r}" for name in names if (value := getattr(self, name)) is not None)
        return f"{type(self).__name__}({', '.join(shown)})"


class UnknownEvent(Event, frozen=True, kw_only=True):
    """An authentic payload of a kind or shape that this version does not know."""

    event_type: str | None = None


class CallEvent(Event, frozen=True, kw_only=True):
    """``calling.call.state``: created, ringing, answered, (ending,) ended."""

    direction: str | None = None
    end_reason: str | None = None
    """Normalised: hangup, cancel, busy, noAnswer, decline, error, abandoned, max_duration, not_found, …"""
    from_: str | None = None
    to: str | None = None
    start_time: float | None = None
    """Unix seconds (so are the next two); the wire has milliseconds."""
    answer_time: float | None = None
    end_time: float | None = None


class PlayEvent(Event, frozen=True, kw_only=True):
    """``calling.call.play``: playing, paused, finished (played out or stopped), error."""


class RecordEvent(Event, frozen=True, kw_only=True):
    """``calling.call.record``: recording, paused, finished, no_input, error."""

    url: str | None = None
    duration: float | None = None
    """Seconds."""
    size: int | None = None
    """Bytes."""
    recording_id: str | None = None


class CollectEvent(Event, frozen=True, kw_only=True):
    """``calling.call.collect``: a result or a part of one. ``state`` is the wire's, or else the result's type."""

    type: str | None = None
    """digit, speech, no_input, no_match, start_of_input, finished or error."""
    digits: str | None = None
    terminator: str | None = None
    text: str | None = None
    confidence: float | None = None
    """As it came (the platform's examples use 0 to 1)."""
    final: bool | None = None
    """False: a partial result, more follow. Only with ``partial_results``."""

    @property
    def words(self) -> tuple[str, ...]:
        return (self.state,) if self.type is None or self.type == self.state else (self.state, self.type)


class DetectEvent(Event, frozen=True, kw_only=True):
    """``calling.call.detect``. ``state`` is what was heard.

    HUMAN, MACHINE, UNKNOWN, READY, NOT_READY, CED, CNG or digits, and finished or error at the end of the run.
    """

    type: str | None = None
    """machine, fax or digit."""
    beep: bool = False


class StreamEvent(Event, frozen=True, kw_only=True):
    """``calling.call.stream``: streaming, finished."""

    url: str | None = None
    name: str | None = None
