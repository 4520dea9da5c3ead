"""The errors after which the modules of `RedisBackplane` retry an operation."""

from __future__ import annotations

from redis.exceptions import RedisError

REDIS_ERRORS = (RedisError, OSError, TimeoutError)
"""What the Redis client raises if Redis fails, or cannot be reached."""
