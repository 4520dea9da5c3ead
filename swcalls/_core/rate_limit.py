"""Computes how long a command must wait for its rate limit. The transport does the waiting."""

from __future__ import annotations

SLACK = 0.05
"""Seconds. A command that leaves this much late, since timers are not exact, does not delay the ones after it."""


class Pace:
    """A rate limit of *rate* commands a second, evenly spaced."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next: float | None = None

    def wait(self, now: float) -> float:
        """Return how many seconds the next command must wait (>= 0)."""
        return 0.0 if self._next is None else max(0.0, self._next - now)

    def go(self, now: float) -> None:
        """Note that a command is sent now."""
        due = now if self._next is None else max(self._next, now - SLACK)
        self._next = due + self._interval
