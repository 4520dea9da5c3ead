"""Buffers the messages of one stream for its reader. A slow reader loses the oldest audio, and blocks nothing.

A connection puts messages in (`AudioFeed.receive`), a `CallAudio` takes frames and digits out. Nothing here knows of
WebSockets.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from .._core.audio_buffer import AudioBuffer
from .._core.audio_frame import AudioFrame, ByteOrder, seems_swapped
from .._core.audio_levels import LevelHistory
from .._core.stream_messages import TRACKS_KEPT, Digit, Started, Stopped, StreamMessages

EndedBy = Literal["stop", "closed", "idle", "local", "call_ended"]

TAIL = 1.0
"""Seconds in which the last frames may still come, once a webhook has told that the stream, or the call, is over."""

DIGITS_KEPT = 256
"""How many digits wait to be read; then the oldest are dropped."""

IDLE_CHECKS = 4
"""How many checks for new frames are made in *idle_timeout* seconds."""

FRAMES_PROBED = 250
"""How many frames of L16, the first of the stream, are checked for their byte order."""
VOTES = 5
"""How many more frames of one byte order than of the other decide; silent frames do not count."""

_log = logging.getLogger("swcalls.audio")


_ONE_READER = "another task reads this already: frames, and digits, have one reader at a time"


class Signal:
    """Wakes the one task that waits for it."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        """Of a task that waits, or was woken and has not run yet."""

    def set(self) -> None:
        """Wake the task that waits, if one does."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for `set`.

        Raises:
            RuntimeError: Another task waits already.
        """
        if self._waiter is not None:
            raise RuntimeError(_ONE_READER)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class AudioFeed:
    """Passes the messages of one stream from the socket to the reader.

    Args:
        name: What the log calls it: ``stream 4f6a…``.
        bearer: What the platform must send as its token.
        ended: Called at the end, if the stream had begun. ``None``: nobody asks for `levels`, so none are kept.
    """

    # With hundreds of streams, what a frame touches is in no cache: the less, the better.
    __slots__ = (
        "_cut", "_ended", "_heard", "_idle_timeout", "_is_wanted", "_level_due", "_look_from", "_max_lag", "_others",
        "_probes", "_reader", "_timers", "_votes", "_was_slow", "_was_unreadable", "bearer", "began", "digits",
        "ended_by", "frames", "has_digit", "has_moved", "is_connected", "is_crowded", "levels", "messages", "name",
        "refused", "was_connected",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        bearer: str,
        *,
        max_lag: float = 2.0,
        idle_timeout: float | None = None,
        byte_order: ByteOrder = "little",
        ended: Callable[[AudioFeed], object] | None = None,
    ) -> None:
        self.name = name
        self.bearer = bearer
        self.messages: StreamMessages = StreamMessages(byte_order)
        self.frames: AudioBuffer = AudioBuffer(max_lag)
        self.digits: deque[str] = deque(maxlen=DIGITS_KEPT)
        self.has_digit: Signal = Signal()
        self.has_moved: Signal = Signal()
        """Set when the stream has started or ended, or its connection is gone."""
        self.ended_by: EndedBy | None = None
        self.refused = 0
        """How many connections were refused that had the right address."""
        self.was_connected = False
        self.is_connected = False
        self.is_crowded = False
        """More than half of *max_lag* waits, and the reader was woken but has not run: it must, before more comes."""
        self.levels: dict[str, LevelHistory] = {}
        """How loud each track was over time."""
        self.began = 0.0
        """When the start message came, by the monotonic clock."""
        self._ended = ended
        self._level_due = math.inf
        """The timestamp from which on a frame may be one whose level is noted."""
        self._look_from = math.inf
        """The timestamp from which on a frame is looked at, for its level or its byte order."""
        self._reader: asyncio.Future[AudioFrame | None] | None = None
        """Of the task that waits for a frame, or has got one and has not run yet."""
        self._max_lag = max_lag
        self._idle_timeout = idle_timeout
        self._is_wanted = True
        self._cut: Callable[[], object] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._heard = 0
        self._others = 0
        """Messages that were no frames."""
        self._was_slow = False
        self._was_unreadable = False
        self._probes = 0
        self._votes = 0

    def __repr__(self) -> str:
        return f"<AudioFeed {self.name} {self.ended_by or ('started' if self.messages.started else 'waiting')}>"

    @property
    def received(self) -> int:
        """How many messages have come."""
        return self._heard + self._others

    @property
    def heard(self) -> int:
        """How many frames have come since the start."""
        return self._heard

    @property
    def dropped(self) -> int:
        """Frames that came, and were not handed out: they were too old, or came before the start."""
        return self.frames.dropped + self.messages.unframed

    async def next_frame(self) -> AudioFrame:
        """Return the next frame, or raise ``StopAsyncIteration`` when none can come."""
        while (frame := self.frames.take()) is None:
            if self.ended_by is not None:
                raise StopAsyncIteration
            if self._reader is not None:
                raise RuntimeError(_ONE_READER)
            self._reader = reader = asyncio.get_running_loop().create_future()
            try:
                frame = await reader
            except asyncio.CancelledError:
                if reader.done() and not reader.cancelled() and (frame := reader.result()) is not None:
                    self.frames.put_back(frame)
                raise
            finally:
                self._reader = None
            if frame is not None and self.ended_by != "local":
                break
        return frame

    def connect(self, cut: Callable[[], object]) -> None:
        """Take the one connection; *cut* closes it soon."""
        self.was_connected = self.is_connected = True
        self._cut = cut
        if not self._is_wanted:
            cut()

    def disconnected(self) -> None:
        """Note that the connection is gone."""
        self.is_connected = False
        self._cut = None
        if self.messages.started is not None:
            self.end("closed")
        self.has_moved.set()

    def receive(self, data: bytes | str) -> bool:
        """Take one message in; ``False``: no further one is wanted."""
        message = self.messages.read(data)
        if type(message) is AudioFrame:
            if self.ended_by is not None:
                return self._is_wanted
            self._heard += 1
            if message.timestamp_ms >= self._look_from:
                self._look_at(message)
            reader = self._reader
            if reader is not None and not reader.done():
                # It waits, so the buffer is empty.
                reader.set_result(message)
                return self._is_wanted
            if self.frames.put(message) and not self._was_slow:
                self._warn_of_drops()
            if reader is not None and 2 * self.frames.seconds(message.track) > self._max_lag:
                self.is_crowded = True
            return self._is_wanted
        self._others += 1
        if message is not None:
            self._note(message)
        elif self.messages.malformed and not self._was_unreadable:
            self._was_unreadable = True
            _log.warning("%s: a message could not be read, and is left out; further ones are only counted", self.name)
        return self._is_wanted

    def end(self, by: EndedBy) -> None:
        """End the stream, unless it has ended. Frames that have come can still be read, except after ``local``.

        The connection is closed; after ``local``, `leave` closes it, when the platform was told to stop.
        """
        if self.ended_by is None:
            self.ended_by = by
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()
            if by == "local":
                self.frames.clear()
            counts = self.messages
            _log.info(
                "%s: ended by %s; %d frames came, %d were missing, %d dropped; %d messages could not be read",
                self.name, by, self._heard, counts.missing, self.dropped, counts.malformed,
            )  # fmt: skip
            if self._ended is not None and counts.started is not None:
                self._ended(self)
            if self._reader is not None and not self._reader.done():
                self._reader.set_result(None)
            self.has_digit.set()
            self.has_moved.set()
        if by != "local":
            self._close()

    def leave(self) -> None:
        """End the stream and close its connection, since nobody listens any more."""
        self.end("local")
        self._close()

    def end_soon(self, by: EndedBy) -> None:
        """End the stream after `TAIL` seconds, in which the last frames may come; at once if it has no connection."""
        if self.ended_by is not None:
            return
        if self.is_connected:
            self._later(TAIL, lambda: self.end(by))
        else:
            self.end(by)

    def _close(self) -> None:
        self._is_wanted = False
        if self._cut is not None:
            self._cut()

    def _note(self, message: AudioFrame | Digit | Started | Stopped) -> None:
        if isinstance(message, Stopped):
            self.end("stop")
        elif isinstance(message, Digit):
            self.digits.append(message.digit)
            self.has_digit.set()
        elif isinstance(message, Started):
            self.began = time.monotonic()
            if self._ended is not None and message.format.is_decodable:
                self._level_due = self._look_from = 0
            if message.format.codec == "l16":
                self._probes = FRAMES_PROBED
                self._look_from = 0
            if self._idle_timeout is not None:
                self._watch_idle(self._idle_timeout, 0, self._heard)
            self.has_moved.set()

    def _look_at(self, frame: AudioFrame) -> None:
        """Note the level of *frame*, if it is time to, and look at its byte order, if it is one of the first."""
        if self._probes:
            self._probe(frame)
        if frame.timestamp_ms >= self._level_due:
            self._note_level(frame)
        self._look_from = 0 if self._probes else self._level_due

    def _note_level(self, frame: AudioFrame) -> None:
        levels = self.levels.get(frame.track)
        if levels is None and len(self.levels) < TRACKS_KEPT:
            levels = self.levels[frame.track] = LevelHistory()
        if levels is not None and frame.timestamp_ms >= levels.due:
            levels.add(frame)
        self._level_due = min(each.due for each in self.levels.values())

    def _warn_of_drops(self) -> None:
        self._was_slow = True
        _log.warning(
            "%s: the reader is too slow: audio that has waited for more than max_lag=%g s is dropped, the oldest "
            "first; further drops are only counted (dropped_frames)",
            self.name, self._max_lag,
        )  # fmt: skip

    def _watch_idle(self, timeout: float, idle_checks: int, heard: int) -> None:
        """Check whether frames have come; after `IDLE_CHECKS` checks without any, end the stream."""
        if self._heard != heard:
            idle_checks = 0
        if idle_checks >= IDLE_CHECKS:
            self.end("idle")
            return
        known = self._heard
        self._later(timeout / IDLE_CHECKS, lambda: self._watch_idle(timeout, idle_checks + 1, known))

    def _later(self, seconds: float, then: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timers = [timer for timer in self._timers if not timer.cancelled() and timer.when() > now]
        self._timers.append(loop.call_later(seconds, then))

    def _probe(self, frame: AudioFrame) -> None:
        """Check the byte order of the samples, and warn once if it does not seem to be the one that was given."""
        self._probes -= 1
        swapped = seems_swapped(frame.pcm)
        if swapped is not None:
            self._votes += 1 if swapped else -1
        if abs(self._votes) >= VOTES:
            self._probes = 0
            if self._votes > 0:
                told = self.messages.byte_order
                _log.warning(
                    "%s: the samples of L16 do not seem to be %s-endian, which byte_order=%r says; try byte_order=%r",
                    self.name, told, told, "big" if told == "little" else "little",
                )  # fmt: skip
