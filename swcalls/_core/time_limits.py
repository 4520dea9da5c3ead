"""When each action must have settled: after its own bound, after the end of its call, after a stop."""

from __future__ import annotations

from ..events import Event
from .deadlines import Deadlines
from .lifecycle import CALL, LIFECYCLES
from .limits import Limits
from .operation import Operation, call_of
from .steps import Grace


class TimeLimits:
    """Sets the deadlines of actions. The time of a bound runs while the call is up and the action is not paused."""

    def __init__(self, limits: Limits, deadlines: Deadlines) -> None:
        self._limits = limits
        self._deadlines = deadlines
        self._unconfirmed: set[Operation] = set()
        """Actions whose command may not have arrived, until an event proves that it has."""

    def start_bound(self, action: Operation, now: float) -> None:
        """Start, or start again, the time that the command's own parameters give *action*."""
        bound, call = action.options.bound, call_of(action)
        if bound is None or action.options.held or action.stopping or action.outcome is not None or call.has_ended:
            return
        if action.stage == "not_sent":
            return  # The command still waits for its turn.
        if call.state is None or call.rank >= CALL["answered"].rank:
            self._deadlines.set(action, now + bound + self.margin(action))

    def extend_bound(self, action: Operation, event: Event, now: float) -> None:
        """Start the time of *action* again, since *event* shows that it is running; stop the time if it is paused."""
        if event.state == "paused":
            self.pause_bound(action)
        else:
            self.start_bound(action, now)

    def pause_bound(self, action: Operation) -> None:
        """Stop the time that the command's parameters give *action*, until `start_bound` is called again."""
        if action.options.bound is not None and not action.stopping and not call_of(action).has_ended:
            self._deadlines.clear(action)

    def doubt(self, action: Operation, now: float) -> None:
        """Have *action* expire, since its command may not have arrived, unless an event proves that it has."""
        self.start_bound(action, now)
        if action.due is None and action.outcome is None:
            self._unconfirmed.add(action)
            self._deadlines.set(action, now + self.margin(action))

    def trust(self, action: Operation) -> None:
        """Take back what `doubt` did: the command of *action* has arrived."""
        if action in self._unconfirmed:
            self._unconfirmed.discard(action)
            if not call_of(action).has_ended:
                self._deadlines.clear(action)

    def forget(self, action: Operation) -> None:
        """Clear what is known of *action*, which is closed."""
        self._deadlines.clear(action)
        self._unconfirmed.discard(action)

    def start_grace(self, action: Operation, now: float) -> None:
        """Give *action* its grace period, since its call has ended."""
        self._hurry(action, now + self.grace(action))

    def start_margin(self, action: Operation, now: float) -> None:
        """Give *action* its margin, since it was stopped."""
        self._hurry(action, now + self.margin(action))

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

    def _hurry(self, action: Operation, due: float) -> None:
        self._deadlines.set(action, due if action.due is None else min(due, action.due))
