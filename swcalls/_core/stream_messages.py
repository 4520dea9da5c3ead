"""The messages of a ``calling.stream`` on its WebSocket, read one by one. No I/O and no clock.

``connected``, ``start``, any number of ``media`` and ``dtmf``, ``stop``: JSON objects whose numbers are strings. Any of
them may be absent, and none is trusted to have the documented form: what cannot be read is counted, never an error.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from .audio_frame import USUAL_SECONDS, AudioFormat, AudioFrame, ByteOrder, codec_of
from .decoding import MalformedBody, parse
from .fields import Object, identifier, part, text, whole

TRACKS = ("inbound", "outbound")
TRACKS_KEPT = 8
"""Of how many tracks the numbers of the frames are followed; the platform has two."""

DIGITS = frozenset("0123456789ABCD*#")
_RATES = range(1000, 192_001)
_MOST = 2**53

Count = Annotated[int, Meta(ge=0, le=_MOST)]


class _Media(Struct, gc=False):
    payload: bytes
    track: str
    timestamp: Count
    chunk: Count


class _MediaMessage(Struct, gc=False, tag="media", tag_field="event"):
    media: _Media
    sequence: Count = field(name="sequenceNumber")


class Started(Struct, frozen=True, kw_only=True):
    """The stream has begun."""

    format: AudioFormat
    tracks: tuple[str, ...]
    stream_id: str | None
    call_id: str | None
    custom_parameters: Mapping[str, Any]


class Digit(Struct, frozen=True):
    """A key was pressed."""

    digit: str


class Stopped(Struct, frozen=True):
    """The stream has ended; nothing follows."""


Message = AudioFrame | Started | Digit | Stopped


class _Track(Struct):
    """The numbers of the latest frame of a track, and those that the next one should have."""

    name: str
    next: int | None
    """The number of the next frame; ``None``: the latest one had none."""
    end_ms: float
    """When the latest frame ends, in milliseconds since the stream began."""
    size: int = -1
    """Bytes of the latest frame; *duration* (seconds) and *duration_ms* say how long it is."""
    duration: float = 0.0
    duration_ms: float = 0.0


class StreamMessages:
    """Reads the messages of one stream, and counts what is wrong with them.

    Args:
        byte_order: Of L16 samples on the wire.
    """

    __slots__ = (
        "_decode", "_format", "_seconds_a_byte", "_sequence", "_tracks", "byte_order", "has_stopped", "ignored",
        "malformed", "missing", "started", "unframed",
    )  # fmt: skip

    def __init__(self, byte_order: ByteOrder = "little") -> None:
        self.byte_order: ByteOrder = byte_order
        self.started: Started | None = None
        self.has_stopped = False
        self.malformed = 0
        """Messages that could not be read."""
        self.ignored = 0
        """Messages of a kind that is not known, or that came again, or after the stop."""
        self.unframed = 0
        """Frames that came before the start, which tells their format."""
        self.missing = 0
        """Frames that the platform numbered, and that never came."""
        self._tracks: dict[str, _Track] = {}
        self._sequence: int | None = None
        self._format: AudioFormat
        self._seconds_a_byte: float | None = None
        self._decode = msgspec.json.Decoder(_MediaMessage, strict=False).decode

    def read(self, data: bytes | str) -> Message | None:
        """Read one message; return ``None`` if it is ignored, or cannot be read. Both are counted."""
        if self.started is None or self.has_stopped:
            return self._read_any(data)
        try:
            message = self._decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self._read_any(data)
        media = message.media
        payload, timestamp, known = media.payload, media.timestamp, self._tracks.get(media.track)
        if known is None or timestamp != known.end_ms or media.chunk != known.next or len(payload) != known.size:
            return self._frame(payload, media.track, timestamp, media.chunk, message.sequence)
        # Nearly all frames are as long as the one before, and follow it without a gap.
        known.next = media.chunk + 1
        known.end_ms = timestamp + known.duration_ms
        self._sequence = sequence = message.sequence
        return AudioFrame(known.name, timestamp, sequence, payload, self._format, known.duration)

    def _read_any(self, data: bytes | str) -> Message | None:
        """Read a message of any kind, and of any form."""
        try:
            raw = parse(data)
        except MalformedBody:
            self.malformed += 1
            return None
        event = raw.get("event")
        if self.has_stopped or event not in ("start", "media", "dtmf", "stop"):
            self.ignored += event != "connected"
            return None
        sequence = _count(raw, "sequenceNumber")
        if event == "media":
            return self._read_media(part(raw, "media"), sequence)
        self._sequence = sequence
        if event == "start":
            return self._start(part(raw, "start"))
        if event == "stop":
            self.has_stopped = True
            return Stopped()
        digit = text(part(raw, "dtmf"), "digit")
        if digit is None or digit.upper() not in DIGITS:
            self.malformed += 1
            return None
        return Digit(digit.upper())

    def _start(self, start: Object) -> Started | None:
        if self.started is not None:
            self.ignored += 1
            return None
        media = part(start, "mediaFormat")
        encoding = (text(media, "encoding") or "")[:64]
        codec = codec_of(encoding)
        rate, channels = whole(media, "sampleRate"), whole(media, "channels")
        if rate is None or rate not in _RATES:
            rate = 8000 if codec in ("mulaw", "alaw") else 0
        tracks = start.get("tracks")
        named = [track for track in tracks if isinstance(track, str)] if isinstance(tracks, list) else []
        self.started = Started(
            format=AudioFormat(
                encoding=encoding,
                sample_rate=rate,
                channels=channels if channels in (1, 2) else 1,
                byte_order=self.byte_order,
                codec=codec if rate else None,
            ),
            tracks=tuple(name[:64].removesuffix("_track") for name in named[:TRACKS_KEPT]),
            stream_id=identifier(start, "streamSid"),
            call_id=identifier(start, "callSid"),
            custom_parameters=part(start, "customParameters"),
        )
        self._format = self.started.format
        self._seconds_a_byte = self._format.seconds_a_byte
        return self.started

    def _read_media(self, media: Object, sequence: int | None) -> AudioFrame | None:
        payload = _decoded(media.get("payload"))
        if payload is None:
            self.malformed += 1
            return None
        if self.started is None:
            self.unframed += 1
            return None
        track = text(media, "track")
        if track is None:
            track = self.started.tracks[0] if self.started.tracks else TRACKS[0]
        return self._frame(payload, track[:64], _count(media, "timestamp"), _count(media, "chunk"), sequence)

    def _frame(
        self, payload: bytes, track: str, timestamp: int | None, chunk: int | None, sequence: int | None
    ) -> AudioFrame:
        """Make a frame, and count those that are missing before it.

        Frames are not sorted, since one connection keeps their order. A number that is not higher than the one before
        is no gap: the sender may have begun to count again.
        """
        known = self._tracks.get(track)
        if known is None:
            known = self._begin_track(track, timestamp or 0)
        elif chunk is not None and known.next is not None:
            self.missing += max(0, chunk - known.next)
        elif sequence is not None and self._sequence is not None:
            self.missing += max(0, sequence - self._sequence - 1)
        if timestamp is None:
            timestamp = round(known.end_ms)
        gap = round(timestamp - known.end_ms) if timestamp > known.end_ms else 0
        if len(payload) != known.size:
            a_byte = self._seconds_a_byte
            known.size = len(payload)
            known.duration = USUAL_SECONDS if a_byte is None else known.size * a_byte
            known.duration_ms = 1000 * known.duration
        known.next = None if chunk is None else chunk + 1
        known.end_ms = timestamp + known.duration_ms
        self._sequence = sequence
        return AudioFrame(known.name, timestamp, sequence, payload, self._format, known.duration, gap)

    def _begin_track(self, track: str, timestamp: int) -> _Track:
        # Some pages of the documentation call them `inbound_track` and `outbound_track`.
        known = _Track(track.removesuffix("_track"), None, float(timestamp))
        if len(self._tracks) < TRACKS_KEPT:
            self._tracks[track] = known
        return known


def _count(source: Object, key: str) -> int | None:
    value = whole(source, key)
    return value if value is not None and 0 <= value <= _MOST else None


def _decoded(payload: object) -> bytes | None:
    """Decode base64, of either alphabet, with its padding or without; ``None``: it is none."""
    if not isinstance(payload, str) or not payload.isascii():
        return None
    plain = payload.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
