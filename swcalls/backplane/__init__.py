"""A backplane connects several processes of one project: webhooks reach the process that owns the action.

It also remembers the running actions of a process that has died, so that another process can continue. A single
process needs no backplane. `RedisBackplane` needs the extra ``swcalls[redis]``,
`PostgresBackplane` the extra ``swcalls[postgres]``; any class with the methods of `Backplane` can take their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .protocol import Backplane, BackplaneError, BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

if TYPE_CHECKING:
    from .postgres import PostgresBackplane
    from .redis import RedisBackplane


def __getattr__(name: str) -> Any:
    # Imported on first use, since they need the packages redis and asyncpg, which are optional.
    if name == "RedisBackplane":
        from .redis import RedisBackplane

        return RedisBackplane
    if name == "PostgresBackplane":
        from .postgres import PostgresBackplane

        return PostgresBackplane
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Backplane",
    "BackplaneError",
    "BackplaneUnavailable",
    "Delivery",
    "Memo",
    "OwnerTaken",
    "PostgresBackplane",
    "Receive",
    "RedisBackplane",
]
