"""`Keys`: the names of the keys in Redis, and the version of what is stored there. For `RedisBackplane`.

All keys of an owner have the same hash tag: a Redis Cluster stores them on one node, and different owners on different
nodes.
"""

from __future__ import annotations

FORMAT = 1
"""The version of the stored format. A process reads this one and all older ones.

A new version is necessary when a process of the version before would misread a delivery or a memo. Version 1 is not
written into deliveries and memos; any later one is, as ``v``.
"""


class Keys:
    """Makes the names of keys, from a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def of(self, project: str, owner: str, what: str) -> str:
        """Return the key *what* of one owner."""
        return f"{self._prefix}:{{{project}:{owner}}}:{what}"

    def shared(self, project: str, what: str) -> str:
        """Return the key *what* of the project, which all its processes share."""
        return f"{self._prefix}:{{{project}}}:{what}"
