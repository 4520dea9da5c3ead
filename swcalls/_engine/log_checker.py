"""Reads the voice log of calls, and passes its content to the registry. The timer starts this for overdue actions."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from .._core.log_queries import LogUnavailable, Reconcile
from .._core.operation import CallOperation
from .._core.registry import Registry
from .._core.voice_log import Evidence, read_log

if TYPE_CHECKING:
    from .transport import Transport

_log = logging.getLogger("swcalls.log_checker")


class LogChecker:
    """Reads the voice log, for at most ``Reconcile.at_once`` calls at a time."""

    def __init__(self, registry: Registry, transport: Transport, settings: Reconcile) -> None:
        self.queried: int = 0
        """How often the log was read for a call."""
        self.unanswered: int = 0
        """How often the log could not be read."""
        self._registry = registry
        self._transport = transport
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.at_once)

    async def check(self, call: CallOperation) -> None:
        """Read the log of *call*, and pass its content, or ``None`` if it cannot be read, to the registry."""
        evidence: Evidence | None = None
        try:
            async with self._slots:
                self.queried += 1
                evidence = await self._read(call)
        finally:
            self._registry.log_answered(call, evidence, time.monotonic())

    async def _read(self, call: CallOperation) -> Evidence | None:
        assert call.id is not None
        parts = [] if call.has_ended else [""]
        if call.actions:
            parts.append("/events")
        answers = await asyncio.gather(*(self._read_part(call.id, part) for part in parts))
        if not any(answers):
            self.unanswered += 1
            return None
        known = dict(zip(parts, answers, strict=True))
        return read_log(call.id, known.get("") or {}, known.get("/events") or {})

    async def _read_part(self, call_id: str, part: str) -> dict[str, Any] | None:
        settings = self._settings
        try:
            return await self._transport.read_log(call_id, part, timeout=settings.timeout, limit=settings.body)
        except LogUnavailable as fault:
            _log.info("call %s: the voice log%s cannot be read: %s", call_id, part, fault, extra={"call_id": call_id})
            return None
