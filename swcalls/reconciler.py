"""Asks the voice log about calls, and tells the registry what it said. Knows HTTP by way of the transport only."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from ._core.evidence import Evidence, read_log
from ._core.operation import CallOperation
from ._core.reconcile import LogUnavailable, Reconcile
from ._core.registry import Registry

if TYPE_CHECKING:
    from .transport import Transport

_log = logging.getLogger("swcalls.reconciler")


class Reconciler:
    """Puts the registry's questions to the log, a few calls at a time."""

    def __init__(self, registry: Registry, transport: Transport, settings: Reconcile) -> None:
        self.asked: int = 0
        """Calls that were asked about."""
        self.unanswered: int = 0
        """Those of which the log told nothing."""
        self._registry = registry
        self._transport = transport
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.at_once)

    async def ask(self, call: CallOperation) -> None:
        """Ask about *call*, and report the answer; whatever happens, nobody is left waiting for it."""
        evidence: Evidence | None = None
        try:
            async with self._slots:
                self.asked += 1
                evidence = await self._read(call)
        finally:
            self._registry.answered(call, evidence, time.monotonic())

    async def _read(self, call: CallOperation) -> Evidence | None:
        assert call.id is not None
        parts = [] if call.has_ended else [""]
        if call.pending:
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
