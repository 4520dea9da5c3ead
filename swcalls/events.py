"""The events of calls and actions, one Struct a kind; `_core.decoding` makes them of webhooks.

States are not limited to known words: an unknown state is kept as it came. `swcalls.words` has the types of the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import Struct

from .words import (
    CallState,
    CollectEventType,
    CollectState,
    ConnectState,
    Detector,
    DetectState,
    EndedBy,
    FaxState,
    PlayState,
    RecordState,
    ReferState,
    StreamState,
    TapState,
    TranscribeState,
)


class Received(Struct, frozen=True, kw_only=True):
    """An object that was made of a received payload. Base of events and results."""

    payload: bytes | dict[str, Any]
    """The payload as received: JSON text, or the decoded object. Use ``raw`` to read it."""

    @property
    def raw(self) -> dict[str, Any]:
        """The payload as a decoded object. JSON text is decoded each time."""
        if isinstance(self.payload, dict):
            return self.payload
        return cast(dict[str, Any], msgspec.json.decode(self.payload))

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if name != "payload")
        shown = (f"{name}={value!r}" for name in names if (value := getattr(self, name)) is not None)
        return f"{type(self).__name__}({', '.join(shown)})"


class Event(Received, frozen=True, kw_only=True):
    """Something that happened. Base of all events."""

    state: str
    """The state that the event reports, as the platform spells it; ``""`` when it reports none."""
    call_id: str | None = None
    control_id: str | None = None
    timestamp: float | None = None
    """Unix seconds, by the platform's clock; only enveloped payloads carry one."""

    @property
    def words(self) -> tuple[str, ...]:
        """The states that the event reaches, for ``Action.reached``."""
        return (self.state,)


class UnknownEvent(Event, frozen=True, kw_only=True):
    """A verified webhook of a kind or shape that this version does not know."""

    event_type: str | None = None


class CallEvent(Event, frozen=True, kw_only=True):
    """``calling.call.state``: created, ringing, answered, (ending,) ended."""

    if TYPE_CHECKING:
        state: CallState

    direction: str | None = None
    end_reason: EndedBy | None = None
    """Normalised: hangup, cancel, busy, noAnswer, decline, error, abandoned, max_duration, not_found, …"""
    from_: str | None = None
    to: str | None = None
    start_time: float | None = None
    """Unix seconds (so are the next two); the wire has milliseconds."""
    answer_time: float | None = None
    end_time: float | None = None


class PlayEvent(Event, frozen=True, kw_only=True):
    """``calling.call.play``: playing, paused, finished (played out or stopped), error."""

    if TYPE_CHECKING:
        state: PlayState


class RecordEvent(Event, frozen=True, kw_only=True):
    """``calling.call.record``: recording, paused, finished, no_input, error."""

    if TYPE_CHECKING:
        state: RecordState

    url: str | None = None
    duration: float | None = None
    """Seconds."""
    size: int | None = None
    """Bytes."""
    recording_id: str | None = None


class CollectEvent(Event, frozen=True, kw_only=True):
    """``calling.call.collect``: a result or a part of one. ``state`` is the wire's, or else the result's type."""

    if TYPE_CHECKING:
        state: CollectState

    type: CollectEventType | None = None
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
    """``calling.call.detect``. ``state`` is what the detector heard.

    HUMAN, MACHINE, UNKNOWN, READY, NOT_READY, CED, CNG or digits, and finished or error at the end of the run.
    """

    if TYPE_CHECKING:
        state: DetectState

    type: Detector | None = None
    """machine, fax or digit."""
    beep: bool = False


class StreamEvent(Event, frozen=True, kw_only=True):
    """``calling.call.stream``: streaming, finished."""

    if TYPE_CHECKING:
        state: StreamState

    url: str | None = None
    name: str | None = None


class TapEvent(Event, frozen=True, kw_only=True):
    """``calling.call.tap``: tapping, finished."""

    if TYPE_CHECKING:
        state: TapState

    device: dict[str, Any] | None = None
    """Where the audio goes, as received."""


class TranscribeEvent(Event, frozen=True, kw_only=True):
    """``calling.transcript.completed`` or ``.failed`` (states completed, failed), or an event of the capture before."""

    if TYPE_CHECKING:
        state: TranscribeState

    id: str | None = None
    """The id of the transcript."""
    text: str | None = None
    """``None`` when nothing was said."""


class ReferEvent(Event, frozen=True, kw_only=True):
    """``calling.call.refer``: inProgress, then success, cancel, busy, noAnswer or error."""

    if TYPE_CHECKING:
        state: ReferState

    to: str | None = None
    refer_response_code: str | None = None
    """The SIP status of the response to the REFER."""
    notify_response_code: str | None = None
    """The SIP status of the new INVITE."""


class FaxEvent(Event, frozen=True, kw_only=True):
    """``calling.call.fax``: page, finished, error. Whether a finished fax succeeded is in *success*."""

    if TYPE_CHECKING:
        state: FaxState

    direction: str | None = None
    pages: int | None = None
    success: bool | None = None
    document: str | None = None
    result_text: str | None = None


class DenoiseEvent(Event, frozen=True, kw_only=True):
    """``calling.call.denoise``: the filter was switched on or off. Commands over REST cause no such event."""


class SpeechEvent(Event, frozen=True, kw_only=True):
    """An event of a live transcription or translation. Its fields are not documented: ``raw`` has all of them."""

    text: str | None = None
    language: str | None = None
    direction: str | None = None
    """Who spoke: ``remote-caller`` or ``local-caller``."""
    confidence: float | None = None
    is_summary: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return (self.state, "summary") if self.is_summary and self.state != "summary" else (self.state,)


class SidecarEvent(Event, frozen=True, kw_only=True):
    """A callback of an AI sidecar; ``state`` is its type: start, turn, insight, ask_answer, final and others."""

    text: str | None = None
    """The text of the event: an insight, a thought, a question or an answer."""
    ask_id: str | None = None
    stop_reason: str | None = None
    summary: str | None = None


class InboundCall(Struct, frozen=True, kw_only=True):
    """An inbound call, as the platform announces it when it asks for a dialplan."""

    call_id: str
    from_: str | None = None
    to: str | None = None
    type: str | None = None
    """phone, sip or webrtc."""
    headers: dict[str, str] = {}
    """SIP headers."""
    variables: dict[str, Any] = {}
    """The variables of the project and of the script."""
    raw: dict[str, Any]
    """The payload as received."""

    def __repr__(self) -> str:
        return f"InboundCall(call_id={self.call_id!r}, from_={self.from_!r}, to={self.to!r}, type={self.type!r})"


class ConnectEvent(Event, frozen=True, kw_only=True):
    """``calling.call.connect``: connecting, connected, disconnected or failed."""

    if TYPE_CHECKING:
        state: ConnectState

    peer_id: str | None = None
    """The id of the call at the other end of the bridge."""
    failed_reason: str | None = None
    """Why nobody was connected, as the platform spells it, such as ``no_answer``."""
    from_: str | None = None
    to: str | None = None
    """Who was dialled."""


class ConferenceEvent(Event, frozen=True, kw_only=True):
    """``calling.conference``: something happened in a conference.

    States of the call that joined it: joined, left, ended (the conference is over). In an event about another member,
    ``state`` is the platform's word, such as ``participant-join``, and ``call_id`` is that of the member.
    """

    name: str | None = None
    conference_id: str | None = None
    size: int | None = None
    """How many members it has."""
    muted: bool | None = None
    hold: bool | None = None
    reason: str | None = None
    """Why the conference has ended, as the platform spells it."""


class SwmlEvent(Event, frozen=True, kw_only=True):
    """The request at the end of a SWML document: the steps before it have run.

    ``state`` is ``finished``, or the result of the document's main step: disconnected, left or failed.
    """

    variables: dict[str, str] = {}
    """The values of the variables that the steps set, as ``send_digits_result``; ``""`` for one that is not set."""
