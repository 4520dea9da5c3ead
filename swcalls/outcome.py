"""The outcome of an action, which ``await action.outcome()`` returns: result or error, and what settled the action."""

from __future__ import annotations

from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from .events import Event

R = TypeVar("R")

SettledBy = Literal["callback", "call_ended", "deadline", "reconciled", "closed"]
"""What settled an action. ``callback``: a webhook with its final event or answer. ``call_ended``: the call ended, and
the grace period passed. ``deadline``: its deadline passed. ``reconciled``: the voice log. ``closed``: the client."""

Stage = Literal["not_sent", "unconfirmed", "accepted"]
"""How far a command got. ``not_sent``; ``unconfirmed``: may have arrived; ``accepted``: proved by a 2xx or an event."""


class Outcome(Struct, Generic[R], frozen=True, kw_only=True):
    """The end of an action. One of *result* and *error* is set."""

    result: R | None = None
    error: Exception | None = None
    """What ``finished()`` raises: ``ActionFailed``, ``CallEnded``, ``ActionExpired`` or ``ClientClosed``."""
    settled_by: SettledBy
    event: Event | None = None
    """The latest event; ``None``: no event came."""
    stage: Stage = "accepted"
    """How far the command that started the action got."""


class Identified(Protocol):
    """The part of an action that its errors and the engine use."""

    @property
    def kind(self) -> str: ...
    @property
    def control_id(self) -> str: ...
    @property
    def state(self) -> str | None: ...
