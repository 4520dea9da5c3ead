"""The results of actions, one Struct a kind; ``await action.finished()`` returns one."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from .events import Received
from .words import CollectType, ConferenceEnd, Detected, Detector, RecordEnd


class Result(Received, frozen=True, kw_only=True):
    """Base of all results. ``payload`` is the payload of the event that settled the action."""

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "payload")
        return f"{type(self).__name__}({', '.join(shown)})"


class Playback(Result, frozen=True, kw_only=True):
    """A playback that ended or was stopped: the platform reports both as ``finished``."""


class Recording(Result, frozen=True, kw_only=True):
    """A recording that ended; with ``no_input``, nobody spoke in time, and there may be no file."""

    state: RecordEnd
    """``finished`` or ``no_input``."""
    url: str | None = None
    """The URL of the file. It may need the API credentials, and may not exist at once."""
    duration: float | None = None
    """Seconds."""
    size: int | None = None
    """Bytes."""
    recording_id: str | None = None


class CollectResult(Result, frozen=True, kw_only=True):
    """The digits that were pressed, or the text that was said; ``type`` tells which, or that there was no input."""

    type: CollectType
    """``digit``, ``speech``, ``no_input``, ``no_match``, or ``finished`` (a continuous collect that was stopped)."""
    digits: str | None = None
    terminator: str | None = None
    """The key that ended the input; ``None`` or ``""`` when no key did."""
    text: str | None = None
    confidence: float | None = None
    """As it came (the platform's examples use 0 to 1)."""


class AskResult(Result, frozen=True, kw_only=True):
    """What came of ``Call.ask``: the input that was accepted, or that none was.

    ``match result.value`` with a ``case _`` for "no accepted input" is a whole menu. ``raw`` is the payload of *last*.
    """

    value: str | None
    """The accepted input: the digits, or the text that was said. ``None``: no attempt brought an accepted one."""
    attempts: int
    """How many times the question was asked (>= 1)."""
    last: CollectResult
    """The input to the last question, accepted or not; its ``type`` says whether there was any."""

    @property
    def accepted(self) -> bool:
        """Whether an input was accepted."""
        return self.value is not None


class Detection(Result, frozen=True, kw_only=True):
    """Who or what answered: ``event`` says it, and ``is_human`` and ``is_machine`` are shorthands.

    For a machine, leave a message when ``ready`` is ``True``, as after ``call.wait_for_beep()``.
    """

    type: Detector | None
    """``machine``, ``fax`` or ``digit``: the detector."""
    event: Detected | None
    """``HUMAN``, ``MACHINE``, ``UNKNOWN``, ``CED``, ``CNG``, the digits; ``None``: nothing was detected in time."""
    beep: bool = False
    """Whether a machine's beep was heard."""
    ready: bool = False
    """Whether a machine's greeting is over, so that a message can be left now."""

    @property
    def is_human(self) -> bool:
        """Whether a person answered, for certain."""
        return self.event == "HUMAN"

    @property
    def is_machine(self) -> bool:
        """Whether an answering machine answered, for certain."""
        return self.event == "MACHINE"


class StreamResult(Result, frozen=True, kw_only=True):
    """A stream that ended."""

    url: str | None = None
    name: str | None = None


class TapResult(Result, frozen=True, kw_only=True):
    """A tap that ended."""

    device: dict[str, Any] | None = None
    """Where the audio went, as received."""


class Transcript(Result, frozen=True, kw_only=True):
    """What was said on the call."""

    text: str | None = None
    """``None`` when nothing was said."""
    id: str | None = None


class ReferResult(Result, frozen=True, kw_only=True):
    """A transfer that succeeded."""

    to: str | None = None
    refer_response_code: str | None = None
    """The SIP status of the response to the REFER."""
    notify_response_code: str | None = None
    """The SIP status of the new INVITE."""


class FaxResult(Result, frozen=True, kw_only=True):
    """A fax that succeeded."""

    direction: str | None = None
    pages: int | None = None
    document: str | None = None
    """The URL of the file."""
    result_text: str | None = None


class SpeechResult(Result, frozen=True, kw_only=True):
    """A live transcription or translation that ended."""

    summary: str | None = None
    """The last summary; ``None``: no summary came."""


class SidecarResult(Result, frozen=True, kw_only=True):
    """A sidecar that ended."""

    stop_reason: str | None = None
    """transcribe_close (the call was over), transferred, hung_up, stop_action or api_stop."""
    summary: str | None = None


class SidecarAnswer(Result, frozen=True, kw_only=True):
    """A sidecar's answer to a question."""

    text: str | None = None
    ask_id: str | None = None


class Summary(Result, frozen=True, kw_only=True):
    """A one-off summary of what was said."""

    text: str | None = None


class SidecarStatus(Struct, frozen=True, kw_only=True):
    """A sidecar's counters, at one moment; ``None`` for a counter that the platform did not send."""

    running: bool | None = None
    ticks: int | None = None
    insights: int | None = None
    skips: int | None = None
    tools: int | None = None
    errors: int | None = None
    in_tokens: int | None = None
    out_tokens: int | None = None
    history_size: int | None = None
    event_log_bytes: int | None = None
    raw: dict[str, str]
    """Every counter, as received."""


class ConnectResult(Result, frozen=True, kw_only=True):
    """A bridge that has ended, or an attempt that nobody answered."""

    answered: bool
    reason: str | None = None
    """Why nobody was connected, as the platform spells it, such as ``no_answer``."""
    peer_id: str | None = None
    """The id of the call at the other end; ``None``: nobody answered, or the platform did not tell it."""


class ConferenceResult(Result, frozen=True, kw_only=True):
    """A conference that was left, or is over."""

    state: ConferenceEnd
    """``left``, ``ended`` (the conference is over for all), or ``finished``, when the platform does not say which."""
    conference_id: str | None = None
    reason: str | None = None
    """Why the conference has ended, as the platform spells it."""


class SendDigitsResult(Result, frozen=True, kw_only=True):
    """Digits that were sent."""


class SwmlResult(Result, frozen=True, kw_only=True):
    """A SWML document that has run to its end."""

    variables: dict[str, str] = {}
    """The values of the variables that its steps set; ``""`` for one that is not set."""
