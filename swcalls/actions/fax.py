"""Faxes, which only a dialplan can start: they can be attached to, followed and stopped."""

from __future__ import annotations

from typing import ClassVar

from ..call_leg import Leg
from ..commands import Control
from ..results import FaxResult
from .action import Stoppable
from .verb_base import VerbBase


class SendFaxAction(Stoppable[FaxResult]):
    """A fax that is being sent. States: ``page``, ``finished`` (it succeeds or fails by the event's ``success``)."""

    __slots__ = ()
    family: ClassVar[str] = "calling.send_fax"


class ReceiveFaxAction(Stoppable[FaxResult]):
    """A fax that is being received; as one that is sent."""

    __slots__ = ()
    family: ClassVar[str] = "calling.receive_fax"


class FaxVerbs(VerbBase):
    """Stops the faxes of a call."""

    __slots__ = ()

    async def send_fax_stop(self, control_id: str) -> Leg:
        """Stop a fax that is being sent. Wire: ``calling.send_fax.stop``."""
        return await self._send("calling.send_fax.stop", Control(control_id=control_id))

    async def receive_fax_stop(self, control_id: str) -> Leg:
        """Stop a fax that is being received. Wire: ``calling.receive_fax.stop``."""
        return await self._send("calling.receive_fax.stop", Control(control_id=control_id))
