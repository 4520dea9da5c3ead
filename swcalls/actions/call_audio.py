"""A call's audio while it is heard: frames, digits, a file."""

from __future__ import annotations

import os
import wave
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Self

from .._core.audio_frame import AudioFormat, AudioFrame
from .._core.audio_layout import Layout
from .._core.limits import check_number
from .._core.stream_messages import Started
from ..errors import shown
from .audio_feed import AudioFeed, EndedBy
from .stream import StreamAction

_WIDTH = 2
"""Bytes of a sample in a file."""


class CallAudio:
    """The audio of a call, as it comes: iterate over it for its frames. ``Call.listen`` makes it.

    ::

        async with call.listen(track="both") as audio:
            async for frame in audio:
                print(frame.track, frame.rms())

    The iteration ends with the stream, the call or the socket; ``ended_by`` says with which. A slow reader never blocks
    the socket: what has waited for more than *max_lag* seconds is dropped, oldest first, and counted. So no more than
    that is held in memory: of each second of a track 8 KB of mu-law, or 32 KB of L16 at 16 kHz, and 13 KB for its
    frames; and 64 KiB of the message that is being read.

    Frames have one reader at a time: an ``async for``, or `save`. Digits have one of their own.
    """

    __slots__ = ("_action", "_feed", "_started")

    def __init__(self, action: StreamAction, feed: AudioFeed, started: Started) -> None:
        self._action = action
        self._feed = feed
        self._started = started

    def __repr__(self) -> str:
        state = f"ended by {self.ended_by}" if self.ended_by else "listening"
        return f"<CallAudio {self._action.control_id} {state}>"

    @property
    def action(self) -> StreamAction:
        """The action under it, whose webhooks tell of the stream as well."""
        return self._action

    @property
    def format(self) -> AudioFormat:
        """The form in which the audio comes, as the platform says it: it may not be the *codec* that was asked for."""
        return self._started.format

    @property
    def tracks(self) -> tuple[str, ...]:
        """What is heard, as the platform says it: ``inbound``, ``outbound``."""
        return self._started.tracks

    @property
    def stream_id(self) -> str | None:
        """The platform's id of the stream; ``None``: it told none."""
        return self._started.stream_id

    @property
    def dropped_frames(self) -> int:
        """How many frames came and were not handed out: the reader was too slow, or they came before the start."""
        return self._feed.dropped

    @property
    def missing_frames(self) -> int:
        """How many frames the platform numbered that never came. Silence may be no frames, and is not missing then."""
        return self._feed.messages.missing

    @property
    def ended_by(self) -> EndedBy | None:
        """What has ended it; ``None``: it runs.

        - ``stop``: the platform said that the stream has ended;
        - ``closed``: the connection was closed, or lost;
        - ``idle``: no frame came for *idle_timeout* seconds;
        - ``call_ended``: the call ended, and nothing else told the end of the stream;
        - ``local``: the block was left, or the client closed.
        """
        return self._feed.ended_by

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, AudioFrame]:
        return self._feed.next_frame()

    async def digits(self) -> AsyncIterator[str]:
        """Iterate over the keys that are pressed, one at a time, to the end of the stream.

        The latest 256 that nobody has read are kept. Whether the platform tells of them on a stream of this kind is not
        confirmed on a live account; ``Call.collect`` is the documented way.
        """
        feed = self._feed
        while True:
            while feed.digits:
                yield feed.digits.popleft()
            if feed.ended_by is not None:
                return
            await feed.has_digit.wait()

    async def save(self, path: str | os.PathLike[str], seconds: float | None = None) -> float:
        """Write the audio, from now on, to a WAV file of 16-bit samples; return how many seconds it has.

        Two tracks become two channels, the inbound one on the left. Every frame stands where its timestamp says, and
        what did not come is silence. It reads the frames: nothing else can at the same time. What has come is in the
        file also when this is cancelled.

        Args:
            seconds: How much to write at most (> 0); ``None``: to the end of the stream.

        Raises:
            ValueError: The encoding cannot be decoded here; no file is written.
            OSError: The file cannot be written.
        """
        if seconds is not None:
            check_number("seconds", seconds, above=0, finite=True, unit="seconds")
        format = self.format
        if not format.is_decodable:
            raise ValueError(f"encoding={shown(format.encoding)} must be mu-law, A-law or L16 to be saved")
        tracks = tuple(track for track in ("inbound", "outbound") if track in self.tracks) or self.tracks[:1]
        layout = Layout(tracks or ("inbound",), format.sample_rate)
        channels = max(1, len(tracks))
        most = None if seconds is None else max(1, round(seconds * format.sample_rate))
        with wave.open(os.fspath(path), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(_WIDTH)
            file.setframerate(format.sample_rate)
            left = most
            try:
                while left is None or left > 0:
                    frame = await anext(self, None)
                    if frame is None:
                        break
                    left = _write(file, layout.place(frame), left)
            finally:
                # A small write to a local file takes no longer than handing it to a thread.
                _write(file, layout.finish(), left)
            return file.getnframes() / format.sample_rate


def _write(file: wave.Wave_write, samples: bytes, left: int | None) -> int | None:
    """Write *samples*, but no more than *left* of each channel; return how many may still follow."""
    size = _WIDTH * file.getnchannels()
    if left is not None:
        samples = samples[: left * size]
        left -= len(samples) // size
    file.writeframesraw(samples)
    return left
