"""Groups the marks of a timeline into rows, one for the call and one for each action.

The text, the SVG picture and the HTML page show rows, and the checks of ``swcalls demo`` read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ..events import CollectEvent
from .entries import Mark
from .terminal_style import escaped

_IDLE = frozenset({"", "queued", "initiated", "created", "ringing", "paused"})
"""States before an action, or the call, is active, or while it is paused."""

_NEVER_POSTED = frozenset({"queued", "initiated"})
"""States of a call that no webhook reports, only a command's response."""

_CHANGES_STATE = frozenset({"applied", "unknown", "reconciled", "reported"})
"""Verdicts of events that change the state of their action; the others are duplicates, or came early or late."""

_HUES = {
    "call": 0,
    "detect": 1,
    "play": 2,
    "denoise": 2,
    "collect": 3,
    "record": 4,
    "tap": 5,
    "stream": 5,
    "send_fax": 5,
    "receive_fax": 5,
    "transcribe": 6,
    "live_transcribe": 6,
    "live_translate": 6,
    "ai_sidecar": 6,
}
_OTHER_HUE = 7
"""Documents that the call runs, other parties, and kinds that are not known."""

Phase = Literal["idle", "active", "ended"]


class Point(Struct, frozen=True):
    """A command, an event or an outcome in a row, and the state from there to the next point."""

    mark: Mark
    state: str
    """The platform's name of the state; ``""``: no event has come yet."""
    phase: Phase
    is_settled: bool = False
    """Whether the outcome is known. A detector sends more events after that."""

    @property
    def word(self) -> str:
        """The text next to the point; ``""`` for a command that did not fail, which has a symbol only."""
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
    """The marks of the call, or of one action."""

    name: str
    kind: str
    marks: list[Mark]
    """All marks of the row, at least one."""
    points: list[Point]
    """Commands, events, and an outcome if it came without an event; no waits and no retries."""

    @property
    def has_ended(self) -> bool:
        """Whether the call, or the action, has ended."""
        return bool(self.points) and self.points[-1].phase == "ended"


class Names:
    """Numbers the actions of each kind in the order of their first marks: ``play``, ``play #2``, …; and ``call``."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str | None], str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, mark: Mark) -> str:
        """Return the name of the action, or of the call, that *mark* belongs to."""
        operation = mark.kind, mark.key
        if operation not in self._names:
            kind = escaped(mark.kind)
            self._counts[kind] += 1
            number = self._counts[kind]
            self._names[operation] = kind if number == 1 else f"{kind} #{number}"
        return self._names[operation]


def without_repeated_states(marks: Sequence[Mark]) -> list[Mark]:
    """Leave out states that a command's response reported, if a webhook reported them too, or if none ever does."""
    posted = {_state(mark) for mark in marks if mark.kind == "call" and mark.verdict == "applied"} | _NEVER_POSTED
    return [mark for mark in marks if mark.verdict != "reported" or _state(mark) not in posted]


def hue(kind: str) -> int:
    """Return the number of the colour of *kind* (CSS class ``k0`` to ``k7``), the same in every picture."""
    return _HUES.get(kind, _OTHER_HUE)


def rows(marks: Sequence[Mark]) -> list[Row]:
    """Return the rows for the marks of one call, in the order of their first marks."""
    names = Names()
    found: dict[str, list[Mark]] = {}
    for mark in without_repeated_states(marks):
        found.setdefault(names.of(mark), []).append(mark)
    return [Row(name, mine[0].kind, mine, _points(mine)) for name, mine in found.items()]


def _points(marks: Sequence[Mark]) -> list[Point]:
    """Return the points of a row, each with the state and the phase that begins there."""
    points: list[Point] = []
    state, phase, is_settled = "", _phase(""), False
    # A detector sends more events after it has settled: its row ends with the last of them.
    last = max((number for number, mark in enumerate(marks) if _changes_state(mark)), default=-1)
    for number, mark in enumerate(marks):
        if _changes_state(mark):
            state = _state(mark)
            phase = _phase(state)
        is_settled = is_settled or mark.what == "settled" or (number == 0 and _never_began(mark))
        if is_settled and number >= last:
            phase = "ended"
        if mark.what == "settled" and mark.event is not None and points:
            # The previous point is the event that settled the action: no point of its own.
            points[-1] = Point(points[-1].mark, state, phase, is_settled)
        elif mark.what in ("command", "event", "settled"):
            points.append(Point(mark, state, phase, is_settled))
    return points


def _changes_state(mark: Mark) -> bool:
    return mark.what == "event" and mark.verdict in _CHANGES_STATE


def _never_began(mark: Mark) -> bool:
    """Return whether *mark* is a command that started nothing; an unconfirmed command may have started something."""
    is_unclear = mark.detail.startswith("CommandUnconfirmed")
    return mark.verdict == "cancelled" or (mark.verdict == "failed" and not is_unclear)


def _state(mark: Mark) -> str:
    if isinstance(mark.event, CollectEvent):
        return "collecting"
    return "" if mark.event is None else getattr(mark.event, "state", "inbound")


def _phase(state: str) -> Phase:
    return "idle" if state in _IDLE else "active"
