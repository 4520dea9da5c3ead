"""Samples as the simulated platform sends them: mu-law, A-law, or 16 bits in either byte order."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

from swcalls._core.g711 import ALAW, MULAW

from .audio_sounds import Samples

_CODEC = re.compile(r"(PCMU|PCMA|L16)(?:@([0-9]+)h)?(?:@([0-9]+)i)?\Z")
_RATES = {"PCMU": (8000,), "PCMA": (8000,), "L16": (16000, 24000)}
_NAMES = {"PCMU": "audio/x-mulaw", "PCMA": "audio/x-alaw", "L16": "audio/x-L16"}
_TABLES = {"PCMU": MULAW, "PCMA": ALAW}


class Encoding(NamedTuple):
    """How audio goes over the wire."""

    codec: str
    rate: int
    frame_ms: int
    big_endian: bool = False

    @property
    def name(self) -> str:
        """What the start message calls it."""
        return _NAMES[self.codec]

    @property
    def samples_a_frame(self) -> int:
        return self.rate * self.frame_ms // 1000

    def encode(self, samples: Samples) -> bytes:
        """Return the payload of a frame."""
        if self.codec != "L16":
            table = _codes(self.codec)
            return bytes([table[sample + 32768 >> 3] for sample in samples])
        if (sys.byteorder == "big") != self.big_endian:
            samples = samples[:]
            samples.byteswap()
        return samples.tobytes()


def encoding(codec: str | None, frame_ms: int = 20) -> Encoding | None:
    """Read what a command asks for: ``PCMU``, ``L16@16000h``, ``PCMU@40i``, …; ``None``: the platform has no such."""
    match = _CODEC.match(codec or "PCMU")
    if match is None:
        return None
    name, rate, length = match.groups()
    chosen = int(rate) if rate else _RATES[name][0]
    if chosen not in _RATES[name]:
        return None
    return Encoding(name, chosen, int(length) if length else frame_ms)


@lru_cache
def _codes(codec: str) -> bytes:
    """Return the nearest code for every eighth sample."""
    table = _TABLES[codec]
    ordered = sorted(range(256), key=table.__getitem__)
    values = [table[code] for code in ordered]
    codes = bytearray()
    for sample in range(-32768, 32768, 8):
        at = min(bisect_left(values, sample), 255)
        if at and sample - values[at - 1] < values[at] - sample:
            at -= 1
        codes.append(ordered[at])
    return bytes(codes)
