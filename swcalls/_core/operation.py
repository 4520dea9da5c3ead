"""One thing that was asked for and is not over, and the call that it belongs to, as the rules see them.

Handles (`swcalls.actions`, `swcalls.call`) extend these with what a loop can await; the rules know no loop, and tell
whoever watches that something has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from ..events import Event
from ..outcome import Outcome, Stage
from ..timeline import Journal

WORDS_KEPT = 64
"""How many different states an operation remembers; the platform knows about ten, a broken sender any number."""


class Options(Struct, frozen=True):
    """What a command asked for that decides which event is its end."""

    continuous: bool = False
    message_end: bool = False
    summary: bool = False
    """A summary was asked for, which may be the last thing to come."""
    bound: float | None = None
    """Seconds that its own parameters let it run at most, from the last that was heard of it."""
    held: bool = False
    """That time does not run yet: a further command starts it."""


PLAIN = Options()


def bounded(seconds: float | None) -> Options:
    """Say that *seconds* bound it, if any do."""
    return PLAIN if seconds is None else Options(bound=seconds)


class Operation:
    """A running operation: its identity, and how far it has come."""

    __slots__ = (
        "asked",
        "call",
        "dropped",
        "due",
        "history",
        "key",
        "kind",
        "options",
        "over",
        "rank",
        "seen",
        "settled",
        "stage",
        "state",
        "stopping",
        "watchers",
    )

    def __init__(self, kind: str, key: str, call: CallOperation | None, options: Options = PLAIN) -> None:
        self.kind: str = kind
        self.key: str = key
        self.call: CallOperation | None = call
        self.options: Options = options
        self.stage: Stage = "not_sent"
        self.state: str | None = None
        self.rank: int = 0
        self.stopping: bool = False
        """We asked for the end: what comes next may be it, whatever it looks like."""
        self.history: list[Event] | None = None
        """The latest events; made with the first one."""
        self.dropped: int = 0
        """How many events were pushed out of *history*."""
        self.seen: tuple[str, ...] = ()
        self.due: float | None = None
        """When it must be over, by the clock of whoever passes ``now``."""
        self.asked: bool = False
        """It is overdue, and the voice log was asked, or is being asked."""
        self.settled: Outcome[Any] | None = None
        self.over: bool = False
        """No event can follow. A detector that has answered, and a call whose end was inferred, settle before this."""
        self.watchers: list[Callable[[], object]] | None = None
        """Called when an event was applied, and when it settles or is over. They must not raise."""

    @property
    def control_id(self) -> str:
        """What names it at the platform, where the platform knows it by an id."""
        return self.key

    @property
    def journal(self) -> Journal | None:
        """Where what happens on its call is written down; ``None``: nowhere."""
        return None if self.call is None else self.call.journal

    @property
    def last_event(self) -> Event | None:
        """The latest event; ``None``: none has come."""
        return self.history[-1] if self.history else None

    def leaves(self) -> None:
        """Be told that the command that starts it is leaving: from now on it may have arrived."""
        if self.stage == "not_sent":
            self.stage = "unconfirmed"

    def abandon(self) -> None:
        """Be told that nobody has the handle, and that what may be running is to be stopped."""

    def accepted(self, answer: Mapping[str, Any]) -> None:
        """Be told what the platform answered to the command that started it."""

    def remember(self, event: Event, limit: int) -> None:
        """Append *event* to the history, which keeps the latest *limit* events."""
        if self.history is None:
            self.history = [event]
        else:
            self.history.append(event)
            if len(self.history) > limit:
                del self.history[0]
                self.dropped += 1
        self.note(event)

    def note(self, event: Event) -> None:
        """Remember which words were reached."""
        seen = self.seen
        for word in event.words:
            if word not in seen and len(seen) < WORDS_KEPT:
                self.seen = seen = (*seen, word)

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call *watcher* at every change from now on."""
        if self.watchers is None:
            self.watchers = []
        self.watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], object]) -> None:
        """Call *watcher* no more."""
        if self.watchers is not None and watcher in self.watchers:
            self.watchers.remove(watcher)

    def changed(self) -> None:
        """Tell the watchers."""
        if self.watchers:
            for watcher in tuple(self.watchers):
                watcher()


class CallOperation(Operation):
    """A call: an operation whose end is the end of the call, and whose end is felt by all others on it."""

    __slots__ = ("__weakref__", "asked_reason", "end_reason", "heard", "id", "journal", "pending", "sweep")

    def __init__(self, key: str, call_id: str | None = None) -> None:
        super().__init__("call", key, None)
        self.id: str | None = call_id
        self.end_reason: str | None = None
        self.asked_reason: str | None = None
        """The reason that we gave when we ended it; it counts when the platform says only that it is over."""
        self.pending: dict[str, Operation] = {}
        """The operations of this call that can still get events, by key."""
        self.heard: float = 0.0
        """When anything was last heard of it, or asked of it."""
        self.sweep: float = 0.0
        """How long it may be silent before the voice log is asked what has become of it."""
        self.journal: Journal | None = None

    @property
    def is_watched(self) -> bool:
        """Whether anybody waits for it, or for anything on it."""
        return bool(self.watchers) or any(action.watchers for action in self.pending.values())

    @property
    def has_ended(self) -> bool:
        """Whether the call has ended, as far as is known; its last event may still be on its way."""
        return self.settled is not None

    @property
    def is_known_to_have_ended(self) -> bool:
        """Whether the platform said so. A call that was only silent for too long may still be up."""
        return self.settled is not None and self.settled.settled_by not in ("deadline", "closed")
