"""Connects a process of the tests to the store that its task names."""

from __future__ import annotations

from typing import Any

from swcalls.backplane import Backplane, PostgresBackplane, RedisBackplane


def backplane_of(task: dict[str, Any], **settings: Any) -> Backplane:
    """Make the backplane of a process; the prefix is the name of a schema in PostgreSQL."""
    url, owner, prefix = task["store"], task["owner"], task["prefix"]
    if url.startswith("postgresql:"):
        return PostgresBackplane(url, owner=owner, schema=prefix, **settings)
    return RedisBackplane(url, owner=owner, prefix=prefix, **settings)
