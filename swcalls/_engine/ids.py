"""Makes the ids of operations."""

from __future__ import annotations

import os
import random

_VERSION_4 = 0x4 << 76 | 0x2 << 62
_RANDOM_BITS = (1 << 128) - 1 ^ (0xF << 76 | 0x3 << 62)
_random = random.Random()  # noqa: S311 - see `new_id`
if hasattr(os, "register_at_fork"):
    # A child process would make the same ids as its parent.
    os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """Return a new unique id: a random UUID (RFC 9562, version 4).

    The id need not be secret, since a MAC protects the callback URL. `uuid.uuid4` reads the system's randomness
    for each id, which takes a twentieth of the time of a command.
    """
    digits = f"{_random.getrandbits(128) & _RANDOM_BITS | _VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
