"""What the page shows of one call: `Facts`, a row of its table, and a picture of the call's timeline."""

from __future__ import annotations

from typing import cast
from weakref import ref

from msgspec import Struct
from msgspec.structs import replace

from .._core.lifecycle import LIVE_WORDS
from .._core.operation import CallOperation, Operation
from ..events import CallEvent
from ..timeline import Journal, Mark
from ..timeline.svg import svg
from .privacy import address, clean, clean_marks, public_marks, state_of, word

MOST_MARKS = 128
"""How many of its latest marks the picture of a call shows. Drawing them takes about 2 ms."""
MOST_RUNNING = 6
"""How many running actions of a call are named."""


class Facts(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """What the table of the page says of one call. Texts are short and printable; what is not known is ``""``."""

    number: int
    """Names the call on the page."""
    id: str = ""
    direction: str = ""
    from_: str = ""
    to: str = ""
    state: str = ""
    phase: str = "waiting"
    """``up``, ``waiting`` (not answered yet) or ``ended``."""
    running: tuple[str, ...] = ()
    """The actions that run on the call, each with its state."""
    since: float | None = None
    """When the first thing happened on the call, in Unix seconds."""
    until: float | None = None
    """When its end was noticed, in Unix seconds; ``None``: it has not ended."""
    earlier: int = 0
    """How many earlier marks the picture leaves out."""


class Card:
    """One call on the page: its facts, its picture, and a version of each, which grows when it changes.

    It does not keep the call alive, so that the page does not change which calls the client knows.
    """

    def __init__(self, call: CallOperation, number: int, *, private: bool) -> None:
        self.number: int = number
        self.journal: Journal = cast(Journal, call.observer)
        self.facts: Facts | None = None
        self.facts_version: int = 0
        self.picture: str = ""
        self.picture_version: int = 0
        self.drawn_at: float = 0.0
        """When the picture was drawn, as in ``Mark.at``."""
        self.is_stale: bool = True
        """Whether something has happened since the picture was drawn."""
        self.ended_at: float | None = None
        """When the end of the call was noticed, as in ``Mark.at``."""
        self.since: float | None = None
        """When the first thing happened on the call, in Unix seconds."""
        self._call = ref(call)
        self._private = private
        self._earlier = 0

    def look(self, now: float) -> None:
        """Read the facts again; *now* is the time as in ``Mark.at``."""
        call, wall = self._call(), self.journal.wall
        if self.since is None:
            self.since = self._begin(call)
        if self.ended_at is None and (call is None or call.has_ended):
            self.ended_at = now
        facts = self._facts_of_a_lost_call() if call is None else _facts(call, self.number, private=self._private)
        facts = replace(
            facts,
            since=self.since,
            until=None if self.ended_at is None else wall + self.ended_at,
            earlier=self._earlier,
        )
        if facts != self.facts:
            self.facts = facts
            self.facts_version += 1

    def draw(self, now: float) -> None:
        """Draw the picture again; that of a call that is up reaches until *now*."""
        marks, dropped = self.journal.read()
        latest = marks[-MOST_MARKS:]
        shown = clean_marks(latest) if self._private else public_marks(latest)
        if shown and self.ended_at is None:
            kind, key = shown[0].kind, shown[0].key
            # A wait without a duration is not drawn, but the time axis reaches to it.
            shown.append(Mark(at=now, took=0.0, what="wait", kind=kind, key=key, word="", verdict="result"))
        picture = svg(shown, self.journal.wall, first=0) if shown else ""
        self._earlier = dropped + len(marks) - len(latest)
        self.drawn_at, self.is_stale = now, False
        if picture != self.picture:
            self.picture = picture
            self.picture_version += 1

    def _begin(self, call: CallOperation | None) -> float | None:
        """Return when the first thing happened on the call, in Unix seconds; ``None``: nothing has."""
        marks, dropped = self.journal.read()
        first = self.journal.wall + marks[0].at if marks else None
        if dropped and call is not None:
            # The first marks are gone, but the platform may have told when the call began.
            starts = [event.start_time for event in call.history or () if isinstance(event, CallEvent)]
            first = min(filter(None, (first, *starts)), default=None)
        return first

    def _facts_of_a_lost_call(self) -> Facts:
        """Return the facts of a call that nothing refers to any more, with the end that its marks tell."""
        facts = self.facts or Facts(number=self.number)
        marks, _ = self.journal.read()
        events = [mark.event for mark in marks if mark.kind == "call" and isinstance(mark.event, CallEvent)]
        ends = [event for event in events if event.end_reason]
        if ends:
            facts = replace(facts, state=_ended(state_of(ends[-1]), ends[-1].end_reason))
        elif facts.phase != "ended":
            facts = replace(facts, state="no longer followed")
        return replace(facts, phase="ended", running=())


def _facts(call: CallOperation, number: int, *, private: bool) -> Facts:
    events = [event for event in call.history or () if isinstance(event, CallEvent)]
    sources = [source for source in (call.inbound, call.leg, *reversed(events)) if source is not None]
    running = [action for action in call.actions.values() if action.outcome is None]
    more = [f"{len(running) - MOST_RUNNING} more"] if len(running) > MOST_RUNNING else []
    is_up = not LIVE_WORDS.isdisjoint(call.states_reached)
    return Facts(
        number=number,
        id=clean(call.id or "", 128),
        direction=_direction(call, events),
        from_=address(next((source.from_ for source in sources if source.from_), None), private=private),
        to=address(next((source.to for source in sources if source.to), None), private=private),
        state=_ended(word(call.state or ""), call.end_reason) if call.state else "no news yet",
        phase="ended" if call.has_ended else "up" if is_up else "waiting",
        running=(*(_running(action) for action in running[:MOST_RUNNING]), *more),
    )


def _direction(call: CallOperation, events: list[CallEvent]) -> str:
    if call.inbound is not None:
        return "inbound"
    given = call.leg.direction if call.leg is not None else None
    given = given or next((event.direction for event in events if event.direction), None) or ""
    return {"outbound-api": "outbound"}.get(given, word(given))


def _running(action: Operation) -> str:
    event = action.last_event
    state = "starting" if not action.state else word(action.state) if event is None else state_of(event)
    return f"{clean(action.kind, 40)}: {state or 'running'}"


def _ended(state: str, reason: str | None) -> str:
    return f"{state}: {word(reason)}" if reason else state
