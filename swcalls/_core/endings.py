"""Makes outcomes, and the error or result of an action whose last event never came. The settler calls it."""

from __future__ import annotations

from typing import Any

from ..errors import ActionError, ActionExpired, CallEnded
from ..events import Event
from ..outcome import Outcome, SettledBy
from .lifecycle import LIFECYCLES
from .operation import Operation, call_of


def outcome_of(
    operation: Operation, by: SettledBy, *, result: Any = None, error: Exception | None = None
) -> Outcome[Any]:
    """Return an outcome of *operation*, with its latest event and its stage."""
    return Outcome(result=result, error=error, settled_by=by, event=operation.last_event, stage=operation.stage)


def name_of(action: Operation) -> str:
    """Return the name of *action* for a message: ``play 4f6a…``."""
    return f"{action.kind} {action.key}"


def missing_end(action: Operation) -> tuple[SettledBy, ActionError]:
    """Return the cause and the error with which to settle *action*, whose last event has not come."""
    call, name = call_of(action), name_of(action)
    if call.has_ended:
        reason = call.end_reason
        message = f"{name}: the call ended ({reason or 'no reason given'}) before the end of the action was reported"
        return "call_ended", CallEnded(message, reason=reason, action=action.handle)
    if action.stage == "not_sent":
        message = f"{name}: the deadline of the action passed before its command was sent"
    elif action.stopping:
        message = f"{name}: the action was stopped, but its end was not reported"
    else:
        message = f"{name}: the deadline of the action passed before its end was reported"
    return "deadline", ActionExpired(message, action=action.handle)


def result_without_event(action: Operation) -> tuple[SettledBy, Any] | None:
    """Return the cause and the result with which *action* settles; ``None``: only an event can give a result."""
    silent_end = LIFECYCLES[action.kind].silent_end
    if silent_end is None:
        return None
    call = call_of(action)
    if call.has_ended:
        return "call_ended", silent_end(action, action.last_event)
    return ("callback", silent_end(action, action.last_event)) if action.stopping else None


def settles_without_event(action: Operation) -> bool:
    """Return whether the kind of *action* may end without an event of its own."""
    return LIFECYCLES[action.kind].silent_end is not None


def reason_in(event: Event) -> str | None:
    """Return the end reason that *event* gives."""
    reason: str | None = getattr(event, "end_reason", None)
    return reason
