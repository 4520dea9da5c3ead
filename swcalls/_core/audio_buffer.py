"""A bounded buffer of received audio frames. When it is full, the oldest frames are dropped and counted."""

from __future__ import annotations

from collections import deque

from .audio_frame import AudioFrame

SHORTEST = 0.001
"""Seconds that a frame counts for at least, so that frames without audio are bounded too."""


class AudioBuffer:
    """Frames in the order in which they came, at most *max_lag* seconds (> 0) of each track."""

    __slots__ = ("_frames", "_held", "_most", "_unreported", "dropped")

    def __init__(self, max_lag: float) -> None:
        self._most = max_lag + SHORTEST / 2  # No frame is dropped for a rounding error.
        self._frames: deque[AudioFrame] = deque()
        self._held: dict[str, float] = {}
        """Seconds of each track that are in the buffer."""
        self._unreported = 0
        self.dropped = 0
        """How many frames were dropped in all."""

    def __len__(self) -> int:
        return len(self._frames)

    def seconds(self, track: str) -> float:
        """Return how many seconds of *track* wait to be read."""
        return self._held.get(track, 0.0)

    def put(self, frame: AudioFrame) -> int:
        """Add *frame*, and return how many older ones were dropped for it.

        What is dropped came before what is kept, whatever its track. The latest frame is always kept.
        """
        frames, held, track, seconds = self._frames, self._held, frame.track, frame.duration
        frames.append(frame)
        held[track] = total = held.get(track, 0.0) + (max(SHORTEST, seconds))
        if total <= self._most:
            return 0
        dropped = 0
        while held[track] > self._most and len(frames) > 1:
            self._pop()
            dropped += 1
        self._unreported += dropped
        self.dropped += dropped
        return dropped

    def take(self) -> AudioFrame | None:
        """Take the oldest frame out; ``None``: there is none."""
        if not self._frames:
            return None
        frame = self._pop()
        if self._unreported:
            frame.dropped_before, self._unreported = self._unreported, 0
        return frame

    def put_back(self, frame: AudioFrame) -> None:
        """Make *frame*, which was the next one to be read, the next one again."""
        self._frames.appendleft(frame)
        self._held[frame.track] = self._held.get(frame.track, 0.0) + max(SHORTEST, frame.duration)

    def clear(self) -> None:
        """Delete all frames, which nobody will read; they do not count as dropped."""
        self._frames.clear()
        self._held.clear()

    def _pop(self) -> AudioFrame:
        frame = self._frames.popleft()
        seconds = frame.duration
        left = self._held[frame.track] - (max(SHORTEST, seconds))
        if left > SHORTEST / 2:
            self._held[frame.track] = left
        else:
            # Also keeps the sums from drifting, and forgets tracks that have gone.
            del self._held[frame.track]
        return frame
