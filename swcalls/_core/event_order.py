"""Finds out whether an event repeats an earlier event of its operation, or is older than one."""

from __future__ import annotations

from ..events import Event
from .lifecycle import LIFECYCLES
from .operation import Operation


def is_duplicate(operation: Operation, event: Event) -> bool:
    """Return whether *event* repeats an earlier one. Whole payloads are compared, since the platform sends no event id.

    Without a timestamp the same payload can be sent twice for two events (playing, paused, playing). So without
    a timestamp only two equal events in a row are duplicates, and not for a kind that can repeat an answer.
    """
    history = operation.history
    if not history:
        return False
    if event.timestamp is not None:
        return any(_is_same(earlier, event) for earlier in history)
    return _is_same(history[-1], event) and not LIFECYCLES[operation.kind].repeats


def is_older(operation: Operation, event: Event) -> bool:
    """Return whether *event* happened before an event that has been applied, as far as timestamps tell."""
    if event.timestamp is None:
        return False
    return any(
        earlier.timestamp is not None and earlier.timestamp > event.timestamp for earlier in operation.history or ()
    )


def _is_same(one: Event, other: Event) -> bool:
    if one.state != other.state or one.timestamp != other.timestamp:
        return False
    # Two JSON texts may differ, and still be the same object.
    return one.payload == other.payload or one.raw == other.raw
