"""Recording: ``calling.record`` and what controls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .._core.operation import bounded
from ..call_leg import Leg
from ..commands import Direction, Format, PauseBehavior, Record, RecordAudio, RecordParams, RecordPause, refuse_none
from ..results import Recording
from ..words import RecordState
from .action import Pausable
from .start import ActionStart
from .verb_base import VerbBase, given


class RecordAction(Pausable[Recording]):
    """A recording. States: ``recording``, ``paused``, ``finished``, ``no_input``.

    The last event, with the URL, usually comes after the end of the call: the grace is ``Limits.long_grace``.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.record"

    if TYPE_CHECKING:

        @property
        def state(self) -> RecordState | None: ...

    async def pause(self, behavior: PauseBehavior | None = None) -> Leg:
        """Pause the recording. Wire: ``calling.record.pause``.

        Args:
            behavior: ``skip`` (the platform's default) leaves the pause out, ``silence`` records silence.
        """
        return await self._pause(RecordPause(control_id=self._operation.key, behavior=behavior))


class RecordVerbs(VerbBase):
    """The method of a ``Call`` that records it."""

    __slots__ = ()

    def record(
        self,
        *,
        format: Format | None = None,
        stereo: bool | None = None,
        direction: Direction = "both",
        beep: bool | None = None,
        initial_timeout: float = 0,
        end_silence_timeout: float = 0,
        max_length: int | None = None,
        terminators: str = "",
        input_sensitivity: float | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[RecordAction, Recording]:
        """Record both parties until the recording is stopped or the call ends. Wire: ``calling.record``.

        The platform's own defaults would record one party, and stop at the first half second of silence or at ``#``.

        ::

            async with call.record(stereo=True) as recording:  # stopped when the block ends
                await talk(call)
            print((await recording.finished()).url)

            message = await call.record(beep=True, end_silence_timeout=3, max_length=120).finished()

        Args:
            format: ``mp3``, ``wav`` or ``mp4``.
            stereo: Each party on a channel of its own.
            direction: Whose voice: ``listen``, ``speak`` or ``both``.
            beep: Play a beep before the recording starts.
            initial_timeout: Seconds to wait for a voice (>= 0, 0: no limit); after that the result is ``no_input``.
            end_silence_timeout: Seconds of silence that end the recording (>= 0, 0: silence does not).
            max_length: Seconds (>= 0, 0: no limit).
            terminators: Digits that end the recording, of ``0-9 A-D * #``.
            input_sensitivity: 0 to 100.
        """
        refuse_none(
            Record.command,
            direction=direction,
            initial_timeout=initial_timeout,
            end_silence_timeout=end_silence_timeout,
            terminators=terminators,
        )
        audio = RecordAudio(
            format=format,
            stereo=stereo,
            direction=direction,
            beep=beep,
            initial_timeout=initial_timeout,
            end_silence_timeout=end_silence_timeout,
            max_length=max_length,
            terminators=terminators,
            input_sensitivity=input_sensitivity,
        )
        command = Record(control_id=given(control_id), status_url=status_url, record=RecordParams(audio=audio))
        return self._start(RecordAction, command, deadline, bounded(max_length or None))
