"""``calling.collect``: digits, speech, or whichever comes first."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ._base import INT32_MAX, Dtmf, KeyedCommand, Name, Value

Engine = Literal["Google", "Google.V2", "Deepgram"]
Seconds = Annotated[float, Meta(gt=0, description="seconds")]


class Digits(Value, frozen=True):
    """Collect up to *max* digits (> 0).

    *terminators* (``0-9 A-D * #``, ``""`` for none) end it early; *digit_timeout* is the pause, in seconds (> 0),
    after which what came so far counts.
    """

    max: Annotated[int, Meta(ge=1, le=INT32_MAX)]
    terminators: Dtmf | None = None
    digit_timeout: Seconds | None = None


class Speech(Value, frozen=True):
    """Collect speech. Timeouts are in seconds (> 0); *language* is BCP-47 or ``Engine:tag``."""

    end_silence_timeout: Seconds | None = None
    speech_timeout: Seconds | None = None
    language: Name | None = None
    hints: list[str] | None = None
    model: Name | None = None
    engine: Engine | None = None


class Collect(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.collect"

    digits: Digits | None = None
    speech: Speech | None = None
    initial_timeout: Seconds | None = None
    continuous: bool | None = None
    partial_results: bool | None = None
    send_start_of_input: bool | None = None
    start_input_timers: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.digits is None and self.speech is None:
            self._refuse("digits", "given, or speech, or both")
