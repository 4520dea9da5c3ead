"""A call's timeline: its marks at one moment, and what they are drawn as."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Self

from msgspec import Struct

from .journal import Journal
from .look import MIN_WIDTH, Look
from .marks import Mark
from .page import page
from .svg import svg
from .text import text


class Timeline(Struct, frozen=True, kw_only=True):
    """What happened on a call, up to the moment at which it was asked for; iterate over it, or draw it."""

    call_id: str | None = None
    """The platform's id of the call; ``None``: it has none yet."""
    marks: tuple[Mark, ...]
    """Commands, events, waits and outcomes, in the order in which they came, or began."""
    dropped: int = 0
    """How many marks came before these, and are not kept any more: ``Limits.timeline`` bounds them."""
    wall: float = 0.0
    """What to add to a mark's seconds for Unix seconds."""

    @classmethod
    def of(cls, journal: Journal | None) -> Self:
        """Read the journal of a call; ``None``: nothing was written down."""
        if journal is None:
            return cls(marks=())
        marks, dropped = journal.read()
        return cls(call_id=journal.call_id, marks=tuple(marks), dropped=dropped, wall=journal.wall)

    def __iter__(self) -> Iterator[Mark]:
        return iter(self.marks)

    def __len__(self) -> int:
        return len(self.marks)

    def __repr__(self) -> str:
        earlier = f", after {self.dropped} that were dropped" if self.dropped else ""
        return f"<Timeline of {len(self.marks)} marks{earlier}>"

    def __str__(self) -> str:
        return self.text()

    def text(self, *, width: int = 80, colour: bool = False) -> str:
        """Tell of the marks line by line, and draw them, as text of *width* columns (>= 40); *colour*: with ANSI's."""
        return text(self.marks, Look(max(width, MIN_WIDTH), colour), self.dropped)

    def svg(self) -> str:
        """Draw the marks as an ``<svg>`` element that needs nothing else; hovered, a mark says what and when it was.

        Unlike ``html()``, it shows no payloads.
        """
        return svg(self.marks, self.wall)

    def html(self, title: str = "Timeline of a call") -> str:
        """Draw the marks as an HTML page that needs nothing else: a picture, each mark's payload, a table.

        Payloads hold what callers said, pressed and were called by: show it to nobody who must not know.
        """
        return page([self], title)

    def time(self, at: float) -> datetime:
        """Return the time of day of a moment, in the zone of this machine."""
        return datetime.fromtimestamp(self.wall + at).astimezone()
