"""The simulator's time: real time, or the same faster. Knows nothing of calls."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable


class Clock:
    """Simulated time, which starts at the present and runs *speed* times as fast as real time.

    Everything that the simulator dates or waits for goes by it, so that a recording of ten simulated seconds lasts
    ten seconds on its own time stamps at any speed.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._started = time.time()
        self._origin = time.monotonic()
        self._timers: TimerGroup = set()
        self._is_closed = False

    def now(self) -> float:
        """Tell the simulated time in Unix seconds."""
        return self._started + (time.monotonic() - self._origin) * self.speed

    def later(self, seconds: float, then: Callable[[], None], group: TimerGroup) -> Timer:
        """Call *then* after *seconds* of simulated time; never, if that is infinite.

        The timer is in *group* for as long as it is not over.
        """
        timer = Timer(self, seconds, then, (self._timers, group))
        if self._is_closed:
            timer.cancel()
        timer.resume()
        return timer

    def has_due(self) -> bool:
        """Tell whether a timer is about to go off without time passing."""
        now = asyncio.get_running_loop().time()
        return any(timer.due <= now for timer in self._timers)

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of simulated time."""
        await asyncio.sleep(seconds / self.speed)

    def close(self) -> None:
        """Cancel every timer, and any that is still to be set."""
        self._is_closed = True
        cancel_all(self._timers)


class Timer:
    """What is due after a while, and can be held up on the way."""

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
        """When it goes off, in the loop's time; infinite as long as it stands."""
        return math.inf if self._handle is None else self._handle.when()

    def pause(self) -> None:
        """Stop the time that is left; nothing happens on a timer that stands or is over."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._left = max(0.0, self._left - (self._clock.now() - self._since))

    def resume(self) -> None:
        """Let the time that is left run; nothing happens on a timer that runs or is over."""
        if self._then is not None and self._handle is None and math.isfinite(self._left):
            self._since = self._clock.now()
            self._handle = asyncio.get_running_loop().call_later(self._left / self._clock.speed, self._fire)

    def cancel(self) -> None:
        """Put an end to it. What was due never happens."""
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
