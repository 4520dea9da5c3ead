"""What the modules of `RedisBackplane` share to retry operations: the errors to expect, and a random pause."""

from __future__ import annotations

import random

from redis.exceptions import RedisError

REDIS_ERRORS = (RedisError, OSError, TimeoutError)
"""What the Redis client raises if Redis fails, or cannot be reached."""

_random = random.SystemRandom()


def with_jitter(seconds: float) -> float:
    """Return a random part of *seconds*, at least half, so that processes do not retry at the same moment."""
    return seconds * (0.5 + _random.random() / 2)
