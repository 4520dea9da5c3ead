"""The handle of ``calling.stream``."""

from __future__ import annotations

from typing import ClassVar

from ..results import StreamResult
from ._base import Stoppable


class StreamAction(Stoppable[StreamResult]):
    """A stream of the call's audio. States: ``streaming``, ``finished``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.stream"
