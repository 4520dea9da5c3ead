"""One frame of a call's audio. The payload is kept as received, and decoded when ``pcm`` is read."""

from __future__ import annotations

import array
import math
import sys
from itertools import pairwise
from operator import mul
from typing import Literal

from msgspec import Struct

from . import g711

ByteOrder = Literal["little", "big"]
Codec = Literal["mulaw", "alaw", "l16"]

_CODECS: dict[str, Codec] = {
    **dict.fromkeys(("mulaw", "ulaw", "pcmu", "g711u"), "mulaw"),
    **dict.fromkeys(("alaw", "pcma", "g711a"), "alaw"),
    **dict.fromkeys(("l16", "linear16", "pcm16"), "l16"),
}
_G711 = {"mulaw": g711.mulaw, "alaw": g711.alaw}

USUAL_SECONDS = 0.02
"""The assumed length of a frame, in seconds, if its samples cannot be counted; telephony uses it nearly always."""


class AudioFormat(Struct, frozen=True, kw_only=True):
    """The form of a stream's audio, as its ``start`` message says it."""

    encoding: str
    """As it came, for example ``audio/x-mulaw`` or ``audio/x-L16``; ``""`` when it was not told."""
    sample_rate: int
    """Samples a second; 0 when it was not told and does not follow from the encoding."""
    channels: int = 1
    byte_order: ByteOrder = "little"
    """Of L16, which the platform does not document: what ``Call.listen`` was told."""
    codec: Codec | None = None
    """The encoding, if it is one that can be decoded here."""

    @property
    def is_decodable(self) -> bool:
        """Whether ``AudioFrame.pcm`` can be had."""
        return self.codec is not None

    @property
    def seconds_a_byte(self) -> float | None:
        """How many seconds a byte of audio lasts; ``None``: it is not known."""
        bytes_a_second = self.sample_rate * self.channels * (2 if self.codec == "l16" else 1)
        return 1 / bytes_a_second if self.codec is not None and bytes_a_second else None


def codec_of(encoding: str) -> Codec | None:
    """Return the codec that *encoding* names, as ``audio/x-mulaw`` or ``PCMU``; ``None``: one that is not known."""
    name = encoding.partition(";")[0].strip().lower().removeprefix("audio/").removeprefix("x-")
    return _CODECS.get(name.replace("-", "").replace("_", ""))


class AudioFrame(Struct, gc=False):
    """Some milliseconds (as a rule 20) of one track of a call.

    ``pcm`` and ``rms()`` decode the payload each time they are asked for.
    """

    track: str
    """``inbound``: what the platform hears from the call; ``outbound``: what it plays to it."""
    timestamp_ms: int
    """Milliseconds since the stream began, as the platform counts them."""
    sequence: int | None
    """The number of its message, in the order of all messages of the stream; ``None``: it had none."""
    payload: bytes
    """The audio as it came."""
    format: AudioFormat
    duration: float
    """Seconds of audio; 0.02 where they cannot be counted."""
    gap_ms: int = 0
    """Milliseconds without audio between the end of the frame before, on the same track, and this one."""
    dropped_before: int = 0
    """How many frames were dropped here, just before this one, since the reader was too slow."""

    def __repr__(self) -> str:
        return f"<AudioFrame {self.track} at {self.timestamp_ms} ms, {len(self.payload)} bytes>"

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return self.format.sample_rate

    @property
    def pcm(self) -> bytes:
        """The audio as 16-bit little-endian samples, whatever came over the wire.

        Raises:
            ValueError: The encoding is not known here; ``payload`` has the audio as it came.
        """
        codec, payload = self.format.codec, self.payload
        if codec == "l16":
            payload = payload[: len(payload) & ~1]
            return payload if self.format.byte_order == "little" else _swapped(payload)
        if codec is None:
            raise ValueError(
                f"encoding={self.format.encoding!r} must be mu-law, A-law or L16 to be decoded; use payload, or ask "
                "for another codec"
            )
        return _G711[codec].decode(payload)

    def rms(self) -> float:
        """Return the level: the root mean square of the samples, 0 (silence) to 32768.

        Raises:
            ValueError: As of ``pcm``.
        """
        decoder = _G711.get(self.format.codec or "")
        if decoder is not None:
            return math.sqrt(decoder.energy(self.payload) / len(self.payload)) if self.payload else 0.0
        samples = _samples(self.pcm)
        return math.sqrt(sum(map(mul, samples, samples)) / len(samples)) if samples else 0.0


def seems_swapped(pcm: bytes) -> bool | None:
    """Return whether 16-bit samples seem to have the other byte order; ``None``: they are too quiet, or too few.

    From one sample to the next, sound changes little, and noise of swapped bytes changes much. Of tones, speech and
    comfort noise the sums of these changes differ by a factor of 25 or more, of white noise by 4.
    """
    changes = _changes(pcm)
    others = _changes(_swapped(pcm))
    if min(changes, others) < len(pcm):
        return None  # On average one step a sample: silence.
    return True if changes > 4 * others else False if others > 4 * changes else None


def _changes(pcm: bytes) -> int:
    samples = _samples(pcm)
    return sum(abs(after - before) for before, after in pairwise(samples))


def _samples(pcm: bytes) -> array.array[int]:
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _swapped(pcm: bytes) -> bytes:
    samples = array.array("h", pcm)
    samples.byteswap()
    return samples.tobytes()
