"""The handle of ``calling.collect``."""

from __future__ import annotations

from typing import ClassVar

from ..legs import Leg
from ..results import CollectResult
from ._base import Stoppable


class CollectAction(Stoppable[CollectResult]):
    """A collect of digits or speech. Partial results and ``start_of_input`` are events, never its result.

    A continuous collect yields each result as an event, and ends when it is stopped or the call ends.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.collect"

    async def start_input_timers(self) -> Leg:
        """Start the clock of ``initial_timeout``, for a collect that was begun with ``start_input_timers=False``."""
        return await self._control("start_input_timers")
