"""How an action ended, and why: the answer to ``await action.outcome()``."""

from __future__ import annotations

from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from .events import Event

R = TypeVar("R")

SettledBy = Literal["callback", "call_ended", "deadline", "reconciled", "closed"]
"""What settled an action. ``callback``: its own final event, or its detector's answer. ``call_ended``: the call ended
and its grace passed. ``deadline``: its ``deadline`` passed. ``reconciled``: the voice log. ``closed``: the client."""

Stage = Literal["not_sent", "unconfirmed", "accepted"]
"""How far a command got: still here; perhaps at the platform; answered with 200 (or proved by an event)."""


class Outcome(Struct, Generic[R], frozen=True, kw_only=True):
    """The end of an action. One of *result* and *error* is set."""

    result: R | None = None
    error: Exception | None = None
    """What ``finished()`` raises: ``ActionFailed``, ``CallEnded``, ``ActionExpired`` or ``ClientClosed``."""
    settled_by: SettledBy
    event: Event | None = None
    """The last event seen, if any came."""
    stage: Stage = "accepted"
    """How far the command that started it got."""


class Identified(Protocol):
    """What an error says of the action that it is about."""

    @property
    def kind(self) -> str: ...
    @property
    def control_id(self) -> str: ...
    @property
    def state(self) -> str | None: ...
