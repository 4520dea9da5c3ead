"""Commands to the AI agent of a call, and the noise filter. They start no action: the response completes them."""

from __future__ import annotations

from typing import Any

from .._core.limits import check_number
from ..call_leg import Leg
from ..commands import AIHold, AIMessage, AIStop, Bare, Reset, Role
from .verb_base import VerbBase


class AIVerbs(VerbBase):
    """The methods of a ``Call`` for its AI agent and its noise filter."""

    __slots__ = ()

    async def ai_hold(self, *, timeout: int | None = None, prompt: str | None = None) -> Leg:
        """Put the agent on hold. Wire: ``calling.ai_hold``.

        Args:
            timeout: Whole seconds (>= 0); sent as a string.
            prompt: What the agent says first.
        """
        if timeout is not None:
            check_number(f"{AIHold.command}: timeout", timeout, least=0, whole=True, unit="seconds")
        return await self._send(
            AIHold.command, AIHold(timeout=None if timeout is None else str(timeout), prompt=prompt)
        )

    async def ai_unhold(self) -> Leg:
        """Take the agent off hold. Wire: ``calling.ai_unhold``."""
        return await self._send("calling.ai_unhold", Bare())

    async def ai_message(
        self,
        *,
        role: Role | None = None,
        message_text: str | None = None,
        reset: Reset | None = None,
        global_data: dict[str, Any] | None = None,
    ) -> Leg:
        """Add a message or data to the agent's conversation. Wire: ``calling.ai_message``.

        Args:
            role: The author of *message_text*: ``system``, ``user`` or ``assistant``.
            reset: What the agent forgets.
            global_data: Merged into the data of the AI session.
        """
        command = AIMessage(role=role, message_text=message_text, reset=reset, global_data=global_data)
        return await self._send(AIMessage.command, command)

    async def ai_stop(self, *, control_id: str | None = None) -> Leg:
        """Stop the agent. Wire: ``calling.ai.stop``, which accepts a *control_id* and ignores it."""
        return await self._send(AIStop.command, AIStop(control_id=control_id))

    async def denoise(self) -> Leg:
        """Filter noise out of the call's audio. Wire: ``calling.denoise``."""
        return await self._send("calling.denoise", Bare())

    async def denoise_stop(self) -> Leg:
        """Stop the noise filter. Wire: ``calling.denoise.stop``."""
        return await self._send("calling.denoise.stop", Bare())
