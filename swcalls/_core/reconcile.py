"""When the voice log is asked for what no webhook told, and who waits for its answer. Asks nothing itself."""

from __future__ import annotations

from msgspec import Struct

from .limits import check_numbers
from .operation import CallOperation, Operation


class Reconcile(Struct, frozen=True, kw_only=True):
    """How the platform's voice log fills in for webhooks that got lost. Times are seconds; all are > 0.

    It is asked once on behalf of each overdue action that somebody waits for, before that action expires; and now and
    then about a call that has gone silent while somebody waits for it. What the log proves settles an action
    (``settled_by="reconciled"``) or a call; what it does not prove changes nothing.
    """

    timeout: float = 5.0
    """How long one request may take."""
    patience: float = 20.0
    """How long an overdue action waits for the answer at most, when many calls are asked about at once."""
    sweep: float = 60.0
    """How long a call is silent before its log is asked, while somebody waits; doubled after each question."""
    longest_sweep: float = 900.0
    """The longest pause between two such questions about one call."""
    at_once: int = 10
    """How many calls are asked about at the same time."""
    body: int = 4 * 1024 * 1024
    """The largest answer that is read, in bytes."""

    def __post_init__(self) -> None:
        check_numbers(self)


class LogUnavailable(Exception):
    """The voice log gave no answer that could be read."""


class Inquiries:
    """The calls whose log is being asked, one question at a time each, and the actions whose end depends on it.

    An action that becomes overdue while a question is on its way may not be in its answer any more, so it joins the
    next one.
    """

    def __init__(self) -> None:
        self._new: list[CallOperation] = []
        self._asking: dict[CallOperation, list[Operation]] = {}
        self._next: dict[CallOperation, list[Operation]] = {}
        self._closed = False

    def close(self) -> None:
        """Ask nothing any more."""
        self._closed = True
        self._new.clear()
        self._asking.clear()
        self._next.clear()

    def add(self, call: CallOperation, action: Operation | None = None) -> None:
        """Have the log of *call* asked; *action* waits for the answer."""
        if self._closed:
            return
        waiting = [] if action is None else [action]
        if call in self._asking:
            # News of a silent call are in the answer that is on its way.
            if action is not None:
                self._next.setdefault(call, []).extend(waiting)
            return
        self._asking[call] = waiting
        self._new.append(call)

    def take(self) -> list[CallOperation]:
        """Return the calls to ask about now; each must be reported back with `finish`."""
        taken, self._new = self._new, []
        for call in taken:
            # Whoever joined before the question left is in time for its answer.
            self._asking[call] += self._next.pop(call, [])
        return taken

    def finish(self, call: CallOperation) -> list[Operation]:
        """Return the actions that waited for this answer; if more have come in the meantime, ask again."""
        waited = self._asking.pop(call, [])
        more = [action for action in self._next.pop(call, ()) if action.settled is None]
        if more and not self._closed:
            self._asking[call] = more
            self._new.append(call)
        return waited
