"""Decodes the voice log of a call into events: states of the call, and events of its actions.

Source: wire contract, section f. An entry has the call's ``status``; its events are named like those of webhooks, with
``_`` for ``.``, and ``details`` is what a webhook has in ``params``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from ..events import CallEvent, Event, UnknownEvent
from .decoding import READERS, inner, read
from .fields import Object, part, text

_EVENT_TYPES = {
    event_type.replace(".", "_"): event_type for reader in READERS.values() for event_type in reader.event_types
}
_STATE = "calling.call.state"


class LogEvent(Struct, frozen=True):
    """One line of the log, in the form of an enveloped webhook."""

    payload: dict[str, Any]
    control_id: str

    def about(self, kind: str) -> Event | None:
        """Return the line as an event of *kind*; ``None`` if the line is about another kind."""
        event = read(kind, self.payload)
        return None if isinstance(event, UnknownEvent) else event

    def is_told_by(self, events: Iterable[Event]) -> bool:
        """Return whether one of *events* has the same content as this line."""
        return any(inner(event.raw) == self.payload["params"] for event in events)


class Evidence(Struct, frozen=True):
    """What the log says of one call."""

    call: tuple[CallEvent, ...] = ()
    """The states of the call, in their order."""
    events: tuple[LogEvent, ...] = ()
    """The events of the call's actions, in their order."""


def read_log(call_id: str, entry: Object, events: Object) -> Evidence:
    """Return what *entry*, a call's entry of the voice log, and its *events* say. Any field may be missing or wrong."""
    states: list[CallEvent] = []
    of_actions: list[LogEvent] = []
    for payload in _payloads(events):
        details = payload["params"]
        if (text(details, "call_id") or call_id) != call_id:
            continue
        if payload["event_type"] == _STATE:
            states.append(_state(call_id, payload))
        elif (control_id := text(details, "control_id")) is not None:
            of_actions.append(LogEvent(payload, control_id))
    if (status := text(entry, "status")) is not None:
        # The status goes last: an end without a reason must not hide the reason in an event.
        states.append(_state(call_id, {"call_id": call_id, "status": status}))
    return Evidence(tuple(states), tuple(of_actions))


def _state(call_id: str, raw: dict[str, Any]) -> CallEvent:
    event = read("call", raw)
    assert isinstance(event, CallEvent)
    return event


def _payloads(events: Object) -> Iterator[dict[str, Any]]:
    items = events.get("data")
    order: list[tuple[float, int, float | None, Object]] = []
    latest = 0.0
    for number, line in enumerate(items if isinstance(items, list) else ()):
        if isinstance(line, dict):
            # A line without a date keeps its place after the line before it.
            at = _unix_time(line)
            latest = latest if at is None else at
            order.append((latest, number, at, line))
    for _, _, at, line in sorted(order, key=lambda item: item[:2]):
        event_type = _EVENT_TYPES.get(text(line, "name") or "")
        if event_type is not None:
            payload: dict[str, Any] = {"event_type": event_type, "params": dict(part(line, "details"))}
            if at is not None:
                payload["timestamp"] = at
            yield payload


def _unix_time(line: Object) -> float | None:
    try:
        at = datetime.fromisoformat(text(line, "event_at") or "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
