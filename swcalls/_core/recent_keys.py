"""The latest keys, for as long as there is room: a memory that is bounded, and cheap to add to."""

from __future__ import annotations


class RecentKeys:
    """The latest keys that were added: *most* of them (>= 1), and never less than half as many.

    Two sets take turns, since to keep keys in their order, and drop one for each that comes, took 1.5 of the 57 us that
    a webhook takes.
    """

    def __init__(self, most: int) -> None:
        self._room = max(1, most // 2)
        self._new: set[str] = set()
        self._old: set[str] = set()

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def __contains__(self, key: str) -> bool:
        return key in self._new or key in self._old

    def add(self, key: str) -> None:
        """Remember *key*."""
        self._new.add(key)
        if len(self._new) >= self._room:
            self._old, self._new = self._new, set()

    def discard(self, key: str) -> None:
        """Forget *key*, if it is there."""
        self._new.discard(key)
        self._old.discard(key)
