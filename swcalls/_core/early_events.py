"""What is kept for events of operations that are not registered: early events, and the keys that make others late."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from ..events import Event
from .limits import Limits


class _Kept(NamedTuple):
    kind: str
    event: Event
    size: int
    at: float


class EarlyEvents:
    """A buffer of events by key, bounded in number, bytes and age. It drops the oldest first, and counts them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: OrderedDict[int, tuple[str, _Kept]] = OrderedDict()
        self._by_key: dict[str, list[int]] = {}
        self._next = 0
        self._bytes = 0
        self.dropped: int = 0
        """How many events were dropped."""

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, kind: str, key: str, event: Event, size: int, now: float) -> None:
        """Keep *event*, whose body had *size* bytes."""
        self._kept[self._next] = (key, _Kept(kind, event, size, now))
        self._by_key.setdefault(key, []).append(self._next)
        self._next += 1
        self._bytes += size
        self.trim(now)

    def take(self, kind: str, key: str, now: float) -> list[Event]:
        """Remove and return the events that were kept for *kind*/*key*, in the order of arrival."""
        if not self._kept:
            return []
        self.trim(now)
        numbers = self._by_key.get(key, ())
        mine = [number for number in numbers if self._kept[number][1].kind == kind]
        return [self._remove(number).event for number in mine]

    def trim(self, now: float) -> None:
        """Drop events that are too many, too large together, or too old."""
        limits = self._limits
        while self._kept:
            number, (_, oldest) = next(iter(self._kept.items()))
            is_full = len(self._kept) > limits.early_events or self._bytes > limits.early_bytes
            if not is_full and now - oldest.at <= limits.early_age:
                return
            self._remove(number)
            self.dropped += 1

    def _remove(self, number: int) -> _Kept:
        key, kept = self._kept.pop(number)
        numbers = self._by_key[key]
        numbers.remove(number)
        if not numbers:
            del self._by_key[key]
        self._bytes -= kept.size
        return kept


class RecentKeys:
    """Keeps the latest keys: at least half of *most*, and at most *most* (>= 1).

    Two sets take turns: when the newer one is full, the older one is dropped. One ordered set that drops a key for each
    new key took 1.5 of the 57 us that a webhook takes.
    """

    def __init__(self, most: int) -> None:
        self._size = max(1, most // 2)
        self._new: set[str] = set()
        self._old: set[str] = set()

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def __contains__(self, key: str) -> bool:
        return key in self._new or key in self._old

    def add(self, key: str) -> None:
        """Remember *key*."""
        self._new.add(key)
        if len(self._new) >= self._size:
            self._old, self._new = self._new, set()

    def discard(self, key: str) -> None:
        """Forget *key*, if it is there."""
        self._new.discard(key)
        self._old.discard(key)
