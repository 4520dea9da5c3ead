"""The handle of ``calling.play``."""

from __future__ import annotations

from typing import ClassVar

from ..commands import PlayVolume
from ..legs import Leg
from ..results import Playback
from ._base import Pausable


class PlayAction(Pausable[Playback]):
    """A playback. States: ``playing``, ``paused``, ``finished``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.play"

    async def pause(self) -> Leg:
        """Pause the playback."""
        return await self._control("pause")

    async def volume(self, db: float) -> Leg:
        """Set the volume to *db* decibels (-40 to 40)."""
        return await self._control("volume", PlayVolume(control_id=self.key, volume=db))
