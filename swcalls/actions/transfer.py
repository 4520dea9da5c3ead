"""Connecting a call elsewhere, and notifying its clients: ``refer``, ``transfer``, ``disconnect``, ``user_event``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .._engine.call_logging import log_address
from ..call_leg import Leg
from ..commands import Bare, Refer, ReferTo, SipItem, Transfer, UserEvent
from ..results import ReferResult
from ..words import ReferState
from .action import Action
from .start import ActionStart
from .verb_base import VerbBase


class ReferAction(Action[ReferResult]):
    """A SIP REFER. States: ``inProgress``, ``success``; any other is a failure (``cancel``, ``busy``, ``noAnswer``, …).

    The command has no ``control_id``: the id of this handle is sent in the callback URL only.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.refer"

    if TYPE_CHECKING:

        @property
        def state(self) -> ReferState | None: ...


class TransferVerbs(VerbBase):
    """The methods of a ``Call`` that connect it elsewhere, or notify its clients."""

    __slots__ = ()

    def refer(
        self,
        to: str,
        *,
        from_: str | None = None,
        username: str | None = None,
        password: str | None = None,
        control_id: str | None = None,
        status_url: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[ReferAction, ReferResult]:
        """Have the far end of a SIP call call *to* instead. Wire: ``calling.refer``.

        Args:
            to: A ``sip:`` address; so is *from_*.
        """
        device = SipItem(params=ReferTo(to=to, from_=from_, username=username, password=password))
        return self._start(ReferAction, Refer(device=device, status_url=status_url), deadline, key=control_id)

    async def transfer(self, dest: str | dict[str, Any]) -> Leg:
        """Transfer the call. Wire: ``calling.transfer``.

        Args:
            dest: An address as in ``dial``, the URL of a SWML document, or the document itself.
        """
        command = Transfer(dest=dest)
        log_address(Transfer.command, "dest", dest)
        leg = await self._engine.documents.replace(self._operation, Transfer.command, command)
        self._operation.handed_on = True
        return leg

    async def disconnect(self) -> Leg:
        """Disconnect the call from the call that it is bridged with; both stay up. Wire: ``calling.disconnect``."""
        return await self._send("calling.disconnect", Bare())

    async def user_event(self, event: dict[str, Any]) -> Leg:
        """Send *event*, any JSON object, to the call's connected clients. Wire: ``calling.user_event``."""
        return await self._send(UserEvent.command, UserEvent(event=event))
