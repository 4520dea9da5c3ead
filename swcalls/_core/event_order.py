"""Whether an event is news for its operation: not a repetition of an earlier event, and not older than one."""

from __future__ import annotations

from ..events import Event
from .lifecycle import LIFECYCLES
from .operation import Operation


def is_duplicate(operation: Operation, event: Event) -> bool:
    """Say whether *event* repeats an earlier one. Whole payloads are compared, since the platform sends no event id.

    Without a timestamp the same payload can be sent twice for two events (playing, paused, playing). So there only a
    repetition with nothing in between is a duplicate, and not even that where the same answer can be given twice.
    """
    history = operation.history
    if not history:
        return False
    if event.timestamp is not None:
        return any(_is_same(earlier, event) for earlier in history)
    return _is_same(history[-1], event) and not LIFECYCLES[operation.kind].repeats


def is_older(operation: Operation, event: Event) -> bool:
    """Say whether *event* happened before an event that has been applied, as far as timestamps tell."""
    if event.timestamp is None:
        return False
    return any(
        earlier.timestamp is not None and earlier.timestamp > event.timestamp for earlier in operation.history or ()
    )


def _is_same(one: Event, other: Event) -> bool:
    if one.state != other.state or one.timestamp != other.timestamp:
        return False
    # The same JSON object can be written in two ways.
    return one.payload == other.payload or one.raw == other.raw
