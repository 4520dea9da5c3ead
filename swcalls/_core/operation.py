"""The record of one running operation, and of the call that it belongs to: identity, state, history, outcome.

The rules (`registry`, `lifecycle`) read and write these records. Users do not see them: a handle (``Action``,
``Call``) holds one record and offers the public part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol
from weakref import ReferenceType

from msgspec import Struct

from ..call_leg import Leg
from ..events import Event, InboundCall
from ..outcome import Identified, Outcome, Stage
from .observer import CallObserver

MOST_STATES = 64
"""How many different states an operation remembers. The platform has about ten; a broken sender could make up more."""


class Options(Struct, frozen=True):
    """The parameters of a command that decide which event is the last one, and when the operation is due."""

    continuous: bool = False
    message_end: bool = False
    summary: bool = False
    """A summary was requested. The summary may be the last event."""
    bound: float | None = None
    """The longest duration that the command's parameters allow, in seconds, counted from the latest event."""
    at_once: bool = False
    """A leg that a connect has dialled is bridged as soon as it answers: there is nothing to confirm."""
    peer: str | None = None
    """The id of the call at the other end of a connect, once somebody has asked for that call."""
    answered_by: str | None = None
    """The id of the call at the other end of a connect, once a webhook has told it."""
    held: bool = False
    """The duration limit *bound* does not run yet: a further command starts it."""


PLAIN = Options()


def bounded(seconds: float | None) -> Options:
    """Return options with this duration limit; ``None``: without a limit."""
    return PLAIN if seconds is None else Options(bound=seconds)


class Handle(Identified, Protocol):
    """The part of a user's handle that the engine calls."""

    def _accepted(self, answer: Mapping[str, Any]) -> None:
        """Take the platform's answer to the command that started the action."""
        ...

    def _abandon(self) -> None:
        """Stop the action in the background, since no user has the handle and the action may be running."""
        ...


class Operation:
    """The record of an operation: a playback, a recording, …, or a call."""

    __slots__ = (
        "call",
        "closed",
        "dropped",
        "due",
        "handle",
        "history",
        "key",
        "kind",
        "options",
        "outcome",
        "rank",
        "stage",
        "state",
        "states_reached",
        "stopping",
        "watchers",
    )

    def __init__(self, kind: str, key: str, call: CallOperation | None, options: Options = PLAIN) -> None:
        self.kind: str = kind
        self.key: str = key
        """The ``control_id``. For a kind without a ``control_id``: an id of our own, in the callback URL."""
        self.call: CallOperation | None = call
        self.options: Options = options
        self.handle: Handle | None = None
        """The user's handle, until the operation is closed."""
        self.stage: Stage = "not_sent"
        self.state: str | None = None
        """The latest state, as the platform spells it."""
        self.rank: int = 0
        """How far *state* is along the lifecycle; the rank never goes down."""
        self.states_reached: tuple[str, ...] = ()
        self.stopping: bool = False
        """A stop was sent: the next event may be the last one, in any state."""
        self.history: list[Event] | None = None
        """The latest events; the list is made with the first one."""
        self.dropped: int = 0
        """How many older events *history* has lost, since it is bounded."""
        self.due: float | None = None
        """When the operation expires, by the clock of ``now`` (monotonic seconds); ``None``: never. See `Deadlines`."""
        self.outcome: Outcome[Any] | None = None
        """How the operation settled; ``None``: it has not settled."""
        self.closed: bool = False
        """No event can follow. A detector with an answer, and a call with an inferred end, settle before they close."""
        self.watchers: list[Callable[[], object]] | None = None
        """Called after every event, and when the operation settles or closes. They must not raise."""

    @property
    def observer(self) -> CallObserver | None:
        """The observer of the operation's call; ``None``: the call has none."""
        return None if self.call is None else self.call.observer

    @property
    def last_event(self) -> Event | None:
        """The latest event; ``None``: no event has come."""
        return self.history[-1] if self.history else None

    def note_sent(self) -> None:
        """Note that the command that starts the operation is being sent, and may arrive from now on."""
        if self.stage == "not_sent":
            self.stage = "unconfirmed"

    def remember(self, event: Event, limit: int) -> None:
        """Append *event* to the history, which keeps the latest *limit* events."""
        if self.history is None:
            self.history = [event]
        else:
            self.history.append(event)
            if len(self.history) > limit:
                del self.history[0]
                self.dropped += 1
        self.note_states(event)

    def note_states(self, event: Event) -> None:
        """Note which states *event* has reached."""
        reached = self.states_reached
        for word in event.words:
            if word not in reached and len(reached) < MOST_STATES:
                self.states_reached = reached = _with(reached, word)

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
        """Call the watchers."""
        if self.watchers:
            for watcher in tuple(self.watchers):
                watcher()


@lru_cache(maxsize=1024)
def _with(reached: tuple[str, ...], state: str) -> tuple[str, ...]:
    """Return *reached* and *state*. Operations that reached the same states share one tuple, which saves memory."""
    return (*reached, state)


class CallOperation(Operation):
    """A call. When it ends, its actions get their grace period."""

    __slots__ = (
        "__weakref__",
        "actions",
        "asked_reason",
        "bridged_by",
        "call_handle",
        "check_interval",
        "end_reason",
        "handed_on",
        "id",
        "inbound",
        "last_activity",
        "leg",
        "observer",
    )

    def __init__(self, key: str, call_id: str | None = None, observer: CallObserver | None = None) -> None:
        super().__init__("call", key, None)
        self.id: str | None = call_id
        self.observer: CallObserver | None = observer
        if observer is not None:
            observer.call_id = call_id
        self.call_handle: ReferenceType[Any] | None = None
        """The user's ``Call``, as a weak reference, so that the record goes when the user drops the last handle."""
        self.leg: Leg | None = None
        """The last response to a command; ``None`` before the first."""
        self.inbound: InboundCall | None = None
        """How the platform announced the call, if it came in."""
        self.handed_on: bool = False
        """The call was told to end, or a dialplan drives it now: leaving its block does not hang it up."""
        self.end_reason: str | None = None
        self.asked_reason: str | None = None
        """The reason that we gave when we ended the call; it counts when the platform gives none."""
        self.bridged_by: str | None = None
        """The key of the connect of another call that has bridged that call with this one."""
        self.actions: dict[str, Operation] = {}
        """The actions of this call that can still get events, by key."""
        self.last_activity: float = 0.0
        """When the latest news of the call came, or when a task began to wait for it."""
        self.check_interval: float = 0.0
        """How many seconds the call may be silent before its voice log is read."""

    @property
    def is_watched(self) -> bool:
        """Whether a task waits for the call, or for one of its actions."""
        return bool(self.watchers) or any(action.watchers for action in self.actions.values())

    @property
    def has_ended(self) -> bool:
        """Whether the call has ended, as far as is known; its last event may still be on its way."""
        return self.outcome is not None

    @property
    def is_known_to_have_ended(self) -> bool:
        """Whether the platform reported the end of the call. A call that was only silent may still be up."""
        return self.outcome is not None and self.outcome.settled_by not in ("deadline", "closed")


def call_of(action: Operation) -> CallOperation:
    """Return the call of *action*, which is not a call itself."""
    assert action.call is not None
    return action.call
