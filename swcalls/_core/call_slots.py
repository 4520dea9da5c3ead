"""How many dialled calls are up, and which dials wait for their turn until there are few enough."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class CallSlots:
    """Counts dialled calls by key, and lets waiting dials begin in order. *begin* is called with the key of each.

    A dial waits while a dial before it waits, and while as many calls are up as its own bound allows.
    """

    def __init__(self, begin: Callable[[str], object]) -> None:
        self._begin = begin
        self._up: set[str] = set()
        self._waiting: OrderedDict[str, int] = OrderedDict()
        """The bound of each dial that waits."""

    def __len__(self) -> int:
        """Return how many calls are up, or are being dialled."""
        return len(self._up)

    def take(self, key: str, most: int | None) -> bool:
        """Let the dial *key* begin, if fewer than *most* calls are up; ``None``: in any case.

        Returns:
            Whether the dial may begin now. If not, it waits: *begin* is called, or `free` ends the waiting.
        """
        if most is None or (not self._waiting and len(self._up) < most):
            self._up.add(key)
            return True
        self._waiting[key] = most
        return False

    def free(self, key: str) -> None:
        """Note that the call *key* is over, or that its dial waits no more; do nothing if it is neither."""
        self._up.discard(key)
        self._waiting.pop(key, None)
        while self._waiting:
            first, most = next(iter(self._waiting.items()))
            if len(self._up) >= most:
                return
            del self._waiting[first]
            self._up.add(first)
            self._begin(first)
