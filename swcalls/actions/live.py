"""Live transcription and translation: ``calling.live_transcribe`` and ``calling.live_translate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .._core.operation import PLAIN, Options
from ..call_leg import Leg
from ..commands import (
    Inject,
    LiveTranscribe,
    LiveTranslate,
    Party,
    SpeechEngine,
    Summarize,
    TranscribeStart,
    TranscribeVerb,
    TranslateStart,
    TranslateVerb,
    listed,
)
from ..results import SpeechResult
from .action import Stoppable
from .call_base import CallBase
from .start import ActionStart
from .verb_base import VerbBase


class LiveAction(Stoppable[SpeechResult]):
    """A live session: speech comes as events. The session ends when it is stopped or its call ends.

    With ``ai_summary``, the end waits one grace period for the summary; the result has the summary, or ``None``.
    """

    __slots__ = ("_was_stopped",)
    _command: ClassVar[type[LiveTranscribe | LiveTranslate]]
    _verb: ClassVar[type[TranscribeVerb | TranslateVerb]]

    async def summarize(self, prompt: str | None = None, *, webhook: str | None = None) -> Leg:
        """Ask for a summary so far. It comes as an event (``reached("summary")``), or is posted to *webhook*."""
        return await self._send(self._verb(summarize=Summarize(prompt=prompt, webhook=webhook)))

    def __init__(self, call: CallBase, control_id: str, options: Options = PLAIN) -> None:
        super().__init__(call, control_id, options)
        self._was_stopped = False

    async def stop(self) -> Leg | None:
        leg = await super().stop()
        self._was_stopped = True
        return leg

    def _is_gone(self) -> bool:
        # A summary from `summarize` may have settled the action while `stop` was interrupted.
        outcome = self._operation.outcome
        is_known = self._was_stopped or outcome is None or outcome.settled_by != "callback"
        return is_known and super()._is_gone()

    def _stop_command(self) -> tuple[str, object]:
        make: Any = self._command
        return self.family, make(action="stop")

    async def _send(self, action: TranscribeVerb | TranslateVerb) -> Leg:
        make: Any = self._command
        return await self.call._send(self.family, make(action=action))


class LiveTranscribeAction(LiveAction):
    """A live transcription; its events are ``SpeechEvent``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.live_transcribe"
    _command = LiveTranscribe
    _verb = TranscribeVerb


class LiveTranslateAction(LiveAction):
    """A live translation; its events are ``SpeechEvent``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.live_translate"
    _command = LiveTranslate
    _verb = TranslateVerb

    async def inject(self, message: str, direction: Party) -> Leg:
        """Have *message* translated and spoken to *direction*: ``remote-caller`` or ``local-caller``."""
        return await self._send(TranslateVerb(inject=Inject(message=message, direction=direction)))


class LiveVerbs(VerbBase):
    """The methods of a ``Call`` that start live sessions."""

    __slots__ = ()

    def live_transcribe(
        self,
        lang: str,
        direction: Party | Sequence[Party],
        *,
        live_events: bool | None = None,
        ai_summary: bool | None = None,
        ai_summary_prompt: str | None = None,
        speech_engine: SpeechEngine | None = None,
        speech_timeout: int | None = None,
        vad_silence_ms: int | None = None,
        vad_thresh: int | None = None,
        debug_level: int | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[LiveTranscribeAction, SpeechResult]:
        """Transcribe the speech of the call while it goes on. Wire: ``calling.live_transcribe``.

        Args:
            lang: The language, as a BCP-47 tag.
            direction: Whose speech: ``remote-caller``, ``local-caller``, or a list of both.
            live_events: Send each utterance as an event.
            ai_summary: Make a summary at the end, by *ai_summary_prompt*.
            speech_engine: ``deepgram`` (the platform's default) or ``google``.
            speech_timeout: Milliseconds (>= 1500).
            vad_silence_ms: Milliseconds (>= 1).
            vad_thresh: 0 to 1800.
            debug_level: 0 to 2.
        """
        start = TranscribeStart(
            lang=lang,
            direction=parties(direction),
            webhook=status_url,
            live_events=live_events,
            ai_summary=ai_summary,
            ai_summary_prompt=ai_summary_prompt,
            speech_engine=speech_engine,
            speech_timeout=speech_timeout,
            vad_silence_ms=vad_silence_ms,
            vad_thresh=vad_thresh,
            debug_level=debug_level,
        )
        command = LiveTranscribe(action=TranscribeVerb(start=start))
        options = Options(summary=ai_summary is True)
        return self._start(LiveTranscribeAction, command, deadline, options, key=control_id)

    def live_translate(
        self,
        from_lang: str,
        to_lang: str,
        direction: Party | Sequence[Party],
        *,
        from_voice: str | None = None,
        to_voice: str | None = None,
        filter_from: str | None = None,
        filter_to: str | None = None,
        live_events: bool | None = None,
        ai_summary: bool | None = None,
        ai_summary_prompt: str | None = None,
        speech_engine: SpeechEngine | None = None,
        speech_timeout: int | None = None,
        vad_silence_ms: int | None = None,
        vad_thresh: int | None = None,
        debug_level: int | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[LiveTranslateAction, SpeechResult]:
        """Translate the speech of the call while it goes on. Wire: ``calling.live_translate``.

        The other parameters are as in ``live_transcribe``.

        Args:
            from_lang: The language of the caller (BCP-47), spoken with *from_voice*.
            to_lang: The language of the other party (BCP-47), spoken with *to_voice*.
            filter_from: polite, rude, professional, shakespeare, gen-z, or ``prompt:`` and a text; *filter_to* too.
        """
        start = TranslateStart(
            from_lang=from_lang,
            to_lang=to_lang,
            direction=parties(direction),
            from_voice=from_voice,
            to_voice=to_voice,
            filter_from=filter_from,
            filter_to=filter_to,
            webhook=status_url,
            live_events=live_events,
            ai_summary=ai_summary,
            ai_summary_prompt=ai_summary_prompt,
            speech_engine=speech_engine,
            speech_timeout=speech_timeout,
            vad_silence_ms=vad_silence_ms,
            vad_thresh=vad_thresh,
            debug_level=debug_level,
        )
        command = LiveTranslate(action=TranslateVerb(start=start), status_url=status_url)
        options = Options(summary=ai_summary is True)
        return self._start(LiveTranslateAction, command, deadline, options, key=control_id)


def parties(direction: Party | Sequence[Party]) -> list[Party]:
    """Return *direction*, one party or several, as a list."""
    several: list[Party] = [direction] if isinstance(direction, str) else listed(direction)
    return several
