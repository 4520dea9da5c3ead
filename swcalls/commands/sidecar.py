"""``calling.ai_sidecar``: an AI that listens to a call and reports what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from ._base import Command, Params, StartCommand, Value
from ._types import Document, HttpUrl, Name
from .speech import Party, SpeechEngine, Summarize

BothLegs = Annotated[
    list[Party],
    Meta(min_length=2, max_length=2, description="a list of both legs, 'remote-caller' and 'local-caller'"),
]
_MS = "milliseconds"


class SidecarPermissions(Value, frozen=True, kw_only=True):
    """What the functions of a sidecar may do. Each permission is given unless it is ``False``."""

    swaig_allow_swml: bool | None = None
    swaig_allow_settings: bool | None = None
    swaig_set_global_data: bool | None = None


class SidecarParams(Value, frozen=True, kw_only=True):
    """Settings of a sidecar. ``*_ms`` and *speech_timeout* are in milliseconds."""

    idle_timeout_ms: Annotated[int, Meta(ge=50, le=5000, description=_MS)] | None = None
    min_interval_ms: Annotated[int, Meta(ge=0, le=60000, description=_MS)] | None = None
    max_iters_per_tick: Annotated[int, Meta(ge=1, le=20)] | None = None
    max_history_tokens: Annotated[int, Meta(ge=1000, le=200000, description="tokens")] | None = None
    act_on_channel: bool | None = None
    final_summary: bool | None = None
    ai_summary: bool | None = None
    ai_summary_prompt: str | None = None
    summary_model: Name | None = None
    live_events: bool | None = None
    verbose_utterances: bool | None = None
    speech_engine: SpeechEngine | None = None
    speech_timeout: Annotated[int, Meta(ge=0, le=600000, description=_MS)] | None = None
    vad_silence_ms: Annotated[int, Meta(ge=0, le=60000, description=_MS)] | None = None
    vad_thresh: Annotated[int, Meta(ge=0, le=10000)] | None = None
    debug_level: Annotated[int, Meta(ge=0, le=100)] | None = None
    debug: bool | None = None
    transcribe_prompt: str | None = None


class SidecarSummary(Params, kw_only=True):
    """Makes the command ask for one summary, instead of starting a sidecar."""

    summarize: Summarize


class Sidecar(StartCommand, kw_only=True):
    command: ClassVar[str] = "calling.ai_sidecar"
    secret: ClassVar[frozenset[str]] = frozenset({"url", "SWAIG"})
    called: ClassVar[Mapping[str, str]] = {"url": "status_url", "SWAIG": "swaig"}

    lang: Name
    prompt: Name | Document | None = None
    model: Name | None = None
    direction: BothLegs | None = None
    customer_role: Party | None = None
    url: HttpUrl | None = None
    SWAIG: Document | None = None
    permissions: SidecarPermissions | None = None
    global_data: Document | None = None
    hints: Annotated[list[str], Meta(min_length=1)] | None = None
    params: SidecarParams | None = None
    action: SidecarSummary | None = None

    @property
    def needs_url(self) -> bool:
        return self.url is None

    def report_to(self, url: str) -> None:
        self.url = self.url or url
        if self.action is not None:
            self.action.summarize.webhook = self.action.summarize.webhook or url


class SidecarPoke(Command, kw_only=True):
    command: ClassVar[str] = "calling.ai_sidecar.poke"

    text: Name


class SidecarAsk(StartCommand, kw_only=True):
    """The answer comes to the callback URL of the sidecar itself."""

    command: ClassVar[str] = "calling.ai_sidecar.ask"

    text: Name
