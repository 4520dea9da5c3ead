"""Detecting who or what answered: ``calling.detect`` and what controls it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from .._core.lifecycle import detection_so_far
from .._core.limits import check_number
from .._core.operation import Options
from ..commands import Detect, DetectMachine, Detector, detector_item
from ..errors import ActionExpired, shown
from ..results import Detection
from ..words import DetectState
from .action import Stoppable
from .start import ActionStart, ResultStart
from .verb_base import VerbBase, given

TIMEOUT = 30.0
"""Seconds that a detector runs without a *timeout*. Source: the platform's documentation."""

TO_THE_BEEP = 45.0
"""Seconds to wait for the end of a greeting: many are longer than the platform's 30."""


class DetectAction(Stoppable[Detection]):
    """A running detector.

    ``finished()`` returns when the answer can no longer change: HUMAN, UNKNOWN, a fax tone or digits at once; MACHINE
    at once without ``detect_message_end``, else when the greeting is over (READY), or at the end of the run. A run that
    ends without an answer has a result with ``event=None``. ``reached("READY")`` is the moment to leave a message.
    The run may go on after the answer; iterators get its events to the end.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.detect"

    if TYPE_CHECKING:

        @property
        def state(self) -> DetectState | None: ...


class DetectVerbs(VerbBase):
    """The methods of a ``Call`` that run a detector."""

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

        ::

            found = await call.detect(DetectMachine(detect_message_end=False)).finished()
            if found.is_machine:
                await call.end()

        To leave a message, use ``wait_for_beep``.

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

    def wait_for_beep(
        self, detector: DetectMachine | None = None, *, timeout: float = TO_THE_BEEP
    ) -> ResultStart[Detection]:
        """Find out whether a person or a machine answered; for a machine, return when its greeting is over.

        ::

            if (await call.wait_for_beep()).is_machine:
                await call.say("This is a message: your parcel is here.").finished()
            else:
                await call.say("Hello! Your parcel is here.").finished()

        A person is reported at once, a machine when a message can be left: after its beep, or a silence. In any case it
        returns, at the latest 10 seconds (``Limits.margin``) after *timeout*, with what is known by then:

        - ``is_human``: a person;
        - ``is_machine``: a machine; ``ready`` is ``False`` if it still spoke when the time was over;
        - neither: ``event`` is ``UNKNOWN`` when the detector cannot tell, ``None`` when it heard nothing in time, or
          nothing was reported.

        A detector that goes on after a greeting is stopped in the background. Wire: ``calling.detect``.

        Args:
            detector: How to tell machines; it must wait for the end of the message, as ``DetectMachine`` does unless it
                is told otherwise.
            timeout: Seconds that the detector runs at most (> 0).

        Raises:
            CallEnded: The callee has hung up.
            ActionFailed: The platform reported an error.
        """
        detector = DetectMachine() if detector is None else detector
        if not isinstance(detector, DetectMachine):
            raise TypeError(f"wait_for_beep: detector={shown(detector)} must be a DetectMachine")
        if not detector.detect_message_end:
            raise ValueError(f"wait_for_beep: detector={shown(detector)} must have detect_message_end=True")
        check_number("wait_for_beep: timeout", timeout, above=0, finite=True, unit="seconds")
        return ResultStart("Call.wait_for_beep", partial(self._to_the_beep, detector, timeout))

    async def _to_the_beep(self, detector: DetectMachine, timeout: float) -> Detection:
        start = self.detect(detector, timeout=timeout)
        action = start._action
        try:
            found = await start.finished()
        except ActionExpired:
            return detection_so_far(action._operation, action.last_event)
        if found.ready:
            # The run may go on until its timeout, and nobody has its handle.
            action._abandon()
        return found
