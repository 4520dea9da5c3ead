"""Mu-law and A-law, checked for every code against tables and rules of the standard."""

from __future__ import annotations

import math
import struct
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swcalls._core import g711
from swcalls._core.g711 import ALAW, MULAW, Decoder

CODES = bytes(range(256))
# Of what audioop.ulaw2lin and audioop.alaw2lin of Python 3.11 make of all 256 codes.
AUDIOOP = {
    "mulaw": "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827",
    "alaw": "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174",
}


@pytest.mark.parametrize(("decoder", "table"), [(g711.mulaw, MULAW), (g711.alaw, ALAW)])
def test_every_code_becomes_the_sample_of_its_table(decoder: Decoder, table: tuple[int, ...]) -> None:
    assert struct.unpack("<256h", decoder.decode(CODES)) == table


@pytest.mark.parametrize(("name", "decoder"), [("mulaw", g711.mulaw), ("alaw", g711.alaw)])
def test_all_codes_are_decoded_as_the_standard_library_used_to(name: str, decoder: Decoder) -> None:
    assert sha256(decoder.decode(CODES)).hexdigest() == AUDIOOP[name]


@pytest.mark.parametrize(
    ("table", "code", "sample"),
    [
        # The first and the last value of segments, from the tables of ITU-T G.711, scaled to 16 bits.
        (MULAW, 0x80, 32124), (MULAW, 0x8F, 16764), (MULAW, 0x90, 15996), (MULAW, 0xFF, 0), (MULAW, 0x7F, 0),
        (MULAW, 0x00, -32124), (MULAW, 0xFE, 8), (MULAW, 0x7E, -8), (MULAW, 0xEF, 132),
        (ALAW, 0xD5, 8), (ALAW, 0x55, -8), (ALAW, 0xAA, 32256), (ALAW, 0x2A, -32256), (ALAW, 0xC5, 264), (ALAW, 0xA5, 16896),
    ],
)  # fmt: skip
def test_codes_of_the_standard(table: tuple[int, ...], code: int, sample: int) -> None:
    assert table[code] == sample


@pytest.mark.parametrize("table", [MULAW, ALAW])
def test_the_two_signs_mirror_each_other_and_magnitudes_grow(table: tuple[int, ...]) -> None:
    mask = 0x55 if table is ALAW else 0xFF
    magnitudes = [abs(table[(code ^ mask) & 0x7F | 0x80]) for code in range(128)]
    assert magnitudes == sorted(set(magnitudes))
    assert all(table[code] == -table[code ^ 0x80] for code in range(256))


@given(st.binary(max_size=400), st.sampled_from([(g711.mulaw, MULAW), (g711.alaw, ALAW)]))
def test_energy_is_the_sum_of_the_squares(codes: bytes, law: tuple[Decoder, tuple[int, ...]]) -> None:
    decoder, table = law
    samples = struct.unpack(f"<{len(codes)}h", decoder.decode(codes))
    assert samples == tuple(table[code] for code in codes)
    assert decoder.energy(codes) == sum(sample * sample for sample in samples)
    assert math.isfinite(decoder.energy(codes))
