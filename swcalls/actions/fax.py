"""Faxes. Only a dialplan can start a fax: use ``call.action`` to follow it, and ``stop`` to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..call_leg import Leg
from ..commands import Control
from ..results import FaxResult
from ..words import FaxState
from .action import Stoppable
from .verb_base import VerbBase


class SendFaxAction(Stoppable[FaxResult]):
    """A fax that is being sent. States: ``page``, ``finished`` (``success`` of the event says whether it succeeded)."""

    __slots__ = ()
    family: ClassVar[str] = "calling.send_fax"

    if TYPE_CHECKING:

        @property
        def state(self) -> FaxState | None: ...


class ReceiveFaxAction(Stoppable[FaxResult]):
    """A fax that is being received. The states are those of ``SendFaxAction``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.receive_fax"

    if TYPE_CHECKING:

        @property
        def state(self) -> FaxState | None: ...


class FaxVerbs(VerbBase):
    """The methods of a ``Call`` that stop faxes."""

    __slots__ = ()

    async def send_fax_stop(self, control_id: str) -> Leg:
        """Stop a fax that is being sent. Wire: ``calling.send_fax.stop``."""
        return await self._send("calling.send_fax.stop", Control(control_id=control_id))

    async def receive_fax_stop(self, control_id: str) -> Leg:
        """Stop a fax that is being received. Wire: ``calling.receive_fax.stop``."""
        return await self._send("calling.receive_fax.stop", Control(control_id=control_id))
