"""What happens on one call, noted while it happens, and made into marks only when somebody reads it.

Webhooks come by the thousand a second, so to note an event is to append one tuple. Actions wait by the million, each
for the end of what its command has started, so a command is no object, but 40 bytes in two columns.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import Any

from .._core.observer import CommandVerdict, EventVerdict, WaitVerdict
from ..events import Event, InboundCall
from ..outcome import Outcome
from .entries import Mark
from .entries import event_word as said

Tell = Callable[["Journal", Mark], object]
"""Is told of each mark when it is made, and again when it has ended. Must not raise."""

Note = tuple[Any, ...] | list[Any]
"""What, verdict, when, kind, key, and what was said; of a wait, a list with when it ended besides."""

_RESULT: Note = ("result",)
_ERROR: Note = ("error",)
"""Stand behind the event that has settled its action, as most events do: cheaper than another note."""


class Journal:
    """What has happened on one call.

    Args:
        limit: How many marks are kept (>= 1).
        clock: Tells the time; it never jumps.
        wall: What to add to that for Unix seconds.
        observers: Told of each mark.
    """

    __slots__ = (
        "_commands",
        "_dropped",
        "_limit",
        "_notes",
        "_observers",
        "_skipped",
        "_times",
        "call_id",
        "clock",
        "wall",
    )

    def __init__(self, limit: float, clock: Callable[[], float], wall: float, observers: list[Tell]) -> None:
        self.clock: Callable[[], float] = clock
        self.wall: float = wall
        self.call_id: str | None = None
        """The platform's id of the call, once it has one."""
        self._limit = limit
        self._observers = observers
        self._notes: list[Note] = []
        self._dropped = 0
        """How many marks of the notes were pushed out."""
        self._commands: list[Any] = []
        """Of each command: kind, key, and name, in a tuple with verdict, reason, status where it was not accepted."""
        self._times = array("d")
        """Of each command, when it was sent and answered; NaN: it was not."""
        self._skipped = 0
        """How many commands were pushed out."""

    def command(self, kind: str, key: str, name: str) -> int:
        """Note that a command is sent; return its number."""
        if len(self._times) >= 2 * self._limit:
            del self._times[:2], self._commands[:3]
            self._skipped += 1
        self._commands += (kind, key, name)
        self._times.append(self.clock())
        self._times.append(math.nan)
        number = self._skipped + len(self._times) // 2 - 1
        if self._observers:
            self._tell(self._command(number - self._skipped))
        return number

    def answered(self, number: int, verdict: CommandVerdict = "accepted", error: Exception | None = None) -> None:
        """Note that a command was answered, or that it never will be."""
        index = number - self._skipped
        if index < 0:
            return  # It was pushed out in the meantime.
        self._times[2 * index + 1] = self.clock()
        if verdict != "accepted":
            status = getattr(error, "status", None)
            self._commands[3 * index + 2] = (verdict, self._commands[3 * index + 2], _shown(error), status)
        if self._observers:
            self._tell(self._command(index))

    def retry(self, number: int, error: Exception) -> None:
        """Note that a command is sent again, since *error* came of it."""
        index = number - self._skipped
        if index >= 0:
            kind, key, name = self._commands[3 * index : 3 * index + 3]
            self._add(("retry", "", self.clock(), kind, key, (name, _shown(error))))

    def event(self, kind: str, key: str, event: Event | InboundCall, verdict: EventVerdict, now: float) -> None:
        """Note an event, and what came of it."""
        notes = self._notes
        if len(notes) >= self._limit:
            self._drop()
        notes.append(("event", verdict, now, kind, key, event))
        if self._observers:
            self._tell(_mark(notes[-1]))

    def settled(self, kind: str, key: str, outcome: Outcome[Any], *, own: bool = False) -> None:
        """Note that an action, or the call, has its outcome; *own*: by its own event, which was noted just now."""
        error, notes = outcome.error, self._notes
        if own:
            notes.append(_RESULT if error is None else _ERROR)
            if self._observers:
                self._tell(_settled(notes[-2], notes[-1]))
            return
        # Not the error itself, which holds on to the action, and to the frames that it was raised in.
        came_to = ("result", _shown(outcome.result)) if error is None else (type(error).__name__, str(error))
        self._add(("settled", outcome.settled_by, self.clock(), kind, key, came_to))

    def wait(self, kind: str, key: str, word: str) -> Note:
        """Note that somebody begins to wait, and return the note."""
        note: Note = ["wait", "", self.clock(), kind, key, word, None]
        self._add(note)
        return note

    def waited(self, note: Note, verdict: WaitVerdict) -> None:
        """Note how a wait has ended."""
        assert isinstance(note, list)
        note[1], note[6] = verdict, self.clock()
        if self._observers:
            self._tell(_mark(note))

    def read(self) -> tuple[list[Mark], int]:
        """Return the latest marks, in the order of their times, and how many there were before them."""
        marks = [self._command(index) for index in range(len(self._times) // 2)]
        before = None
        for note in self._notes:
            if note is _RESULT or note is _ERROR:
                assert before is not None
                marks.append(_settled(before, note))
            else:
                marks.append(_mark(note))
                before = note
        marks.sort(key=lambda mark: mark.at)
        surplus = max(0, len(marks) - int(self._limit))
        return marks[surplus:], self._dropped + self._skipped + surplus

    def _add(self, note: Note) -> None:
        if len(self._notes) >= self._limit:
            self._drop()
        self._notes.append(note)
        if self._observers:
            self._tell(_mark(note))

    def _drop(self) -> None:
        """Make room for one more note: the oldest goes, with what it has settled."""
        notes = self._notes
        while len(notes) >= self._limit:
            count = 2 if len(notes) > 1 and len(notes[1]) == 1 else 1
            del notes[:count]
            self._dropped += count

    def _tell(self, mark: Mark) -> None:
        for tell in self._observers:
            tell(self, mark)

    def _command(self, index: int) -> Mark:
        sent, answered = self._times[2 * index : 2 * index + 2]
        kind, key, about = self._commands[3 * index : 3 * index + 3]
        is_open = math.isnan(answered)
        usual = ("" if is_open else "accepted", about, "", None if is_open else 200)
        verdict, name, why, status = about if isinstance(about, tuple) else usual
        return Mark(
            at=sent,
            took=None if is_open else answered - sent,
            what="command",
            kind=kind,
            key=_key(kind, key),
            word=name,
            verdict=verdict,
            detail=why,
            status=status,
        )


def _mark(note: Note) -> Mark:
    what, verdict, at, kind, key, about, *end = note
    event = about if isinstance(about, Event | InboundCall) else None
    word, detail = (said(event), "") if event is not None else about if isinstance(about, tuple) else (about, "")
    return Mark(
        at=at,
        took=end[0] - at if end and end[0] is not None else None,
        what=what,
        kind=kind,
        key=_key(kind, key),
        word=word,
        verdict=verdict,
        detail=detail,
        event=event,
    )


def _settled(event: Note, by: Note) -> Mark:
    """Make the mark of an action that has settled by its own *event*."""
    _, verdict, at, kind, key, about = event
    return Mark(
        at=at,
        what="settled",
        kind=kind,
        key=_key(kind, key),
        word=by[0],
        verdict="reconciled" if verdict == "reconciled" else "callback",
        event=about,
    )


def _key(kind: str, key: str) -> str | None:
    """Leave out the key of a call, which is nobody's business but ours."""
    return None if kind == "call" else key


def _shown(about: object) -> str:
    """Put an error, or a result, in a line."""
    return f"{type(about).__name__}: {about}" if isinstance(about, Exception) else "" if about is None else str(about)
