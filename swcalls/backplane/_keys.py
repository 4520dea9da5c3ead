"""The names of keys in Redis.

All keys of an owner share a hash tag, so they stay together in a cluster, and owners can be spread over several.
"""

from __future__ import annotations


class Keys:
    """Names the keys of owners, and those that a project has once."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def of(self, project: str, owner: str, what: str) -> str:
        """Return the key of what belongs to one owner."""
        return f"{self._prefix}:{{{project}:{owner}}}:{what}"

    def shared(self, project: str, what: str) -> str:
        """Return the key of what belongs to the whole project."""
        return f"{self._prefix}:{{{project}}}:{what}"
