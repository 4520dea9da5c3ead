"""`Keys`: the names of the keys in Redis. For `RedisBackplane`.

All keys of an owner have the same hash tag: a Redis Cluster stores them on one node, and different owners on different
nodes.
"""

from __future__ import annotations


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
