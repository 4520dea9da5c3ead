"""How loud a track was over time, in a bounded number of steps: for the timeline of a call."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .audio_frame import AudioFrame

MOST = 128
"""How many levels are kept. When there would be more, each two become one, which stands for twice the time."""
FIRST_STEP = 200
"""Milliseconds that one level stands for in the beginning."""

LOUDEST = 8
_SILENT_DB = -56.0
_FULL = 32768.0


class LevelHistory:
    """The levels of one track. Of the frames in a step only the first is looked at, since it costs to look."""

    __slots__ = ("_first", "_levels", "_step", "due")

    def __init__(self) -> None:
        self._first: int | None = None
        self._step = FIRST_STEP
        self._levels: list[float] = []
        self.due = 0
        """The timestamp from which on a frame is looked at; earlier ones need not be added."""

    def add(self, frame: AudioFrame) -> None:
        """Note the level of *frame*; time before it without frames was silent."""
        if self._first is None:
            self._first = frame.timestamp_ms
        index = (frame.timestamp_ms - self._first) // self._step
        while index >= MOST:
            levels = self._levels
            self._levels = [max(levels[at : at + 2]) for at in range(0, len(levels), 2)]
            self._step *= 2
            index //= 2
        if index >= len(self._levels):
            self._levels += [0.0] * (index - len(self._levels))
            self._levels.append(frame.rms())
        self.due = self._first + (index + 1) * self._step

    def steps(self) -> list[int]:
        """Return the levels as steps of equal loudness: 0 (silence) to `LOUDEST`."""
        return [_step(level) for level in self._levels]


def louder(tracks: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Return the louder of several tracks at each time; all of them lasted equally long."""
    histories = [steps for steps in tracks if steps]
    count = max(map(len, histories), default=0)
    return tuple(max(steps[at * len(steps) // count] for steps in histories) for at in range(count))


def _step(level: float) -> int:
    if level < 1:
        return 0
    decibels = 20 * math.log10(level / _FULL)
    return max(0, min(LOUDEST, math.ceil(LOUDEST * (1 - decibels / _SILENT_DB))))
