"""Decides when a silent call is looked up in the voice log, and when the call is assumed to have ended."""

from __future__ import annotations

from typing import Literal

from .deadlines import Deadlines
from .limits import Limits
from .log_queries import Reconcile
from .operation import CallOperation

Finding = Literal["nothing", "ask_log", "ended", "forget"]
"""What to do about a silent call. ``ended``: assume that the call has ended. ``forget``: no task waits for it."""


class CallChecks:
    """Schedules liveness checks of the calls that a task waits for."""

    def __init__(self, limits: Limits, reconcile: Reconcile | None, deadlines: Deadlines) -> None:
        self._limits = limits
        self._reconcile = reconcile
        self._deadlines = deadlines

    def schedule(self, call: CallOperation, now: float) -> None:
        """Schedule a check of *call*, since a task is about to wait for the call or for one of its actions."""
        if call.outcome is not None:
            return
        longest = self._longest_silence(call)
        call.check_interval = longest if self._reconcile is None else min(self._reconcile.sweep, longest)
        if call.due is None:
            # No task waited before, so the silence counts from now.
            call.last_activity = now
        if call.due is None or call.due > now + call.check_interval:
            self._deadlines.set(call, now + call.check_interval)

    def check(self, call: CallOperation, now: float, *, is_held: bool) -> Finding:
        """Decide what to do about *call*, whose check is due, and schedule the next check.

        Args:
            is_held: The registry holds the call until it ends.
        """
        end = call.last_activity + self._longest_silence(call)
        is_needed = call.is_watched or bool(call.actions)
        if now >= end:
            return "ended" if is_needed or call.stage == "unconfirmed" else "forget"
        if not is_needed and not is_held:
            return "nothing"
        if self._reconcile is None or not call.is_watched:
            self._deadlines.set(call, end)
            return "nothing"
        if now - call.last_activity < call.check_interval:
            call.check_interval = self._reconcile.sweep
            self._deadlines.set(call, min(end, max(call.last_activity + call.check_interval, now)))
            return "nothing"
        call.check_interval = min(2 * call.check_interval, self._reconcile.longest_sweep)
        self._deadlines.set(call, min(end, now + call.check_interval))
        return "nothing" if call.id is None else "ask_log"

    def _longest_silence(self, call: CallOperation) -> float:
        return self._limits.unconfirmed if call.stage == "unconfirmed" else self._limits.silence
