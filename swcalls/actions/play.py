"""Playing: ``calling.play`` and what controls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .._core.operation import bounded
from ..call_leg import Leg
from ..commands import TTS, Direction, Gender, Media, Play, PlayVolume, Ringtone, Silence, media_item
from ..results import Playback
from ..words import PlayState
from .action import Pausable
from .start import ActionStart
from .verb_base import VerbBase, given

_LASTING = (Silence, Ringtone)
"""A tuple, since a union is made anew each time: 5 % of the time of an unsent ``play``."""


class PlayAction(Pausable[Playback]):
    """A playback. States: ``playing``, ``paused``, ``finished``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.play"

    if TYPE_CHECKING:

        @property
        def state(self) -> PlayState | None: ...

    async def pause(self) -> Leg:
        """Pause the playback. Wire: ``calling.play.pause``."""
        return await self._pause()

    async def volume(self, db: float) -> Leg:
        """Set the volume to *db* decibels (-40 to 40). Wire: ``calling.play.volume``."""
        return await self._control("volume", PlayVolume(control_id=self._operation.key, volume=db))


class PlayVerbs(VerbBase):
    """The methods of a ``Call`` that play media."""

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

        ::

            await call.play(TTS("Welcome."), Audio("https://example.com/jingle.mp3")).finished()

            async with call.play(Audio("https://example.com/music.mp3"), loop=0):  # stopped when the block ends
                answer = await look_it_up()

        Args:
            volume: dB, -40 to 40.
            direction: Who hears it: ``listen``, ``speak`` or ``both``.
            loop: How often *media* are played; 0: endlessly.
            language: Of each TTS without one of its own; likewise *voice* and *gender*.
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
        """Speak *text*: ``play(TTS(text), ...)``. ``await call.say("Hi.").finished()`` returns when it was said."""
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
    """Return how many seconds *media* last; ``None``: not known, or endless."""
    seconds = 0.0
    for item in media:
        length = item.duration if isinstance(item, _LASTING) else None
        if length is None:
            return None
        seconds += length
    return seconds * (1 if loop is None else loop) or None
