"""Marks sorted by what they are about: the call, and each of its actions. Knows no terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from swcalls.timeline import Mark

from .look import escaped

_IDLE = frozenset({"", "queued", "initiated", "created", "ringing", "paused"})
"""States in which an action does not do yet, or for a while, what it is for."""


class Point(Struct, frozen=True):
    """One moment of a row."""

    mark: Mark
    idle: bool
    """Whether nothing much goes on from here to the next point."""

    @property
    def word(self) -> str:
        """What to write beside it; a command is told by its glyph alone."""
        return "" if self.mark.what == "command" else escaped(self.mark.word)


class Row(Struct, frozen=True):
    """The call, or an action, and what happened to it. There is at least one point."""

    name: str
    kind: str
    points: list[Point]


class Names:
    """Names actions in the order of their appearance: ``play``, ``play #2``, …; the call is ``call``."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str | None], str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, mark: Mark) -> str:
        """Name what *mark* is about."""
        about = subject(mark)
        if about not in self._names:
            kind = escaped(about[0])
            self._counts[kind] += 1
            number = self._counts[kind]
            self._names[about] = kind if number == 1 else f"{kind} #{number}"
        return self._names[about]


def subject(mark: Mark) -> tuple[str, str | None]:
    """Say what *mark* is about: an action, by kind and key, or the call."""
    kind = mark.name if mark.what == "event" else mark.name.removeprefix("calling.").partition(".")[0]
    return ("call", None) if kind == "call" or mark.key is None else (kind, mark.key)


def rows(marks: Sequence[Mark]) -> list[Row]:
    """Sort the marks of one call into rows, in the order of their beginnings."""
    names = Names()
    found: dict[str, Row] = {}
    for mark in marks:
        if mark.what == "accepted":
            continue
        name = names.of(mark)
        row = found.setdefault(name, Row(name, subject(mark)[0], []))
        # A command changes nothing by itself; what it does, an event will say.
        before = row.points[-1].idle if row.points else True
        row.points.append(Point(mark, mark.word in _IDLE if mark.what == "event" else before))
    return list(found.values())
