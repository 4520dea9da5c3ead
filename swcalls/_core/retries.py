"""Decides whether and when a refused command is sent again. The transport does the waiting."""

from __future__ import annotations

from msgspec import Struct

from ..errors import CommandError, CommandNotSent, CommandRejected
from .limits import check_number

LONGEST_DOUBLING = 1000
"""How often a wait is doubled at most, since more would overflow a float."""


class Retry(Struct, frozen=True, kw_only=True):
    """Limits on retries. Only a command that was certainly not processed is sent again."""

    attempts: int = 4
    """How often a command is sent at most, the first time included (>= 1; 1 never retries)."""
    first_wait: float = 0.5
    """Seconds before the second attempt when the platform names no time; doubled for each further one."""
    longest_wait: float = 30.0
    """Seconds. After a longer ``Retry-After`` the error is raised at once."""
    budget: int = 100
    """How many retries all commands of a client have together in a minute (>= 0), so that many refusals do not cause as
    many retries; without a retry left, the error is raised at once."""

    def __post_init__(self) -> None:
        check_number("Retry: attempts", self.attempts, least=1, whole=True)
        check_number("Retry: budget", self.budget, least=0, whole=True)
        check_number("Retry: first_wait", self.first_wait, least=0, unit="seconds")
        check_number("Retry: longest_wait", self.longest_wait, least=0, unit="seconds")

    def wait(self, attempt: int, error: CommandError, jitter: float) -> float | None:
        """Return how many seconds to wait after *attempt* (the first is 1) failed; ``None``: do not retry.

        Args:
            jitter: A random number from 0 to 1, which spreads the retries of commands that were refused together.
        """
        if attempt >= self.attempts or not _not_processed(error):
            return None
        asked = error.retry_after if isinstance(error, CommandRejected) else None
        if asked is not None:
            # Not earlier than the platform asked for.
            return None if asked > self.longest_wait else asked + jitter * self.first_wait
        wait = self.first_wait * 2.0 ** min(attempt - 1, LONGEST_DOUBLING)
        return min(wait, self.longest_wait) * (0.5 + jitter / 2)


class Budget:
    """The retries that a client has left: at most *size*, refilled evenly with *size* a minute (a token bucket)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = float(size)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one retry; return ``False`` if none is left."""
        if self._at is not None:
            self._left = min(self._size, self._left + (now - self._at) * self._size / 60)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _not_processed(error: CommandError) -> bool:
    if isinstance(error, CommandRejected):
        return error.status == 429 or (error.status == 503 and error.retry_after is not None)
    return isinstance(error, CommandNotSent)
