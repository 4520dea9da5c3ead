"""How processes of one project share calls: whose a webhook is, and what was running when one of them died.

A process without a backplane keeps everything to itself, and this costs it nothing. `RedisBackplane` comes with the
extra ``swcalls[redis]``; any other one has the methods of `Backplane`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .protocol import Backplane, BackplaneError, BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

if TYPE_CHECKING:
    from .redis import RedisBackplane


def __getattr__(name: str) -> Any:
    # The one that needs a package which is not always there.
    if name != "RedisBackplane":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .redis import RedisBackplane

    return RedisBackplane


__all__ = [
    "Backplane",
    "BackplaneError",
    "BackplaneUnavailable",
    "Delivery",
    "Memo",
    "OwnerTaken",
    "Receive",
    "RedisBackplane",
]
