"""The deadlines of all operations, in one structure, so that one timer serves any number of them.

`TimeLimits` and `CallChecks` set deadlines, and the registry handles those that have expired.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from .operation import Operation

SLOT = 0.05
"""Seconds. Deadlines within one slot expire together, so a deadline expires at most this much late.

Setting or clearing a deadline is one change of a dict, and a cleared deadline takes no memory. A heap of 100,000
deadlines took three times as long, and kept cleared deadlines for a while.
"""


class Deadlines:
    """The deadlines, grouped into slots of `SLOT` seconds.

    Args:
        moved: Called with the new value of `next` when `next` has become earlier.
    """

    def __init__(self, moved: Callable[[float], object] | None = None) -> None:
        self._moved = moved
        self._slots: dict[int, dict[Operation, None]] = {}
        self._order: list[int] = []
        """A heap of the numbers of all slots; an empty slot stays until its time has come."""

    @property
    def next(self) -> float | None:
        """The time at which to call `expired` again; ``None``: there is no deadline."""
        order, slots = self._order, self._slots
        while order and not slots[order[0]]:
            del slots[heapq.heappop(order)]
        return (order[0] + 1) * SLOT if order else None

    def set(self, operation: Operation, due: float) -> None:
        """Set or move the deadline of *operation*."""
        if operation.due is not None:
            self.clear(operation)
        operation.due = due
        number = int(due // SLOT)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            heapq.heappush(self._order, number)
            if self._moved is not None and self._order[0] == number:
                self._moved((number + 1) * SLOT)
        slot[operation] = None

    def clear(self, operation: Operation) -> None:
        """Remove the deadline of *operation*, if it has one."""
        if operation.due is not None:
            del self._slots[int(operation.due // SLOT)][operation]
            operation.due = None

    def expired(self, now: float) -> Iterator[Operation]:
        """Yield each operation that is due at *now*, and remove its deadline."""
        while self._order and (number := self._order[0]) * SLOT <= now:
            slot = self._slots[number]
            due = [operation for operation in slot if operation.due is not None and operation.due <= now]
            if not due:
                if slot:
                    return
                del self._slots[heapq.heappop(self._order)]
            for operation in due:
                # The caller may have cleared or moved this deadline while it handled an earlier one.
                if operation.due is not None and operation.due <= now:
                    self.clear(operation)
                    yield operation
