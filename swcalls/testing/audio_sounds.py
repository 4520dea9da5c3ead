"""What is heard on a simulated call: tones, speech-like bursts, silence, or a file. Knows nothing of calls."""

from __future__ import annotations

import array
import math
import os
import random
import sys
import wave
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

Samples: TypeAlias = "array.array[int]"

LOUD = 8000
"""The amplitude of a tone; full scale is 32767."""
_LOOP_SECONDS = 4
_KEYS = {
    digit: (low, high)
    for low, row in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True)
    for digit, high in zip(row, (1209, 1336, 1477, 1633), strict=True)
}


class Sound:
    """Something that can be heard: samples of 16 bits, at any rate, from any moment on.

    Args:
        make: Makes the samples for a rate, once.
        repeats: It begins again when it is over; else silence follows.
    """

    def __init__(self, make: Callable[[int], Samples], *, repeats: bool = True) -> None:
        self._make = lru_cache(make)
        self._repeats = repeats

    def samples(self, start: float, count: int, rate: int) -> Samples:
        """Return *count* samples, from *start* seconds after its beginning on."""
        known = self._make(rate)
        position = round(start * rate)
        if self._repeats and known:
            position %= len(known)
        found = known[position : position + count]
        while len(found) < count:
            found += known[: count - len(found)] if self._repeats and known else _silent(count - len(found))
        return found


def _silent(count: int) -> Samples:
    return array.array("h", bytes(2 * count))


def tone(*frequencies: int) -> Sound:
    """Make a tone; each of *frequencies* is a whole number of Hz."""

    def make(rate: int) -> Samples:
        level = LOUD / len(frequencies)
        steps = [2 * math.pi * frequency / rate for frequency in frequencies]
        return array.array("h", (round(sum(level * math.sin(step * n) for step in steps)) for n in range(rate)))

    return Sound(make)


def key(digit: str) -> Sound:
    """Make the tone of a key of a telephone (DTMF)."""
    return tone(*_KEYS[digit])


def speech(pitch: int = 120) -> Sound:
    """Make something with the rhythm of speech: syllables of a voice, and pauses between words."""

    def make(rate: int) -> Samples:
        chance = random.Random(pitch)  # noqa: S311 - the same each time
        sound = array.array("h")
        while len(sound) < rate * _LOOP_SECONDS:
            for _ in range(chance.randint(1, 4)):
                sound += _syllable(rate, pitch * chance.uniform(0.85, 1.2), chance.uniform(0.12, 0.25))
            sound += _silent(round(rate * chance.uniform(0.05, 0.3)))
        return sound[: rate * _LOOP_SECONDS]

    return Sound(make)


def _syllable(rate: int, pitch: float, seconds: float) -> Samples:
    count = round(rate * seconds)
    step = 2 * math.pi * pitch / rate
    swell = math.pi / count
    return array.array(
        "h",
        (
            round(LOUD * math.sin(swell * n) * (math.sin(step * n) + math.sin(3 * step * n) / 2) / 1.5)
            for n in range(count)
        ),
    )


silence = Sound(lambda rate: array.array("h"), repeats=False)


_TONE = tone(440)
_SPEECH = speech()


def wav(path: str | os.PathLike[str]) -> Sound:
    """Read a WAV file of 16-bit samples; of several channels the first is heard. It is played once.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such file.
    """
    try:
        with wave.open(os.fspath(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{os.fspath(path)!r} must be a WAV file of 16-bit samples: {error}") from None
    if width != 2:
        raise ValueError(f"{os.fspath(path)!r} must be a WAV file of 16-bit samples, and has {8 * width}")
    recorded = array.array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        recorded.byteswap()
    recorded = recorded[::channels]
    return Sound(lambda wanted: _at_rate(recorded, rate, wanted), repeats=False)


def _at_rate(recorded: Samples, rate: int, wanted: int) -> Samples:
    """Change the sample rate, by taking the nearest sample: good enough to be recognised."""
    if rate == wanted:
        return recorded
    count = len(recorded) * wanted // rate
    return array.array("h", (recorded[n * rate // wanted] for n in range(count)))


def mixed(sounds: list[Samples], count: int) -> Samples:
    """Put *sounds*, of *count* samples each, on top of each other."""
    if not sounds:
        return _silent(count)
    if len(sounds) == 1:
        return sounds[0]
    return array.array("h", (max(-32768, min(32767, sum(samples))) for samples in zip(*sounds, strict=True)))


@lru_cache
def sound_of(name: str) -> Sound:
    """Return the sound that a ``Callee`` names: ``silence``, ``tone``, ``speech``, or the path of a WAV file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no WAV file of 16-bit samples.
    """
    known = {"silence": silence, "tone": _TONE, "speech": _SPEECH}.get(name)
    return wav(name) if known is None else known


def is_sound(name: object) -> bool:
    """Return whether `sound_of` knows *name*; a file is read."""
    if not isinstance(name, str):
        return False
    try:
        sound_of(name)
    except (OSError, ValueError):
        return False
    return True
