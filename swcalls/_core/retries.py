"""When a command is sent again, and after how long. Decides; sleeps nowhere."""

from __future__ import annotations

from msgspec import Struct

from ..errors import CommandError, CommandNotSent, CommandRejected


class Retry(Struct, frozen=True, kw_only=True):
    """Limits on sending a command again. Only what was certainly not processed ever is."""

    attempts: int = 4
    """How often a command is sent at most, the first time included (>= 1; 1 never retries)."""
    first_wait: float = 0.5
    """Seconds before the second attempt when the platform names no time; doubled for each further one."""
    longest_wait: float = 30.0
    """Seconds; a longer ``Retry-After`` is not waited for, the error is raised at once."""

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int):
            raise TypeError(f"Retry: attempts={self.attempts!r} must be a whole number")
        if self.attempts < 1:
            raise ValueError(f"Retry: attempts={self.attempts!r} must be at least 1")
        for name in ("first_wait", "longest_wait"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"Retry: {name}={value!r} must be a number")
            if not value >= 0:
                raise ValueError(f"Retry: {name}={value!r} must be at least 0 seconds")

    def wait(self, attempt: int, error: CommandError, jitter: float) -> float | None:
        """Say how many seconds to wait after *attempt* (the first is 1) failed; ``None``: give up.

        Args:
            jitter: From 0 to 1, by chance; it spreads the waits of commands that were refused together.
        """
        if attempt >= self.attempts or not _not_processed(error):
            return None
        asked = error.retry_after if isinstance(error, CommandRejected) else None
        if asked is not None:
            # Never earlier than asked for.
            return None if asked > self.longest_wait else asked + jitter * self.first_wait
        wait = self.first_wait * 2.0 ** (attempt - 1)
        return min(wait, self.longest_wait) * (0.5 + jitter / 2)


def _not_processed(error: CommandError) -> bool:
    if isinstance(error, CommandRejected):
        return error.status == 429 or (error.status == 503 and error.retry_after is not None)
    return isinstance(error, CommandNotSent)
