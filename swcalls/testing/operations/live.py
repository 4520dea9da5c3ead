"""The simulated ``calling.live_transcribe`` and ``live_translate``: utterances and summaries; nothing is translated."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from swcalls.commands import LiveTranscribe, LiveTranslate, StartCommand, TranscribeStart, TranslateStart

from ..calls import Operation, Party, SimulatedCall
from ..contract import conflict, not_found


class Live(Operation):
    """A session of either sort. Its webhooks have the form of a schema that the vendor has withdrawn."""

    def __init__(self, call: SimulatedCall, command: StartCommand, start: TranscribeStart | TranslateStart) -> None:
        super().__init__(call, command)
        self._start = start
        self._language = start.lang if isinstance(start, TranscribeStart) else start.to_lang

    def start(self) -> None:
        self._report_session("started")

    def overhear(self, party: Party, text: str) -> None:
        if self._start.live_events and party in self._start.direction:
            self.post_event("utterance", text, party)

    def summarize(self, webhook: str | None = None) -> None:
        """Post a summary of what was said so far."""
        self.post_event("summary", f"{len(self.call.spoken)} sentences were said.", "remote-caller", webhook)

    def post_event(self, event_type: str, text: str, party: Party, webhook: str | None = None) -> None:
        """Post one event to *webhook*, or else to that of the session."""
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
        # The payload for this URL is not documented.
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
        session.post_event("utterance", command.action.inject.message, command.action.inject.direction)
