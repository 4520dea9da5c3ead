"""The WebSockets of streams without a network: what the platform sends arrives, in its order, where it is listened to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from swcalls._core.audio_listeners import AudioListeners, Feed, Refused
from swcalls.testing.audio_lines import AudioLine, AudioLines

if TYPE_CHECKING:
    from .space import Space

AUDIO_FAULTS = ("refused", "late", "no start", "no stop", "reset")
"""What goes wrong with a connection."""
_LATE = 15.0
_RESET_AFTER = 0.5


class Lines(AudioLines):
    """All connections for audio of a space."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.listeners: dict[str, AudioListeners] = {}
        """By the host of the URL."""
        self._space = space

    def reaches(self, url: str) -> bool:
        return url.startswith("wss://ours.example/")

    def connect(
        self, url: str, bearer: str | None, opened: Callable[[], object], lost: Callable[[], object]
    ) -> AudioLine:
        return Line(self._space, self, url, bearer or "", opened, lost)


class Line(AudioLine):
    """One connection."""

    def __init__(
        self,
        space: Space,
        lines: Lines,
        url: str,
        bearer: str,
        opened: Callable[[], object],
        lost: Callable[[], object],
    ) -> None:
        super().__init__(opened, lost)
        self._fault = space.plan.next("audio")
        self._flight = space.latency.flight
        self._feed: Feed | None = None
        self._arriving: deque[str | None] = deque()
        self._is_cut = False
        _, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        authorization = [f"Bearer {bearer}"]

        def arrive() -> None:
            listeners = lines.listeners.get(host)
            found = None if listeners is None else listeners.admit(slash + path, authorization)
            if self._fault == "refused" or found is None or isinstance(found, Refused):
                self._over()
                return
            self._feed = found
            found.connect(self._cut)
            if self._fault == "reset":
                self._later(_RESET_AFTER, self._gone)
            self._opened()
            for _ in tuple(self._waiting):
                self._transmit()

        self._later(_LATE if self._fault == "late" else 2 * self._flight, arrive)

    def send(self, message: str) -> None:
        if (self._fault == "no start" and '"start"' in message) or (self._fault == "no stop" and '"stop"' in message):
            return
        self._put(message)

    def close(self) -> None:
        if self._fault != "no stop":
            self._put(None)

    def reset(self) -> None:
        self._gone()

    def _put(self, message: str | None) -> None:
        if not self.is_over:
            self._waiting.append(message)  # type: ignore[arg-type]
            if self._feed is not None:
                self._transmit()

    def _transmit(self) -> None:
        """Let one message fly. Timers of one moment go off in any order, so each takes whichever is next."""
        self._arriving.append(self._waiting.popleft())
        self._later(self._flight, self._land)

    def _land(self) -> None:
        if self.is_over or self._feed is None:
            return
        message = self._arriving.popleft()
        if message is None or (not self._is_cut and not self._feed.receive(message)):
            self._cut()

    def _cut(self) -> None:
        """Close the connection from the listener's side."""
        if not self._is_cut:
            self._is_cut = True
            self._later(2 * self._flight, self._gone)

    def _gone(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.disconnected()
            self._over()

    def _over(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._lost()

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, then)
