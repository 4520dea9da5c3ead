"""Live transcription and translation: utterances as they are said, and summaries. Nothing is really translated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from swcalls.commands import LiveTranscribe, LiveTranslate, StartCommand, TranscribeStart, TranslateStart

from ..calls import Operation, Party, SimulatedCall
from ..contract import conflict, not_found


class Live(Operation):
    """A session, in the one shape that a withdrawn page of the vendor's described."""

    def __init__(self, call: SimulatedCall, command: StartCommand, start: TranscribeStart | TranslateStart) -> None:
        super().__init__(call, command)
        self._start = start
        self._language = start.lang if isinstance(start, TranscribeStart) else start.to_lang

    def start(self) -> None:
        self._report_session("started")

    def overhear(self, party: Party, text: str) -> None:
        if self._start.live_events and party in self._start.direction:
            self.tell("utterance", text, party)

    def summarize(self, webhook: str | None = None) -> None:
        """Tell what was said so far."""
        self.tell("summary", f"{len(self.call.spoken)} sentences were said.", "remote-caller", webhook)

    def tell(self, event_type: str, text: str, party: Party, webhook: str | None = None) -> None:
        """Post one event to the session's webhook, or to another."""
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        payload: dict[str, Any] = {
            "call_id": self.call.id,
            "event_type": event_type,
            "text": text,
            "language": self._language,
            "direction": party,
            "confidence": 0.95,
            "timestamp": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        self.call.wire.post_plain(webhook or self._start.webhook, self.call.id, payload)

    def stop(self) -> None:
        self.finish()
        if self._start.ai_summary:
            self.summarize()
        self._report_session("ended")

    def _report_session(self, what: str) -> None:
        # What this URL gets is not documented at all.
        self.call.wire.post_plain(self._status_url, self.call.id, {"call_id": self.call.id, "event_type": what})


class LiveTranscribing(Live):
    """Live transcription."""

    kind = "live_transcribe"


class LiveTranslating(Live):
    """Live translation."""

    kind = "live_translate"


def live_transcribe(call: SimulatedCall, command: LiveTranscribe) -> None:
    """Carry out ``calling.live_transcribe``."""
    if command.action == "stop" or command.action.start is None:
        _control(call, LiveTranscribing, command)
    elif call.any_of("live_transcribe", "ai_sidecar"):
        raise conflict()
    else:
        call.begin(LiveTranscribing(call, command, command.action.start))


def live_translate(call: SimulatedCall, command: LiveTranslate) -> None:
    """Carry out ``calling.live_translate``."""
    if command.action == "stop" or command.action.start is None:
        _control(call, LiveTranslating, command)
    elif call.any_of("live_translate"):
        raise conflict()
    else:
        call.begin(LiveTranslating(call, command, command.action.start))


def _control(call: SimulatedCall, kind: type[Live], command: LiveTranscribe | LiveTranslate) -> None:
    session = next((operation for operation in call.operations.values() if isinstance(operation, kind)), None)
    if session is None:
        raise not_found()
    action = command.action
    if action == "stop":
        session.stop()
    elif action.summarize is not None:
        session.summarize(action.summarize.webhook)
    elif isinstance(command, LiveTranslate) and command.action != "stop" and command.action.inject is not None:
        session.tell("utterance", command.action.inject.message, command.action.inject.direction)
