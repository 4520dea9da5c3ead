"""Marks sorted by what they are about: the call, and each of its actions. Knows no terminal, and no page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ..events import CollectEvent
from .look import escaped
from .marks import Mark

_IDLE = frozenset({"", "queued", "initiated", "created", "ringing", "paused"})
"""States in which an action does not do yet, or for a while, what it is for."""

_NEVER_POSTED = frozenset({"queued", "initiated"})
"""States of a call that are told by answers only."""

_TELLING = frozenset({"applied", "unknown", "reconciled", "reported"})
"""Verdicts on events that say how far an action is; the others came twice, or at a wrong time."""

HUES = 6
"""How many colours there are, but for the call's own."""

Phase = Literal["idle", "active", "over"]


class Point(Struct, frozen=True):
    """One moment of a row."""

    mark: Mark
    state: str
    """What goes on from here to the next point, as the platform spells it; ``""``: nothing was told yet."""
    phase: Phase
    is_settled: bool = False
    """Whether its outcome is known; a detector may go on all the same."""

    @property
    def word(self) -> str:
        """What to write beside it; a command is told by its glyph alone."""
        mark = self.mark
        match mark.what:
            case "command":
                return escaped(mark.detail.partition(":")[0]) if mark.verdict == "failed" else ""
            case "event" if mark.verdict in ("applied", "unknown"):
                return escaped(mark.word)
            case "event" | "settled":
                return f"{escaped(mark.word)} ({mark.verdict})"
            case _:
                return ""


class Row(Struct, frozen=True):
    """The call, or an action, and what happened to it."""

    name: str
    kind: str
    marks: list[Mark]
    """All of them. There is at least one."""
    points: list[Point]
    """Those that are moments in its life: commands, events, and an outcome that is no event's."""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it goes on any more."""
        return bool(self.points) and self.points[-1].phase == "over"


class Names:
    """Names actions in the order of their appearance: ``play``, ``play #2``, …; the call is ``call``."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str | None], str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, mark: Mark) -> str:
        """Name what *mark* is about."""
        about = mark.kind, mark.key
        if about not in self._names:
            kind = escaped(mark.kind)
            self._counts[kind] += 1
            number = self._counts[kind]
            self._names[about] = kind if number == 1 else f"{kind} #{number}"
        return self._names[about]


def news(marks: Sequence[Mark]) -> list[Mark]:
    """Leave out the states of a call that an answer told, unless it should have been a webhook, and there was none."""
    told = {_state(mark) for mark in marks if mark.kind == "call" and mark.verdict == "applied"} | _NEVER_POSTED
    return [mark for mark in marks if mark.verdict != "reported" or _state(mark) not in told]


def hues(marks: Sequence[Mark]) -> dict[str, int]:
    """Number the kinds of *marks* in the order of their appearance, from 1, as colours have numbers; the call has 0."""
    kinds = dict.fromkeys(mark.kind for mark in marks if mark.kind != "call")
    return {"call": 0} | {kind: number % HUES + 1 for number, kind in enumerate(kinds)}


def rows(marks: Sequence[Mark]) -> list[Row]:
    """Sort the marks of one call into rows, in the order of their beginnings."""
    names = Names()
    found: dict[str, list[Mark]] = {}
    for mark in news(marks):
        found.setdefault(names.of(mark), []).append(mark)
    return [Row(name, mine[0].kind, mine, _points(mine)) for name, mine in found.items()]


def _points(marks: Sequence[Mark]) -> list[Point]:
    """Follow an action through its states."""
    points: list[Point] = []
    state, phase, is_settled = "", _phase(""), False
    # A detector that has answered goes on, and tells more; nothing else does, once it has settled.
    last = max((number for number, mark in enumerate(marks) if _tells(mark)), default=-1)
    for number, mark in enumerate(marks):
        if _tells(mark):
            state = _state(mark)
            phase = _phase(state)
        is_settled = is_settled or mark.what == "settled" or (number == 0 and _never_began(mark))
        if is_settled and number >= last:
            phase = "over"
        if mark.what == "settled" and mark.event is not None and points:
            # It is the event before that has settled it.
            points[-1] = Point(points[-1].mark, state, phase, is_settled)
        elif mark.what in ("command", "event", "settled"):
            points.append(Point(mark, state, phase, is_settled))
    return points


def _tells(mark: Mark) -> bool:
    return mark.what == "event" and mark.verdict in _TELLING


def _never_began(mark: Mark) -> bool:
    """Say whether the command that *mark* is of started nothing; one that got no answer may have."""
    is_unclear = mark.detail.startswith("CommandUnconfirmed")
    return mark.verdict == "cancelled" or (mark.verdict == "failed" and not is_unclear)


def _state(mark: Mark) -> str:
    if isinstance(mark.event, CollectEvent):
        return "collecting"
    return "" if mark.event is None else getattr(mark.event, "state", "inbound")


def _phase(state: str) -> Phase:
    return "idle" if state in _IDLE else "active"
