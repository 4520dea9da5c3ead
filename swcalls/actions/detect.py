"""The handle of ``calling.detect``."""

from __future__ import annotations

from typing import ClassVar

from ..results import Detection
from ._base import Stoppable


class DetectAction(Stoppable[Detection]):
    """A detector at work.

    ``finished()`` returns when the answer can no longer change: HUMAN, UNKNOWN, a fax tone or digits at once; MACHINE
    at once without ``detect_message_end``, else when its greeting is over (READY), or at the end of the run. A run that
    ends with no answer is a result whose ``event`` is ``None``. ``reached("READY")`` is the moment to leave a message.
    The run may go on after the answer; iterators see it to its end.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.detect"
