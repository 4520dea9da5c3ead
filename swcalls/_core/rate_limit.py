"""How fast commands may follow one another. Decides; sleeps nowhere."""

from __future__ import annotations

SLACK = 0.05
"""Seconds by which a wait may come late, and the next ones catch up: no clock wakes anybody to the millisecond."""


class Pace:
    """At most *rate* a second, evenly: nobody may go before `wait` seconds have passed."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next: float | None = None

    def wait(self, now: float) -> float:
        """Say how many seconds the next one must still wait (0: none)."""
        return 0.0 if self._next is None else max(0.0, self._next - now)

    def go(self, now: float) -> None:
        """Note that one goes now."""
        due = now if self._next is None else max(self._next, now - SLACK)
        self._next = due + self._interval
