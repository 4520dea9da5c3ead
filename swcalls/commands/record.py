"""``calling.record``: record the call's audio."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ._base import Command, KeyedCommand, Params
from ._types import INT32_MAX, Dtmf, Name, Seconds
from .play import Direction

Format = Literal["mp3", "wav", "mp4"]
PauseBehavior = Literal["skip", "silence"]


class RecordAudio(Params, kw_only=True):
    command: ClassVar[str] = "calling.record"

    format: Format | None = None
    stereo: bool | None = None
    direction: Direction | None = None
    beep: bool | None = None
    initial_timeout: Seconds | None = None
    end_silence_timeout: Seconds | None = None
    max_length: Annotated[int, Meta(ge=0, le=INT32_MAX, description="seconds")] | None = None
    terminators: Dtmf | None = None
    input_sensitivity: Annotated[float, Meta(ge=0, le=100)] | None = None


class RecordParams(Params, kw_only=True):
    audio: RecordAudio


class Record(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.record"

    record: RecordParams


class RecordPause(Command, kw_only=True):
    command: ClassVar[str] = "calling.record.pause"

    control_id: Name
    behavior: PauseBehavior | None = None
