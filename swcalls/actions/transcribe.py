"""Transcribing a whole call: ``calling.transcribe`` and what controls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..commands import Transcribe
from ..results import Transcript
from ..words import TranscribeState
from .action import Stoppable
from .start import ActionStart
from .verb_base import VerbBase, given


class TranscribeAction(Stoppable[Transcript]):
    """A transcription. States: ``completed``, ``failed``; there may be ``transcribing`` and ``finished`` before.

    The transcript is made after the end of the call, or after a stop, and may take long: the grace is
    ``Limits.transcript_grace``.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.transcribe"

    if TYPE_CHECKING:

        @property
        def state(self) -> TranscribeState | None: ...


class TranscribeVerbs(VerbBase):
    """The method of a ``Call`` that transcribes it."""

    __slots__ = ()

    def transcribe(
        self, *, control_id: str | None = None, status_url: str | None = None, deadline: float | None = None
    ) -> ActionStart[TranscribeAction, Transcript]:
        """Transcribe the call. A second one at the same time is a ``Conflict``. Wire: ``calling.transcribe``.

        ::

            transcript = await call.transcribe()
            await talk(call)
            await transcript.stop()
            print((await transcript.finished()).text)

        The text comes after the stop or after the end of the call. It may take minutes (``Limits.transcript_grace``).
        """
        command = Transcribe(control_id=given(control_id), status_url=status_url)
        return self._start(TranscribeAction, command, deadline)
