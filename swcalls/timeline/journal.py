"""Records what happens on one call as short notes, and turns the notes into marks (entries) when the timeline is read.

Thousands of webhooks may come in a second, so noting an event appends one tuple. A million actions may be running, so
a command is not an object, but 40 bytes in two columns.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from .._core.observer import AudioVerdict, CommandVerdict, EventVerdict, WaitVerdict
from ..events import Event, InboundCall
from ..outcome import Outcome
from .entries import Mark
from .entries import event_word as said

Tell = Callable[["Journal", Mark], object]
"""Called with each mark when it begins, and again when it has ended. Must not raise."""

Note = tuple[Any, ...] | list[Any]
"""What, verdict, time, kind, key and content. For a wait: a list, with the time of its end as the last item."""

_RESULT: Note = ("result",)
_ERROR: Note = ("error",)
"""These notes follow the note of an event that has settled its action: they take less memory than a full note."""


class Journal:
    """The notes of one call. It implements `CallObserver`.

    Args:
        limit: How many marks are kept (>= 1).
        clock: Returns the time in seconds; monotonic.
        wall: The seconds to add to a time of *clock* for Unix seconds.
        observers: Called with each mark.
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
        """How many notes were dropped for the limit."""
        self._commands: list[Any] = []
        """For each command: kind, key, and name; or, if not accepted, a tuple (verdict, name, reason, status)."""
        self._times = array("d")
        """For each command: the times at which it was sent and answered; NaN: not answered."""
        self._skipped = 0
        """How many commands were dropped for the limit."""

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
        """Note that a command was answered, has failed or was cancelled."""
        index = number - self._skipped
        if index < 0:
            return  # The command was dropped for the limit in the meantime.
        self._times[2 * index + 1] = self.clock()
        if verdict != "accepted":
            status = getattr(error, "status", None)
            self._commands[3 * index + 2] = (verdict, self._commands[3 * index + 2], _shown(error), status)
        if self._observers:
            self._tell(self._command(index))

    def retry(self, number: int, error: Exception) -> None:
        """Note that a command is sent again because of *error*."""
        index = number - self._skipped
        if index >= 0:
            kind, key, name = self._commands[3 * index : 3 * index + 3]
            self._add(("retry", "", self.clock(), kind, key, (name, _shown(error))))

    def event(self, kind: str, key: str, event: Event | InboundCall, verdict: EventVerdict, now: float) -> None:
        """Note an event, and the registry's verdict on it."""
        notes = self._notes
        if len(notes) >= self._limit:
            self._drop()
        notes.append(("event", verdict, now, kind, key, event))
        if self._observers:
            self._tell(_mark(notes[-1]))

    def settled(self, kind: str, key: str, outcome: Outcome[Any], *, own: bool = False) -> None:
        """Note the outcome of an action or the call; *own*: the event that was noted last has settled it."""
        error, notes = outcome.error, self._notes
        if own:
            notes.append(_RESULT if error is None else _ERROR)
            if self._observers:
                self._tell(_settled(notes[-2], notes[-1]))
            return
        # Not the error itself, which would keep the action and stack frames in memory.
        content = ("result", _shown(outcome.result)) if error is None else (type(error).__name__, str(error))
        self._add(("settled", outcome.settled_by, self.clock(), kind, key, content))

    def audio(self, kind: str, key: str, at: float, verdict: AudioVerdict, levels: Sequence[int], counts: str) -> None:
        """Note that audio was heard from *at* to now, and how loud it was."""
        self._add(("audio", verdict, at, kind, key, ("audio", counts), self.clock(), tuple(levels)))

    def wait(self, kind: str, key: str, word: str) -> Note:
        """Note that a task begins to wait, and return the note, for `waited`."""
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
        """Return the latest marks, in the order of their times, and how many older ones were dropped."""
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
        """Drop the oldest note, with the short note behind it, if any, to make room for one more."""
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
        levels=end[1] if len(end) > 1 else (),
    )


def _settled(event: Note, by: Note) -> Mark:
    """Return the mark of an action that was settled by the event of the note *event*."""
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
    """Return the key for a mark; ``None`` for a call, whose key is internal."""
    return None if kind == "call" else key


def _shown(about: object) -> str:
    """Return an error, or a result, as one line of text."""
    return f"{type(about).__name__}: {about}" if isinstance(about, Exception) else "" if about is None else str(about)
