"""Commands about speech on a call: ``transcribe``, ``live_transcribe``, ``live_translate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ._base import KeyedCommand, Params, StartCommand, StatusCommand
from ._types import INT32_MAX, HttpUrl, Name

Party = Literal["remote-caller", "local-caller"]
SpeechEngine = Literal["deepgram", "google"]
Filter = Annotated[
    str,
    Meta(
        pattern=r"(?s)^(polite|rude|professional|shakespeare|gen-z|prompt:.+)\Z",
        description="'polite', 'rude', 'professional', 'shakespeare', 'gen-z', or 'prompt:' and a text",
    ),
]
Legs = Annotated[list[Party], Meta(min_length=1)]


class Transcribe(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.transcribe"


class _Listening(Params, kw_only=True):
    """The parameters that live transcription and live translation share."""

    secret: ClassVar[frozenset[str]] = frozenset({"webhook"})
    called: ClassVar[Mapping[str, str]] = {"webhook": "status_url"}

    direction: Legs
    webhook: HttpUrl | None = None
    live_events: bool | None = None
    ai_summary: bool | None = None
    ai_summary_prompt: Name | None = None
    speech_engine: SpeechEngine | None = None
    speech_timeout: Annotated[int, Meta(ge=1500, le=INT32_MAX, description="milliseconds")] | None = None
    vad_silence_ms: Annotated[int, Meta(ge=1, le=INT32_MAX, description="milliseconds")] | None = None
    vad_thresh: Annotated[int, Meta(ge=0, le=1800)] | None = None
    debug_level: Annotated[int, Meta(ge=0, le=2)] | None = None


class TranscribeStart(_Listening, kw_only=True):
    command: ClassVar[str] = "calling.live_transcribe"

    lang: Name


class TranslateStart(_Listening, kw_only=True):
    command: ClassVar[str] = "calling.live_translate"

    from_lang: Name
    to_lang: Name
    from_voice: Name | None = None
    to_voice: Name | None = None
    filter_from: Filter | None = None
    filter_to: Filter | None = None


class Summarize(Params, kw_only=True):
    """Ask for a summary of the speech so far. *prompt* tells the AI how to summarize."""

    secret: ClassVar[frozenset[str]] = frozenset({"webhook"})

    webhook: HttpUrl | None = None
    prompt: Name | None = None


class Inject(Params, kw_only=True):
    command: ClassVar[str] = "calling.live_translate"

    message: Name
    direction: Party


class _OneOf(Params, kw_only=True):
    """An object of which exactly one key is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.__struct_fields__
        if sum(getattr(self, name) is not None for name in names) != 1:
            self._refuse(names[0], f"given, or {' or '.join(names[1:])}, and only one of them")


class _LiveVerb(_OneOf, kw_only=True):
    start: _Listening | None = None
    summarize: Summarize | None = None

    @property
    def needs_url(self) -> bool:
        return self.start is not None and self.start.webhook is None

    def report_to(self, url: str) -> None:
        if self.start is not None:
            self.start.webhook = self.start.webhook or url


class TranscribeVerb(_LiveVerb, kw_only=True):
    command: ClassVar[str] = "calling.live_transcribe"

    start: TranscribeStart | None = None


class TranslateVerb(_LiveVerb, kw_only=True):
    command: ClassVar[str] = "calling.live_translate"

    start: TranslateStart | None = None
    inject: Inject | None = None


class LiveTranscribe(StartCommand, kw_only=True):
    command: ClassVar[str] = "calling.live_transcribe"

    action: TranscribeVerb | Literal["stop"]

    @property
    def needs_url(self) -> bool:
        return isinstance(self.action, TranscribeVerb) and self.action.needs_url

    def report_to(self, url: str) -> None:
        if isinstance(self.action, TranscribeVerb):
            self.action.report_to(url)


class LiveTranslate(StatusCommand, kw_only=True):
    command: ClassVar[str] = "calling.live_translate"

    action: TranslateVerb | Literal["stop"]

    @property
    def needs_url(self) -> bool:
        return isinstance(self.action, TranslateVerb) and (self.action.needs_url or self.status_url is None)

    def report_to(self, url: str) -> None:
        super().report_to(url)
        if isinstance(self.action, TranslateVerb):
            self.action.report_to(url)
