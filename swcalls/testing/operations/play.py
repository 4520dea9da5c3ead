"""The simulated ``calling.play``: plays media for as long as they last; it can be paused and resumed."""

from __future__ import annotations

import math
from typing import ClassVar

from swcalls.commands import TTS, Audio, Media, Play, PlayVolume, Silence

from ..calls import Operation, SimulatedCall
from ..clock import Timer
from ..speech import speaking_time

AUDIO_SECONDS = 3.0
"""The simulated length of each audio file; none is downloaded."""


class Playing(Operation):
    """Posts ``playing``, then ``paused`` and ``playing`` for each pause, then ``finished``."""

    kind: ClassVar[str] = "play"

    def __init__(self, call: SimulatedCall, command: Play) -> None:
        super().__init__(call, command)
        self.volume: float = command.volume or 0.0
        """The volume in dB."""
        self.is_paused: bool = False
        passes = 1 if command.loop is None else command.loop or math.inf
        self._duration = passes * sum(_duration(item.params) for item in command.play)
        self._texts = [item.params.text for item in command.play if isinstance(item.params, TTS)]
        self.is_spoken: bool = bool(self._texts)
        self._is_silent = all(isinstance(item.params, Silence) for item in command.play)
        self._end: Timer | None = None

    def start(self) -> None:
        self.post(state="playing")
        self._end = self.after(self._duration, self.stop)
        for text in self._texts:
            self.call.overhear("local-caller", text)

    @property
    def is_audible(self) -> bool:
        """Whether anything of it is heard now."""
        return self._end is not None and not self.is_paused and not self._is_silent

    def pause(self) -> None:
        """Pause; do nothing if it is not playing."""
        if self._end is not None and not self.is_paused:
            self.is_paused = True
            self._end.pause()
            self.post(state="paused")

    def resume(self) -> None:
        """Resume; do nothing if it is not paused."""
        if self._end is not None and self.is_paused:
            self.is_paused = False
            self._end.resume()
            self.post(state="playing")

    def set_volume(self, params: PlayVolume) -> None:
        """Set the volume; no webhook is posted."""
        self.volume = params.volume

    def stop(self) -> None:
        self.finish()
        self.post(state="finished")


def _duration(media: Media) -> float:
    match media:
        case Audio():
            return AUDIO_SECONDS
        case TTS():
            return speaking_time(media.text)
        case Silence():
            return media.duration
        case _:
            return math.inf if media.duration is None else media.duration
