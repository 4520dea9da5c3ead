"""Tapping: ``calling.tap`` and what controls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..commands import Direction, RtpDevice, Tap, TapAudio, TapDirection, WsDevice, device_item
from ..results import TapResult
from ..words import TapState
from .action import Stoppable
from .start import ActionStart
from .verb_base import VerbBase, given


class TapAction(Stoppable[TapResult]):
    """A tap: a copy of the call's audio is sent to a device. States: ``tapping``, ``finished``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.tap"

    if TYPE_CHECKING:

        @property
        def state(self) -> TapState | None: ...


class TapVerbs(VerbBase):
    """The method of a ``Call`` that taps its audio."""

    __slots__ = ()

    def tap(
        self,
        device: RtpDevice | WsDevice,
        *,
        direction: Direction = "both",
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[TapAction, TapResult]:
        """Send a copy of the call's audio to *device*. Wire: ``calling.tap``.

        Args:
            direction: Whose voice: ``listen``, ``speak`` or ``both``.
        """
        command = Tap(
            control_id=given(control_id),
            status_url=status_url,
            tap=TapAudio(params=TapDirection(direction=direction)),
            device=device_item(device),
        )
        return self._start(TapAction, command, deadline)
