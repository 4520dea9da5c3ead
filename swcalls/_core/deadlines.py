"""When each operation must be over: one heap for all of them, so that one timer serves any number."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from .operation import Operation


class Deadlines:
    """A heap of deadlines. An entry whose operation has another deadline by now, or none, is skipped when met."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Operation]] = []
        self._number = count()
        self._live = 0

    @property
    def next(self) -> float | None:
        """When to call `expired` again; ``None``: not at all."""
        while self._heap and self._heap[0][2].due != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def set(self, operation: Operation, due: float) -> None:
        """Set or move the deadline of *operation*."""
        if operation.due == due:
            return
        self._live += operation.due is None
        operation.due = due
        heapq.heappush(self._heap, (due, next(self._number), operation))
        self._tidy()

    def clear(self, operation: Operation) -> None:
        """Take away its deadline, if it has one."""
        if operation.due is None:
            return
        operation.due = None
        self._live -= 1
        self._tidy()

    def expired(self, now: float) -> Iterator[Operation]:
        """Yield each operation that is due, its deadline taken away."""
        while (due := self.next) is not None and due <= now:
            operation = heapq.heappop(self._heap)[2]
            operation.due = None
            self._live -= 1
            yield operation
        self._tidy()

    def _tidy(self) -> None:
        """Skipped entries keep their operations alive, so they must not outnumber the others for long."""
        if not self._live:
            self._heap.clear()
        elif len(self._heap) > 64 and len(self._heap) > 2 * self._live:
            self._heap = [entry for entry in self._heap if entry[2].due == entry[0]]
            heapq.heapify(self._heap)
