"""`Clock`: the simulated time, which can run faster than real time, and its timers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable


class Clock:
    """Simulated time: it starts at the current time and runs *speed* times as fast as real time.

    All time stamps and delays of the simulator use it. So a recording of ten simulated seconds has time stamps ten
    seconds apart at any speed.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._started = time.time()
        self._origin = time.monotonic()
        self._timers: TimerGroup = set()
        self._is_closed = False

    def now(self) -> float:
        """Return the simulated time in Unix seconds."""
        return self._started + (time.monotonic() - self._origin) * self.speed

    def later(self, seconds: float, then: Callable[[], None], group: TimerGroup) -> Timer:
        """Call *then* after *seconds* of simulated time; never if *seconds* is infinite.

        The timer is in *group* until it has fired or was cancelled.
        """
        timer = Timer(self, seconds, then, (self._timers, group))
        if self._is_closed:
            timer.cancel()
        timer.resume()
        return timer

    def has_due(self) -> bool:
        """Return whether a timer is due now."""
        now = asyncio.get_running_loop().time()
        return any(timer.due <= now for timer in self._timers)

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of simulated time."""
        await asyncio.sleep(seconds / self.speed)

    def close(self) -> None:
        """Cancel all timers, also those that are set later."""
        self._is_closed = True
        cancel_all(self._timers)


class Timer:
    """Calls a function once after some simulated seconds; it can be paused and resumed."""

    def __init__(self, clock: Clock, seconds: float, then: Callable[[], None], groups: tuple[TimerGroup, ...]) -> None:
        self._clock = clock
        self._groups = groups
        self._left = seconds
        self._then: Callable[[], None] | None = then
        self._since = 0.0
        self._handle: asyncio.TimerHandle | None = None
        for group in groups:
            group.add(self)

    @property
    def due(self) -> float:
        """When it fires, in the loop's time; infinite while it is paused."""
        return math.inf if self._handle is None else self._handle.when()

    def pause(self) -> None:
        """Pause the timer; do nothing if it is paused, has fired or was cancelled."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._left = max(0.0, self._left - (self._clock.now() - self._since))

    def resume(self) -> None:
        """Let the remaining time run; do nothing if the timer is running, has fired or was cancelled."""
        if self._then is not None and self._handle is None and math.isfinite(self._left):
            self._since = self._clock.now()
            self._handle = asyncio.get_running_loop().call_later(self._left / self._clock.speed, self._fire)

    def cancel(self) -> None:
        """Cancel the timer: its function is never called."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._then = None
        for group in self._groups:
            group.discard(self)

    def _fire(self) -> None:
        then = self._then
        self.cancel()
        if then is not None:
            then()


TimerGroup = set[Timer]


def cancel_all(group: TimerGroup) -> None:
    """Cancel every timer of *group*."""
    for timer in list(group):
        timer.cancel()
