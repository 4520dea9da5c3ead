"""Mu-law and A-law as 16-bit samples. Standard: ITU-T G.711.

``audioop`` left the standard library in Python 3.13. Two calls of ``bytes.translate``, for the low and the high byte of
each sample, take under 1 us for 20 ms of audio.
"""

from __future__ import annotations


def _mulaw_sample(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _alaw_sample(code: int) -> int:
    code ^= 0x55
    magnitude = (code & 0x0F) << 4
    segment = code >> 4 & 7
    magnitude = magnitude + 8 if segment == 0 else magnitude + 0x108 << segment - 1
    return magnitude if code & 0x80 else -magnitude


MULAW: tuple[int, ...] = tuple(map(_mulaw_sample, range(256)))
"""The sample, -32124 to 32124, of each mu-law code."""
ALAW: tuple[int, ...] = tuple(map(_alaw_sample, range(256)))
"""The sample, -32256 to 32256, of each A-law code."""


class Decoder:
    """Turns codes, one byte each, into 16-bit little-endian samples. *samples* has one for each of the 256 codes."""

    __slots__ = ("_high", "_low", "_squares")

    def __init__(self, samples: tuple[int, ...]) -> None:
        self._low = bytes(sample & 0xFF for sample in samples)
        self._high = bytes(sample >> 8 & 0xFF for sample in samples)
        self._squares = tuple(sample * sample for sample in samples)

    def decode(self, codes: bytes) -> bytes:
        """Return the samples of *codes*, in two bytes each."""
        samples = bytearray(2 * len(codes))
        samples[::2] = codes.translate(self._low)
        samples[1::2] = codes.translate(self._high)
        return bytes(samples)

    def energy(self, codes: bytes) -> int:
        """Return the sum of the squares of all samples, without decoding them."""
        return sum(map(self._squares.__getitem__, codes))


mulaw = Decoder(MULAW)
alaw = Decoder(ALAW)
