"""The simulated ``calling.record``: records until a stop, silence, a digit, a time limit or the end of the call."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from swcalls.commands import Record, RecordPause

from ..calls import Operation, SimulatedCall
from ..clock import Timer
from ..speech import speaking_time

BYTES_PER_SECOND = 16_000
FILING_SECONDS = 0.5
"""Simulated seconds from the end of a call to the webhook with the recording's URL."""


class Recording(Operation):
    """Posts ``recording``, then ``paused`` and ``recording`` for each pause, then ``finished``, or ``no_input``.

    The defaults are the platform's: ``no_input`` after 4 s without speech; it ends after 0.5 s of silence, or at ``#``.
    """

    kind: ClassVar[str] = "record"

    def __init__(self, call: SimulatedCall, command: Record) -> None:
        super().__init__(call, command)
        audio = command.record.audio
        self.recording_id: str = str(uuid.uuid4())
        self.is_paused: bool = False
        self._initial_timeout = 4.0 if audio.initial_timeout is None else audio.initial_timeout
        self._end_silence = 0.5 if audio.end_silence_timeout is None else audio.end_silence_timeout
        self._max_length = audio.max_length or 0
        self._terminators = "#" if audio.terminators is None else audio.terminators
        self._config = {
            "format": audio.format or "mp3",
            "direction": audio.direction or "speak",
            "stereo": audio.stereo or False,
        }
        self._started = 0.0
        self._paused_at: float | None = None
        self._paused_seconds = 0.0
        self._waiting: Timer | None = None
        """The timeout for the first word, then the silence after the last one."""
        self._limit: Timer | None = None

    def start(self) -> None:
        self._started = self.clock.now()
        self._post_running("recording")
        if self._max_length:
            self._limit = self.after(self._max_length, self.stop)
        text = self.call.says.first
        if text:
            begins = self.call.callee.reacts_after
            self.after(begins, lambda: self.call.begin_to_say(text))
            self.after(begins, self.hear_speech_begin)
            self.after(begins + speaking_time(text), lambda: self.hear_speech(text))
        if self._initial_timeout:
            self._waiting = self.after(self._initial_timeout, self._give_up)

    def pause(self, params: RecordPause) -> None:
        """Pause: skip the audio, or record silence; do nothing if it is not recording."""
        if self.is_paused or not self._started:
            return
        self.is_paused = True
        behavior = params.behavior or "skip"
        if behavior == "skip":
            self._paused_at = self.clock.now()
            if self._limit is not None:
                self._limit.pause()
        if self._waiting is not None:
            self._waiting.pause()
        self._post_running("paused", pause_behavior=behavior)

    def resume(self) -> None:
        """Resume; do nothing if it is not paused."""
        if not self.is_paused:
            return
        self.is_paused = False
        self._count_pause()
        for timer in (self._limit, self._waiting):
            if timer is not None:
                timer.resume()
        self._post_running("recording")

    def hear_digit(self, digit: str) -> None:
        if digit in self._terminators:
            self.stop()

    def hear_speech_begin(self) -> None:
        if self._waiting is not None and not self.is_paused:
            self._waiting.cancel()
            self._waiting = None

    def hear_speech(self, text: str) -> None:
        if self._end_silence and not self.is_paused:
            self.hear_speech_begin()
            self._waiting = self.after(self._end_silence, self.stop)

    def stop(self) -> None:
        self.finish()
        self.post(**self._result())

    def call_ended(self) -> None:
        self.finish()
        result = self._result()
        # The file is ready a little after the end of the call. Set after `finish`, which cancels the timers.
        self.after(FILING_SECONDS, lambda: self.post(**result))

    def _give_up(self) -> None:
        self.finish()
        result = self._result()
        del result["url"]
        self.post(**{**result, "state": "no_input", "size": 0})

    def _post_running(self, state: str, **more: str) -> None:
        self.post(state=state, url=self._url, recording_id=self.recording_id, **more, record={"audio": self._config})

    @property
    def _url(self) -> str:
        return f"{self.call.wire.base_url}/api/v1/recordings/{self.recording_id}/download"

    def _count_pause(self) -> None:
        if self._paused_at is not None:
            self._paused_seconds += self.clock.now() - self._paused_at
            self._paused_at = None

    def _result(self) -> dict[str, Any]:
        self._count_pause()
        ended = self.clock.now()
        started = self._started or ended
        duration = round(ended - started - self._paused_seconds, 3)
        return {
            "state": "finished",
            "url": self._url,
            "duration": duration,
            "size": int(duration * BYTES_PER_SECOND),
            "recording_id": self.recording_id,
            "start_time": started,
            "end_time": ended,
            "record": {"audio": self._config},
        }
