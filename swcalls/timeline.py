"""What happened on a client's calls, in the order in which it happened: for whoever watches, not for control flow."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

What = Literal["command", "accepted", "failed", "event"]


class Mark(Struct, frozen=True, kw_only=True):
    """One moment."""

    at: float
    """Seconds, by a clock that never jumps; only differences mean anything."""
    what: What
    name: str
    """The wire command, or for an event the kind: ``play``, ``call``, …"""
    key: str | None
    """The ``control_id``, for what belongs to an action."""
    word: str
    """An event's state and, unless it was applied, its verdict; why a command failed; else empty."""
