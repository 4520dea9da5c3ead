"""What the simulator lets be heard, and how it is encoded: checked without any code of the client but its decoder."""

from __future__ import annotations

import array
import math
import struct
import wave
from pathlib import Path
from typing import Any

import pytest

from swcalls._core.g711 import ALAW, MULAW
from swcalls.testing import AudioFaults, Callee
from swcalls.testing.audio_codecs import Encoding, encoding
from swcalls.testing.audio_sounds import Sound, key, mixed, silence, sound_of, speech, tone


def rms(samples: Any) -> float:
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def strength(samples: Any, frequency: float, rate: int) -> float:
    """How much of *frequency* is in *samples* (the Goertzel algorithm, in its simplest form)."""
    real = sum(sample * math.cos(2 * math.pi * frequency * n / rate) for n, sample in enumerate(samples))
    imaginary = sum(sample * math.sin(2 * math.pi * frequency * n / rate) for n, sample in enumerate(samples))
    return math.hypot(real, imaginary) / len(samples)


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_a_tone_has_its_frequency_and_goes_on_without_a_click(rate: int) -> None:
    sound = tone(440)
    whole = sound.samples(0.98, rate // 10, rate)
    parts = sound.samples(0.98, rate // 20, rate) + sound.samples(1.03, rate // 20, rate)
    assert whole == parts
    assert strength(whole, 440, rate) > 20 * strength(whole, 600, rate)
    assert rms(whole) == pytest.approx(8000 / math.sqrt(2), rel=0.01)


def test_a_key_is_heard_as_its_two_tones() -> None:
    samples = key("5").samples(0, 800, 8000)
    heard = {frequency: strength(samples, frequency, 8000) for frequency in (697, 770, 852, 1209, 1336, 1477)}
    assert set(sorted(heard, key=heard.__getitem__)[-2:]) == {770, 1336}


def test_speech_comes_and_goes_and_is_the_same_each_time() -> None:
    samples = speech().samples(0, 8000 * 4, 8000)
    levels = [rms(samples[start : start + 160]) for start in range(0, len(samples), 160)]
    assert max(levels) > 1000
    assert levels.count(0.0) > 10
    assert speech().samples(1.5, 100, 8000) == samples[12000:12100]


def test_silence_and_what_is_over_have_no_sound() -> None:
    assert not any(silence.samples(3.0, 100, 8000))
    once = Sound(lambda rate: array.array("h", [5] * rate), repeats=False)
    assert list(once.samples(0.9999, 4, 10_000)) == [5, 0, 0, 0]


def test_sounds_at_the_same_time_are_added_and_never_wrap_around() -> None:
    loud = array.array("h", [30_000, -30_000, 1])
    assert list(mixed([loud, loud], 3)) == [32767, -32768, 2]
    assert list(mixed([], 2)) == [0, 0]


def test_a_file_is_heard_at_any_rate(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(struct.pack("<6h", 1, -1, 2, -2, 3, -3))
    sound = sound_of(str(path))
    assert list(sound.samples(0, 5, 8000)) == [1, 2, 3, 0, 0]
    assert list(sound.samples(0, 7, 16000)) == [1, 1, 2, 2, 3, 3, 0]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_a_file_that_is_no_sound_is_refused_by_the_callee(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"sound=.* must be silence, tone, speech, or the path of a WAV file"):
        Callee(sound=str(path))


@pytest.mark.parametrize("sound", ["", "nowhere.wav", 5, None])
def test_a_sound_is_one_that_is_known(sound: Any) -> None:
    with pytest.raises(ValueError, match="sound="):
        Callee(sound=sound)


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        (None, ("PCMU", 8000, 20)), ("PCMU", ("PCMU", 8000, 20)), ("PCMU@8000h", ("PCMU", 8000, 20)),
        ("PCMU@40i", ("PCMU", 8000, 40)), ("PCMA", ("PCMA", 8000, 20)), ("L16@16000h", ("L16", 16000, 20)),
        ("L16@24000h@40i", ("L16", 24000, 40)), ("OPUS", None), ("PCMU@16000h", None), ("L16@8000h", None),
    ],
)  # fmt: skip
def test_codecs_that_the_platform_names(codec: str | None, expected: tuple[str, int, int] | None) -> None:
    found = encoding(codec)
    assert (found and (found.codec, found.rate, found.frame_ms)) == expected


@pytest.mark.parametrize(("codec", "table"), [("PCMU", MULAW), ("PCMA", ALAW)])
def test_every_sample_becomes_a_code_that_is_close(codec: str, table: tuple[int, ...]) -> None:
    samples = range(-32768, 32768, 7)
    codes = Encoding(codec, 8000, 20).encode(array.array("h", samples))
    for sample, code in zip(samples, codes, strict=True):
        # A law has 16 steps for each doubling of the level, and mu-law counts levels from -132.
        assert abs(table[code] - sample) <= max(8, (abs(sample) + 200) / 31)


def test_each_code_is_its_own() -> None:
    for codec, table in (("PCMU", MULAW), ("PCMA", ALAW)):
        codes = Encoding(codec, 8000, 20).encode(array.array("h", table))
        assert [table[code] for code in codes] == list(table)


def test_l16_goes_out_in_either_byte_order() -> None:
    samples = array.array("h", [1, -2])
    assert Encoding("L16", 16000, 20).encode(samples) == struct.pack("<2h", 1, -2)
    assert Encoding("L16", 16000, 20, big_endian=True).encode(samples) == struct.pack(">2h", 1, -2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_delay", -1), ("start_delay", "1"), ("drops_after", -1), ("stalls", (1,)), ("stalls", (1, -1)),
        ("stalls", 5), ("loses_every", 0), ("loses_every", 1.5), ("codec", "OPUS"), ("codec", ""), ("frame_ms", 25),
        ("frame_ms", 130), ("frame_ms", True),
    ],
)  # fmt: skip
def test_audio_faults_are_checked(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"AudioFaults: {name}="):
        AudioFaults(**{name: value})
