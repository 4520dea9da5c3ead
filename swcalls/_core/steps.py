"""What a lifecycle is made of: how far a word is along it, what it ends, and the row that each kind has."""

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
    """The answer is final, but the run goes on and may still tell more."""
    RUN = "the run"
    FAILED = "the run, in failure"


class Step(Struct, frozen=True):
    """How far a word is along its lifecycle, and what it ends."""

    rank: int
    ends: Ends = Ends.NOTHING


def by_word(table: Mapping[str, Step]) -> Callable[[Operation, Event], Step | None]:
    """Look the event's word up in *table*."""
    return lambda _, event: table.get(event.state)


class Grace(Enum):
    """How much later than its call an operation may end."""

    SHORT = "soon after it"
    LONG = "when its file is ready"
    TRANSCRIPT = "when it has been transcribed"


class Lifecycle(Struct, frozen=True):
    """One kind's row: how its events are read, what it comes to, and how long its end may take after the call's."""

    step: Callable[[Operation, Event], Step | None]
    result: Callable[[Operation, Event], Any]
    grace: Grace = Grace.SHORT
    silent_end: Callable[[Operation, Event | None], Any] | None = None
    """What it comes to when it ends without an event of its own, as it may, with our stop or with the call."""
    repeats: bool = False
    """The same payload twice can be two events, when no timestamp tells."""
    view: Callable[[Operation, Event], Event] | None = None
    """How an event looks from the operation's own side, where its payload alone does not say whose it is."""
