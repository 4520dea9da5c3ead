"""Decides which calls to look up in the voice log, and which actions wait for the answer. Does no I/O."""

from __future__ import annotations

from msgspec import Struct

from .limits import check_numbers
from .operation import CallOperation, Operation


class Reconcile(Struct, frozen=True, kw_only=True):
    """How the platform's voice log replaces webhooks that were lost. Times are seconds; all are > 0.

    The log is read once for each overdue action that a task waits for, before the action expires; and from time to
    time for a call that has gone silent while a task waits for it. What the log proves settles an action
    (``settled_by="reconciled"``) or a call. What the log does not prove changes nothing.
    """

    timeout: float = 5.0
    """How long one request may take."""
    patience: float = 20.0
    """How long an overdue action waits for the answer at most, when many calls are asked about at once."""
    sweep: float = 60.0
    """How long a call is silent before its log is read, while a task waits for it; doubled after each query."""
    longest_sweep: float = 900.0
    """The longest pause between two such queries for one call."""
    at_once: int = 10
    """How many calls are queried at the same time."""
    body: int = 4 * 1024 * 1024
    """The largest answer that is read, in bytes."""

    def __post_init__(self) -> None:
        check_numbers(self)


class LogUnavailable(Exception):
    """The voice log did not answer, or its answer could not be read."""


class LogQueries:
    """The calls whose log is to be read, one query at a time for each call, and the actions that wait for the answer.

    An action that becomes overdue while a query is on its way may be missing in the answer, so it joins the next query.
    """

    def __init__(self) -> None:
        self._new: list[CallOperation] = []
        self._asking: dict[CallOperation, list[Operation]] = {}
        self._next: dict[CallOperation, list[Operation]] = {}
        self._queried: set[Operation] = set()
        """The running actions for which the log was read: it is read once for each."""
        self._closed = False

    def close(self) -> None:
        """Drop all queries, and accept no further ones."""
        self._closed = True
        self._new.clear()
        self._asking.clear()
        self._next.clear()

    def add(self, call: CallOperation, action: Operation | None = None) -> None:
        """Queue a query of the log for *call*; *action* waits for the answer."""
        if self._closed:
            return
        if action is not None:
            self._queried.add(action)
        waiting = [] if action is None else [action]
        if call in self._asking:
            # The answer to the running query has the state of the call anyway.
            if action is not None:
                self._next.setdefault(call, []).extend(waiting)
            return
        self._asking[call] = waiting
        self._new.append(call)

    def was_queried(self, action: Operation) -> bool:
        """Return whether the log was, or is being, read on behalf of *action*."""
        return action in self._queried

    def forget(self, action: Operation) -> None:
        """Forget that the log was read on behalf of *action*, which is closed."""
        self._queried.discard(action)

    def take(self) -> list[CallOperation]:
        """Return the calls to query now; for each of them `finish` must be called."""
        taken, self._new = self._new, []
        for call in taken:
            # An action that joined before the query left is in its answer.
            self._asking[call] += self._next.pop(call, [])
        return taken

    def finish(self, call: CallOperation) -> list[Operation]:
        """Return the actions that waited for this answer. If more have joined in the meantime, query again."""
        waited = self._asking.pop(call, [])
        more = [action for action in self._next.pop(call, ()) if action.outcome is None]
        if more and not self._closed:
            self._asking[call] = more
            self._new.append(call)
        return waited
