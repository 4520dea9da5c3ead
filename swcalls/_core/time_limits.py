"""When each action must have settled, and when a silent call is checked. The registry sets these deadlines.

An action: after its own bound, after the end of its call, after a stop. A call: while somebody waits for it.
"""

from __future__ import annotations

from typing import Literal

from ..events import Event
from .deadlines import Deadlines
from .lifecycle import CALL, LIFECYCLES
from .limits import Limits
from .log_queries import Reconcile
from .operation import CallOperation, Operation, call_of
from .steps import Grace


class TimeLimits:
    """Sets the deadlines of actions. A duration limit runs while the call is up and the action is not paused."""

    def __init__(self, limits: Limits, deadlines: Deadlines) -> None:
        self._limits = limits
        self._deadlines = deadlines
        self._unconfirmed: set[Operation] = set()
        """Actions whose command may not have arrived, until an event proves that it has."""

    def start_bound(self, action: Operation, now: float) -> None:
        """Start, or restart, the duration limit that the parameters of *action* set (``Options.bound``)."""
        bound, call = action.options.bound, call_of(action)
        if bound is None or action.options.held or action.stopping or action.outcome is not None or call.has_ended:
            return
        if action.stage == "not_sent":
            return  # The command waits for a rate limit or a free connection.
        if call.state is None or call.rank >= CALL["answered"].rank:
            self._deadlines.set(action, now + bound + self.margin(action))

    def extend_bound(self, action: Operation, event: Event, now: float) -> None:
        """Restart the duration limit of *action*, since *event* shows that it runs; clear it if *action* is paused."""
        if event.state == "paused":
            self.pause_bound(action)
        else:
            self.start_bound(action, now)

    def pause_bound(self, action: Operation) -> None:
        """Clear the duration limit of *action*, until `start_bound` is called again."""
        if action.options.bound is not None and not action.stopping and not call_of(action).has_ended:
            self._deadlines.clear(action)

    def expect_unconfirmed(self, action: Operation, now: float) -> None:
        """Set a deadline for *action*, whose command may not have arrived; `note_arrived` clears the deadline."""
        self.start_bound(action, now)
        if action.due is None and action.outcome is None:
            self._unconfirmed.add(action)
            self._deadlines.set(action, now + self.margin(action))

    def note_arrived(self, action: Operation) -> None:
        """Clear the deadline of `expect_unconfirmed`: an event proves that the command of *action* has arrived."""
        if action in self._unconfirmed:
            self._unconfirmed.discard(action)
            if not call_of(action).has_ended:
                self._deadlines.clear(action)

    def forget(self, action: Operation) -> None:
        """Forget *action*, which is closed."""
        self._deadlines.clear(action)
        self._unconfirmed.discard(action)

    def start_grace(self, action: Operation, now: float) -> None:
        """Give *action* its grace period, since its call has ended."""
        self._set_earlier(action, now + self.grace(action))

    def start_margin(self, action: Operation, now: float) -> None:
        """Give *action* its margin, since it was stopped."""
        self._set_earlier(action, now + self.margin(action))

    def grace(self, action: Operation) -> float:
        """Return the seconds that *action* has after the end of its call."""
        limits = self._limits
        match LIFECYCLES[action.kind].grace:
            case Grace.SHORT:
                return limits.grace
            case Grace.LONG:
                return limits.long_grace
            case Grace.TRANSCRIPT:
                return limits.transcript_grace

    def margin(self, action: Operation) -> float:
        """Return the seconds that the last event of *action* may be late."""
        return max(self._limits.margin, self.grace(action))

    def _set_earlier(self, action: Operation, due: float) -> None:
        """Set the deadline of *action* to *due*, unless it has an earlier one."""
        self._deadlines.set(action, due if action.due is None else min(due, action.due))


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
