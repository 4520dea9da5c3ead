"""A WebSocket that hands messages over where they are parsed, and wakes no task for each of them.

aiohttp puts messages into a queue, and wakes the task that reads from it. That task would only wake the user's, which
waits for frames. Without it a frame takes 10 us of CPU time in this package and in aiohttp instead of 15, with 400
streams at once. Where aiohttp's private parts are not as expected, all messages go through its queue, as usual.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from aiohttp import web

# Text is handed on as the bytes that it came in; older versions of aiohttp decode it in any case.
_AS_BYTES: dict[str, Any] = (
    {"decode_text": False} if "decode_text" in inspect.signature(web.WebSocketResponse).parameters else {}
)


class DirectSocket(web.WebSocketResponse):
    """A WebSocket whose messages are offered to *take* first; what it does not take comes by ``receive()``.

    Args:
        take: Takes a message, or returns ``False``.
        max_msg_size: Bytes of a message; a larger one ends the connection.
        options: Further ones of ``WebSocketResponse``.
    """

    def __init__(self, take: Callable[[Any], bool], *, max_msg_size: int, **options: Any) -> None:
        super().__init__(max_msg_size=max_msg_size, compress=False, **options, **_AS_BYTES)
        self._take = take
        self._largest = max_msg_size
        self.is_direct = False
        """Whether messages are offered; else all of them come by ``receive()``."""

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        super()._post_start(request, protocol, writer)
        try:
            self._skip_queue(request)
        except (ImportError, AttributeError, TypeError):
            return  # Another version of aiohttp.

    def _skip_queue(self, request: web.BaseRequest) -> None:
        from .audio_queue import direct_queue

        connection: Any = request.protocol
        # What came with the request is in the first queue already.
        if self._reader is None or self._reader._buffer or connection._payload_parser is None:
            return
        queue, parser = direct_queue(connection, self._take, self._largest, _AS_BYTES)
        connection._payload_parser = None
        connection.set_parser(parser)
        self._reader, self._parser = queue, parser
        self.is_direct = True
