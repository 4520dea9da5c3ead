"""What the modules of `RedisBackplane` share to retry operations: the errors to expect, and a random pause."""

from __future__ import annotations

from redis.exceptions import RedisError

from ._queue import with_jitter

REDIS_ERRORS = (RedisError, OSError, TimeoutError)
"""What the Redis client raises if Redis fails, or cannot be reached."""

__all__ = ["REDIS_ERRORS", "with_jitter"]
