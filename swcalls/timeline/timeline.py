"""`Timeline`: the marks of a call, and their output as text, SVG and HTML. `Call.timeline` returns one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Self

from msgspec import Struct

from .entries import Mark
from .journal import Journal
from .page import page
from .svg import svg
from .terminal_style import MIN_WIDTH, TerminalStyle
from .text import text


class Timeline(Struct, frozen=True, kw_only=True):
    """What happened on a call up to now: iterate over its marks, or print it. It does not change later."""

    call_id: str | None = None
    """The platform's id of the call; ``None``: not known yet."""
    marks: tuple[Mark, ...]
    """Commands, events, waits and outcomes, in the order of their times."""
    dropped: int = 0
    """How many older marks were dropped: ``Limits.timeline`` is how many are kept."""
    wall: float = 0.0
    """Add this to ``Mark.at`` to get Unix seconds."""

    @classmethod
    def of(cls, journal: Journal | None) -> Self:
        """Return the timeline of *journal*; an empty one for ``None``, the journal of a call without a timeline."""
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
        """Return a line for each mark, then a picture, as text.

        Args:
            width: Columns of the text (at least 40).
            colour: Whether to use ANSI colours.
        """
        return text(self.marks, TerminalStyle(max(width, MIN_WIDTH), colour), self.dropped)

    def svg(self) -> str:
        """Return the timeline as one ``<svg>`` element, with a tooltip for each mark. It contains no payloads."""
        return svg(self.marks, self.wall)

    def html(self, title: str = "Timeline of a call") -> str:
        """Return the timeline as one HTML page with a picture, the payloads and a table.

        Payloads contain phone numbers and what callers said and pressed: keep the page private.
        """
        return page([self], title)

    def time(self, at: float) -> datetime:
        """Return the time of day for *at*, the seconds of a mark, in the time zone of this machine."""
        return datetime.fromtimestamp(self.wall + at).astimezone()
