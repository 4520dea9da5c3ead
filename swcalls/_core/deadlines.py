"""When each operation must be over: one structure for all of them, so that one timer serves any number."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from .operation import Operation

SLOT = 0.05
"""Seconds. Those that are due within one slot share it, and a timer that is set to `Deadlines.next` is as late at most.

Setting and clearing a deadline takes a step in a dict, and leaves nothing behind: in a heap of all deadlines a step in
100,000 took three times as long, and those that were cleared stayed for a while.
"""


class Deadlines:
    """The deadlines, by the slot of time that they are in.

    Args:
        moved: Called with the new value of `next` when `next` has become earlier.
    """

    def __init__(self, moved: Callable[[float], object] | None = None) -> None:
        self._moved = moved
        self._slots: dict[int, dict[Operation, None]] = {}
        self._order: list[int] = []
        """A heap of the slots that there are, empty ones too until their time has come."""

    @property
    def next(self) -> float | None:
        """When to call `expired` again; ``None``: not at all."""
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
        """Take away its deadline, if it has one."""
        if operation.due is not None:
            del self._slots[int(operation.due // SLOT)][operation]
            operation.due = None

    def expired(self, now: float) -> Iterator[Operation]:
        """Yield each operation that is due, its deadline taken away."""
        while self._order and (number := self._order[0]) * SLOT <= now:
            slot = self._slots[number]
            due = [operation for operation in slot if operation.due is not None and operation.due <= now]
            if not due:
                if slot:
                    return
                del self._slots[heapq.heappop(self._order)]
            for operation in due:
                # Whoever was told of one before it may have cleared it, or moved it.
                if operation.due is not None and operation.due <= now:
                    self.clear(operation)
                    yield operation
