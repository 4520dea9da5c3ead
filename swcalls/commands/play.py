"""``calling.play`` and what can be played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from ..errors import shown
from ._base import Command, Item, KeyedCommand, Value
from ._types import INT32_MAX, HttpUrl, Name, PositiveSeconds

Gender = Literal["male", "female"]
Direction = Literal["listen", "speak", "both"]
Decibels = Annotated[float, Meta(ge=-40, le=40, description="dB")]
RingtoneName = Literal[
    "au", "be", "ca", "cn", "cy", "cz", "de", "dk", "dz", "eg", "es", "fi", "fr", "hu", "il", "in", "jp",
    "ko", "pk", "pl", "ro", "rs", "ru", "sa", "tr", "uk", "us", "at", "bg", "br", "ch", "cl", "ee", "gr",
    "it", "lt", "mx", "my", "nl", "no", "nz", "ph", "pt", "se", "sg", "th", "za", "tw", "ve", "bong",
]  # fmt: skip
Voice = Annotated[
    str, Meta(pattern=r"^[\w.-]+\Z", description="a voice name, with no special characters other than . and -")
]


class Audio(Value, frozen=True):
    """Play an audio file from an http(s) *url*."""

    url: HttpUrl


class TTS(Value, frozen=True):
    """Speak *text*. The other parameters default to those of the command, then to the platform's (en-US, female)."""

    text: Name
    language: Name | None = None
    gender: Gender | None = None
    voice: Voice | None = None


class Silence(Value, frozen=True):
    """Play silence for *duration* seconds (> 0)."""

    duration: PositiveSeconds


class Ringtone(Value, frozen=True):
    """Play a country's ringtone (*name*, or ``bong``) for *duration* seconds (> 0); without it, until stopped."""

    name: RingtoneName
    duration: PositiveSeconds | None = None


class AudioItem(Item, frozen=True, tag_field="type", tag="audio"):
    params: Audio


class TTSItem(Item, frozen=True, tag_field="type", tag="tts"):
    params: TTS


class SilenceItem(Item, frozen=True, tag_field="type", tag="silence"):
    params: Silence


class RingtoneItem(Item, frozen=True, tag_field="type", tag="ringtone"):
    params: Ringtone


Media = Audio | TTS | Silence | Ringtone
MediaItem = AudioItem | TTSItem | SilenceItem | RingtoneItem

_ITEMS: dict[type, Any] = {
    Audio: AudioItem,
    TTS: TTSItem,
    Silence: SilenceItem,
    Ringtone: RingtoneItem,
}


def media_item(media: Media) -> MediaItem:
    """Return *media* in the form of an item of the wire's ``play``."""
    item = _ITEMS.get(type(media))
    if item is None:
        raise TypeError(f"calling.play: media={shown(media)} must be Audio, TTS, Silence or Ringtone")
    made: MediaItem = item(params=media)
    return made


class Play(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.play"
    called: ClassVar[Mapping[str, str]] = {"play": "media"}

    play: Annotated[list[MediaItem], Meta(min_length=1, description="at least one of Audio, TTS, Silence, Ringtone")]
    volume: Decibels | None = None
    direction: Direction | None = None
    loop: Annotated[int, Meta(ge=0, le=INT32_MAX, description="passes (0 is endless)")] | None = None
    language: Name | None = None
    voice: Voice | None = None
    gender: Gender | None = None


class PlayVolume(Command, kw_only=True):
    command: ClassVar[str] = "calling.play.volume"
    called: ClassVar[Mapping[str, str]] = {"volume": "db"}

    control_id: Name
    volume: Decibels
