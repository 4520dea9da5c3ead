"""Detecting who or what answered: ``calling.detect`` and what controls it."""

from __future__ import annotations

from typing import ClassVar

from .._core.operation import Options
from ..commands import Detect, DetectMachine, Detector, detector_item
from ..results import Detection
from .action import Stoppable
from .start import ActionStart
from .verb_base import VerbBase, given

TIMEOUT = 30.0
"""Seconds that a detector runs without a *timeout*. Source: the platform's documentation."""


class DetectAction(Stoppable[Detection]):
    """A running detector.

    ``finished()`` returns when the answer can no longer change: HUMAN, UNKNOWN, a fax tone or digits at once; MACHINE
    at once without ``detect_message_end``, else when the greeting is over (READY), or at the end of the run. A run that
    ends without an answer has a result with ``event=None``. ``reached("READY")`` is the moment to leave a message.
    The run may go on after the answer; iterators get its events to the end.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.detect"


class DetectVerbs(VerbBase):
    """The method of a ``Call`` that runs a detector."""

    __slots__ = ()

    def detect(
        self,
        detector: Detector | None = None,
        *,
        timeout: float | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[DetectAction, Detection]:
        """Find out who or what answered: a ``DetectMachine`` (the default), ``DetectFax`` or ``DetectDigit``.

        See ``DetectAction`` for what ``finished()`` waits for. Wire: ``calling.detect``.

        Args:
            timeout: Seconds that the detector runs at most (>= 0; the platform's default is 30).
        """
        detector = DetectMachine() if detector is None else detector
        command = Detect(
            control_id=given(control_id), status_url=status_url, detect=detector_item(detector), timeout=timeout
        )
        follows = isinstance(detector, DetectMachine) and detector.detect_message_end
        bound = TIMEOUT if timeout is None else timeout or None
        return self._start(DetectAction, command, deadline, Options(message_end=follows, bound=bound))
