"""What a frame says of its audio, and whether samples have the byte order that they should."""

from __future__ import annotations

import array
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swcalls._core.audio_frame import AudioFormat, AudioFrame, seems_swapped


def pcm(*samples: int) -> bytes:
    return array.array("h", samples).tobytes()


def swapped(data: bytes) -> bytes:
    samples = array.array("h", data)
    samples.byteswap()
    return samples.tobytes()


def l16(payload: bytes) -> AudioFrame:
    format = AudioFormat(encoding="audio/x-L16", sample_rate=16000, codec="l16")
    return AudioFrame(
        track="inbound", timestamp_ms=0, sequence=1, payload=payload, format=format, duration=len(payload) / 32000
    )


def test_the_level_of_l16() -> None:
    assert l16(pcm(3, -3, 3, -3)).rms() == 3.0
    assert l16(pcm(-32768)).rms() == 32768.0
    assert l16(b"").rms() == 0.0
    assert l16(b"\1").rms() == 0.0


def test_a_repr_has_no_audio_in_it() -> None:
    assert repr(l16(b"secret!!")) == "<AudioFrame inbound at 0 ms, 8 bytes>"


def test_the_length_follows_from_the_format() -> None:
    assert l16(bytes(640)).duration == 0.02
    assert l16(bytes(640)).sample_rate == 16000


def tone(frequency: float, level: float, rate: int = 16000, seconds: float = 0.1) -> bytes:
    return pcm(*(round(level * math.sin(2 * math.pi * frequency * n / rate)) for n in range(int(rate * seconds))))


COMFORT_NOISE = pcm(*random.Random(1).choices(range(-8, 9), k=800))


@pytest.mark.parametrize("sound", [tone(440, 8000), tone(1000, 300), tone(200, 30000), COMFORT_NOISE])
def test_the_byte_order_of_sound_can_be_told(sound: bytes) -> None:
    assert seems_swapped(sound) is False
    assert seems_swapped(swapped(sound)) is True


@pytest.mark.parametrize("silence", [b"", bytes(2), bytes(640), pcm(1, 0) * 100])
def test_the_byte_order_of_silence_cannot(silence: bytes) -> None:
    assert seems_swapped(silence) is None


@given(st.binary(max_size=200).map(lambda data: data[: len(data) & ~1]))
def test_the_two_orders_never_both_seem_right(data: bytes) -> None:
    answers = {seems_swapped(data), seems_swapped(swapped(data))}
    assert answers in ({None}, {True, False})
