"""Whether calls that come in are taken. Knows what takes them only as a function."""

from __future__ import annotations

from collections.abc import Callable

from ._core.inbox import Inbox
from .backplane import Backplane
from .events import InboundCall

Ring = Callable[[InboundCall], bool]
"""Takes a call that comes in, and says that it is taken."""


class Admission:
    """Has calls taken while the client is open, and nobody is leaving; tells the *backplane* of it."""

    def __init__(self, inbox: Inbox, backplane: Backplane | None) -> None:
        self._inbox = inbox
        self._backplane = backplane
        self._ring: Ring | None = None
        self._is_open = False
        self._refusals = 0
        """How many are leaving, and want no more calls."""

    def take(self, ring: Ring) -> None:
        """Have *ring* take the calls that come in."""
        self._ring = ring
        self._change()

    def open(self) -> None:
        """Take calls from now on. Whoever opens the backplane tells it."""
        self._is_open = True
        self._set()

    def close(self) -> None:
        """Take none any more. Whoever closes the backplane tells it."""
        self._is_open = False
        self._set()

    def refuse(self) -> None:
        """Take none until `resume` is called, as often as this was."""
        self._refusals += 1
        self._change()

    def resume(self) -> None:
        """Take calls again, unless somebody else refuses them."""
        self._refusals -= 1
        self._change()

    def _change(self) -> None:
        was = self._inbox.ring is not None
        self._set()
        takes_calls = self._inbox.ring is not None
        if takes_calls != was and self._backplane is not None:
            self._backplane.offer(takes_calls=takes_calls)

    def _set(self) -> None:
        self._inbox.ring = self._ring if self._is_open and not self._refusals else None
