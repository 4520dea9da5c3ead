"""Playing: ``calling.play`` and what controls it."""

from __future__ import annotations

from typing import ClassVar

from .._core.operation import bounded
from ..call_leg import Leg
from ..commands import TTS, Direction, Gender, Media, Play, PlayVolume, Ringtone, Silence, media_item
from ..results import Playback
from .action import Pausable
from .start import ActionStart
from .verb_base import VerbBase, given


class PlayAction(Pausable[Playback]):
    """A playback. States: ``playing``, ``paused``, ``finished``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.play"

    async def pause(self) -> Leg:
        """Pause the playback. Wire: ``calling.play.pause``."""
        return await self._pause()

    async def volume(self, db: float) -> Leg:
        """Set the volume to *db* decibels (-40 to 40). Wire: ``calling.play.volume``."""
        return await self._control("volume", PlayVolume(control_id=self._operation.key, volume=db))


class PlayVerbs(VerbBase):
    """Plays media on a call."""

    __slots__ = ()

    def play(
        self,
        *media: Media,
        volume: float | None = None,
        direction: Direction | None = None,
        loop: int | None = None,
        language: str | None = None,
        voice: str | None = None,
        gender: Gender | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[PlayAction, Playback]:
        """Play *media* (``Audio``, ``TTS``, ``Silence``, ``Ringtone``), in turn. Wire: ``calling.play``.

        Args:
            volume: dB, -40 to 40.
            direction: Who hears it: ``listen``, ``speak`` or ``both``.
            loop: How often in all; 0 is endless.
            language: For each TTS that names none; *voice* and *gender* likewise.
        """
        command = Play(
            control_id=given(control_id),
            status_url=status_url,
            play=[media_item(item) for item in media],
            volume=volume,
            direction=direction,
            loop=loop,
            language=language,
            voice=voice,
            gender=gender,
        )
        return self._start(PlayAction, command, deadline, bounded(_length(media, loop)))

    def say(
        self,
        text: str,
        *,
        volume: float | None = None,
        direction: Direction | None = None,
        loop: int | None = None,
        language: str | None = None,
        voice: str | None = None,
        gender: Gender | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[PlayAction, Playback]:
        """Speak *text*: ``play(TTS(text), ...)``."""
        start = self.play(
            TTS(text),
            volume=volume,
            direction=direction,
            loop=loop,
            language=language,
            voice=voice,
            gender=gender,
            control_id=control_id,
            status_url=status_url,
            deadline=deadline,
        )
        start.rename("Call.say")
        return start


def _length(media: tuple[Media, ...], loop: int | None) -> float | None:
    """Say how many seconds *media* last, if they say so themselves; ``None`` when nobody can tell, or for ever."""
    seconds = [item.duration for item in media if isinstance(item, Silence | Ringtone)]
    known = [length for length in seconds if length is not None]
    passes = 1 if loop is None else loop
    return sum(known) * passes or None if len(known) == len(media) else None
