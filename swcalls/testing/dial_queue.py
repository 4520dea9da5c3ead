"""`DialQueue`: starts dialled calls at a limited rate, and keeps the others queued. The `Exchange` has one.

Source: wire contract, section g: one outbound call a second by default, 10,000 queued, and then a refusal with the code
``max_queued_calls_exceeded``. The status of the refusal is not documented; here it is 422, as for other codes.
"""

from __future__ import annotations

from collections import deque

from .calls import SimulatedCall
from .clock import Clock, TimerGroup
from .contract import unprocessable

MAX_QUEUED = 10_000
"""How many calls the platform queues; beyond that, it refuses a dial."""


class DialQueue:
    """Starts calls in the order of their dials, at most *rate* in a simulated second; ``None``: all at once."""

    def __init__(self, clock: Clock, rate: float | None, limit: int = MAX_QUEUED) -> None:
        self._clock = clock
        self._rate = rate
        self._limit = limit
        self._waiting: deque[SimulatedCall] = deque()
        self._timers: TimerGroup = set()
        """The timer that starts the next call; empty if a call can start now."""

    def __len__(self) -> int:
        return sum(call.state == "queued" for call in self._waiting)

    def check_room(self) -> None:
        """Check that another call can be queued.

        Raises:
            Refusal: As many calls are queued as the platform keeps.
        """
        if len(self._waiting) >= self._limit and len(self) >= self._limit:
            raise unprocessable("max_queued_calls_exceeded", f"{self._limit} calls are queued already")

    def add(self, call: SimulatedCall) -> None:
        """Start *call* now, or when its turn has come."""
        if self._rate is None:
            call.start()
        elif self._timers:
            self._waiting.append(call)
        else:
            self._start(call, self._rate)

    def _start(self, call: SimulatedCall, rate: float) -> None:
        self._clock.later(1 / rate, lambda: self._start_next(rate), self._timers)
        call.start()

    def _start_next(self, rate: float) -> None:
        while self._waiting:
            call = self._waiting.popleft()
            # A call that was canceled in the queue takes no turn.
            if call.state == "queued":
                self._start(call, rate)
                return
