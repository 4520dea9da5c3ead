"""The base class of ``Call``: it holds the operation of the call, and sends commands through the engine."""

from __future__ import annotations

import weakref

from .._core.operation import CallOperation
from .._engine.engine import Engine
from ..call_leg import Leg


class CallBase:
    """The handle of a call: commands can be sent to it."""

    __slots__ = ("__weakref__", "_engine", "_operation")

    def __init__(self, engine: Engine, operation: CallOperation) -> None:
        self._engine = engine
        self._operation = operation
        operation.call_handle = weakref.ref(self)

    async def _send(self, command: str, params: object) -> Leg:
        """Send a command whose *params* are a Struct of ``swcalls.commands``; return the call's leg."""
        return await self._engine.send(self._operation, command, params)
