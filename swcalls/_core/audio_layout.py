"""Frames of one or two tracks on one axis of time, as the samples of a mono or a stereo file.

A frame is placed by its timestamp, not behind the frame that came before it: the platform may send no frames for
silence, and frames may be lost, or come late and all at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from .audio_frame import AudioFrame

LONGEST_SILENCE = 600.0
"""The longest gap, in seconds, that is filled with silence. After a larger one the sender has begun to count anew."""
LONGEST_OVERLAP = 1.0
"""The longest overlap of two frames, in seconds, that is cut off. After a larger one the sender counts anew."""
ROUNDING = 0.002
"""Seconds by which a timestamp, a whole number of milliseconds, may differ from the true place of a frame."""
LAG = 1.0
"""Seconds by which one track may be behind the other; then it is taken for silent."""

_SAMPLE = 2


class _Line:
    """The samples of one track that are not in the file yet."""

    __slots__ = ("pending", "shift")

    def __init__(self) -> None:
        self.pending = bytearray()
        self.shift = 0
        """Samples from the timestamp to the place in the file. The tracks differ once the timestamps of one leap."""


class Layout:
    """Places frames; *tracks* (one or two) are the channels of the file, from the left to the right."""

    def __init__(self, tracks: Sequence[str], sample_rate: int) -> None:
        self._rate = sample_rate
        self._lines = {track: _Line() for track in tracks}
        self._begun = False
        self._written = 0

    @property
    def samples(self) -> int:
        """How many samples, of each channel, have been returned by `place` and `finish`."""
        return self._written

    def place(self, frame: AudioFrame) -> bytes:
        """Add *frame*, and return the samples that are complete by now, interleaved where there are two channels."""
        line = self._line_of(frame.track)
        if line is None:
            return b""
        if not self._begun:
            self._begun = True
            for each in self._lines.values():
                each.shift = -self._samples(frame.timestamp_ms / 1000)
        pcm = frame.pcm
        position = self._written + len(line.pending) // _SAMPLE
        gap = self._samples(frame.timestamp_ms / 1000) + line.shift - position
        if abs(gap) <= self._samples(ROUNDING):
            gap = 0
        elif not -self._samples(LONGEST_OVERLAP) <= gap <= self._samples(LONGEST_SILENCE):
            line.shift -= gap
            gap = 0
        if gap > 0:
            line.pending += bytes(gap * _SAMPLE)
        line.pending += pcm[max(0, -gap) * _SAMPLE :]
        return self._ready()

    def finish(self) -> bytes:
        """Return what is left; a track that is shorter ends with silence."""
        return self._cut(max(len(line.pending) for line in self._lines.values()))

    def _line_of(self, track: str) -> _Line | None:
        if len(self._lines) == 1:
            return next(iter(self._lines.values()))  # Whatever it is called, there is no other.
        return self._lines.get(track)

    def _ready(self) -> bytes:
        lengths = [len(line.pending) for line in self._lines.values()]
        return self._cut(max(min(lengths), max(lengths) - self._samples(LAG) * _SAMPLE))

    def _cut(self, length: int) -> bytes:
        """Take *length* bytes of each track."""
        self._written += length // _SAMPLE
        taken = []
        for line in self._lines.values():
            taken.append(bytes(line.pending[:length]).ljust(length, b"\0"))
            del line.pending[:length]
        return taken[0] if len(taken) == 1 else _interleaved(*taken)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate)


def _interleaved(left: bytes, right: bytes) -> bytes:
    both = bytearray(2 * len(left))
    for channel, samples in enumerate((left, right)):
        for byte in range(_SAMPLE):
            both[channel * _SAMPLE + byte :: 2 * _SAMPLE] = samples[byte::_SAMPLE]
    return bytes(both)
