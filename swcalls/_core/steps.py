"""The parts of a lifecycle table: a step (its rank, and what it ends), and the row of each kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from ..events import Event
from .operation import Operation


class Ends(Enum):
    """What an event ends."""

    NOTHING = "nothing"
    WAIT = "the wait"
    """The action has its result, but the run goes on and may still send events."""
    RUN = "the run"
    FAILED = "the run, in failure"


class Step(Struct, frozen=True):
    """How far a state is along the lifecycle of its kind, and what it ends."""

    rank: int
    ends: Ends = Ends.NOTHING


def by_word(table: Mapping[str, Step]) -> Callable[[Operation, Event], Step | None]:
    """Return a step function that looks at the state of the event only."""
    return lambda _, event: table.get(event.state)


class Grace(Enum):
    """Which grace period an action gets after the end of its call; the seconds are in `Limits`."""

    SHORT = "soon after it"
    LONG = "when its file is ready"
    TRANSCRIPT = "when it has been transcribed"


class Lifecycle(Struct, frozen=True):
    """The lifecycle of one kind: the steps of its events, its result, and its grace period after the call."""

    step: Callable[[Operation, Event], Step | None]
    result: Callable[[Operation, Event], Any]
    grace: Grace = Grace.SHORT
    silent_end: Callable[[Operation, Event | None], Any] | None = None
    """The result of an end by a stop or by the call, without an event; ``None``: only an event gives a result."""
    repeats: bool = False
    """Two equal payloads in a row, without a timestamp, are two events, not a repeated webhook."""
    view: Callable[[Operation, Event], Event] | None = None
    """Converts an event for the operation, where the payload alone does not say which participant it is about."""
