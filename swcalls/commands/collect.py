"""``calling.collect``: collect digits, speech, or whichever comes first."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ._base import KeyedCommand, Value
from ._types import INT32_MAX, Dtmf, Name, PositiveSeconds

Engine = Literal["Google", "Google.V2", "Deepgram"]


class Digits(Value, frozen=True):
    """Collect up to *max* digits (> 0).

    A digit of *terminators* (``0-9 A-D * #``, ``""`` for none) ends the collection early. So does a pause of
    *digit_timeout* seconds (> 0) after a digit.
    """

    max: Annotated[int, Meta(ge=1, le=INT32_MAX)]
    terminators: Dtmf | None = None
    digit_timeout: PositiveSeconds | None = None


class Speech(Value, frozen=True):
    """Collect speech. Timeouts are in seconds (> 0); *language* is BCP-47 or ``Engine:tag``."""

    end_silence_timeout: PositiveSeconds | None = None
    speech_timeout: PositiveSeconds | None = None
    language: Name | None = None
    hints: list[str] | None = None
    model: Name | None = None
    engine: Engine | None = None


class Collect(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.collect"

    digits: Digits | None = None
    speech: Speech | None = None
    initial_timeout: PositiveSeconds | None = None
    continuous: bool | None = None
    partial_results: bool | None = None
    send_start_of_input: bool | None = None
    start_input_timers: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.digits is None and self.speech is None:
            self._refuse("digits", "given, or speech, or both")
