"""aiohttp's queue of WebSocket messages, past which messages can be taken. It is no public interface of aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

Take = Callable[[Any], bool]
"""Takes a message; ``False``: it must go through the queue."""

_QUEUED = 2**16
"""Bytes in the queue at which aiohttp reads no more, as by its default in the oldest version that is supported."""


class DirectQueue(WebSocketDataQueue):
    """A queue for what *take* does not take."""

    take: Take

    def feed_data(self, data: Any, size: int) -> None:
        if not self.take(data):
            super().feed_data(data, size)


def direct_queue(connection: Any, take: Take, largest: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return a queue for *connection*, and the parser that fills it; *largest* is the size of a message."""
    queue = DirectQueue(connection, _QUEUED, loop=asyncio.get_running_loop())
    queue.take = take
    return queue, WebSocketReader(queue, largest, compress=False, **options)
