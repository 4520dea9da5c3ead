"""Samples as the simulated platform sends them: mu-law, A-law, or 16 bits in either byte order."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import NamedTuple

from .audio_sounds import Samples

_CODEC = re.compile(r"(PCMU|PCMA|L16)(?:@([0-9]+)h)?(?:@([0-9]+)i)?\Z")
_RATES = {"PCMU": (8000,), "PCMA": (8000,), "L16": (16000, 24000)}
_NAMES = {"PCMU": "audio/x-mulaw", "PCMA": "audio/x-alaw", "L16": "audio/x-L16"}


class Encoding(NamedTuple):
    """The codec, the rate and the byte order of the audio on the wire."""

    codec: str
    rate: int
    frame_ms: int
    big_endian: bool = False

    @property
    def name(self) -> str:
        """Its name in the start message."""
        return _NAMES[self.codec]

    @property
    def samples_a_frame(self) -> int:
        return self.rate * self.frame_ms // 1000

    def encode(self, samples: Samples) -> bytes:
        """Return the payload of a frame."""
        if self.codec != "L16":
            table = _codes(self.codec)
            return bytes([table[sample + 32768 >> 2] for sample in samples])
        if (sys.byteorder == "big") != self.big_endian:
            samples = samples[:]
            samples.byteswap()
        return samples.tobytes()


def encoding(codec: str | None, frame_ms: int = 20) -> Encoding | None:
    """Return the encoding that *codec* names: ``PCMU``, ``L16@16000h``, ``PCMU@40i``; ``None`` if there is no such."""
    match = _CODEC.match("PCMU" if codec is None else codec)
    if match is None:
        return None
    name, rate, length = match.groups()
    chosen = int(rate) if rate else _RATES[name][0]
    if chosen not in _RATES[name]:
        return None
    return Encoding(name, chosen, int(length) if length else frame_ms)


@lru_cache
def _codes(codec: str) -> bytes:
    """Return the code of every fourth sample from -32768 on: both laws give samples in between the same code."""
    code = _mulaw if codec == "PCMU" else _alaw
    return bytes(code(sample) for sample in range(-32768, 32768, 4))


def _mulaw(sample: int) -> int:
    """Compress one sample. Standard: ITU-T G.711, mu-law."""
    magnitude = min(abs(sample), 32635) + 132
    segment = magnitude.bit_length() - 8
    code = segment << 4 | magnitude >> segment + 3 & 0x0F
    return ~(code | (0x80 if sample < 0 else 0)) & 0xFF


def _alaw(sample: int) -> int:
    """Compress one sample. Standard: ITU-T G.711, A-law."""
    magnitude = min(sample if sample >= 0 else ~sample, 32767)
    segment = max(0, magnitude.bit_length() - 8)
    code = segment << 4 | magnitude >> max(4, segment + 3) & 0x0F
    return (code | (0x80 if sample >= 0 else 0)) ^ 0x55
