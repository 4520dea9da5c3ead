"""The handle of ``calling.record``."""

from __future__ import annotations

from typing import ClassVar

from ..commands import PauseBehavior, RecordPause
from ..legs import Leg
from ..results import Recording
from ._base import Pausable


class RecordAction(Pausable[Recording]):
    """A recording. States: ``recording``, ``paused``, ``finished``, ``no_input``.

    Its last event, with the URL, usually comes after the end of the call; it has the longer grace.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.record"

    async def pause(self, behavior: PauseBehavior | None = None) -> Leg:
        """Pause the recording: ``skip`` (the platform's default) cuts the pause out, ``silence`` keeps its length."""
        return await self._control("pause", RecordPause(control_id=self.key, behavior=behavior))
