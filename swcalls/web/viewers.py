"""`Viewers`: the connections of the page's viewers, as server-sent events.

Nothing is queued for a viewer: it gets what has changed since its last message, once that message has been taken. So a
slow viewer costs one message of memory, and no time of the calls; one that takes nothing for `PATIENCE` seconds is
disconnected. Each connection runs in the task of its request, which belongs to aiohttp's server.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from aiohttp import web

from .access import protected
from .board import Board, Seen
from .sources import Counter, Source

MOST_VIEWERS = 16
PATIENCE = 10.0
"""Seconds for which a viewer may take nothing of a message."""
TICK = 1.0
"""Seconds after which the counters are read again, if nothing happens on a call."""
SILENCE = 15.0
"""Seconds after which an empty comment is sent, so that proxies keep the connection."""

_log = logging.getLogger("swcalls.dashboard")


class _Viewer:
    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self.news: asyncio.Event = asyncio.Event()
        self.seen: Seen = Seen()
        self.is_sending: bool = False

    def leave(self) -> None:
        """Drop the viewer if it has not taken everything: aiohttp would wait for it to do so."""
        transport = self.request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    def drop(self) -> None:
        """Close the connection at once; what is still to be sent is lost."""
        if self.request.transport is not None:
            self.request.transport.abort()


class Viewers:
    """The connected viewers of one page.

    Args:
        source: The calls and counters to show.
        private: Whether to show numbers, and what parties press and say.
    """

    def __init__(self, source: Source, *, private: bool) -> None:
        self.dropped: int = 0
        """How many viewers were disconnected since they were too slow."""
        self.refused: int = 0
        """How many connections were refused since there were too many."""
        self._board = Board(source, private=private, more_counters=self._counters)
        self._viewers: set[_Viewer] = set()
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._viewers)

    async def serve(self, request: web.Request, until: float) -> web.StreamResponse:
        """Send what happens to the viewer that sent *request*, until the viewer goes, `close` is called, or *until*.

        Args:
            until: When the viewer's session ends, in Unix seconds.
        """
        if len(self._viewers) >= MOST_VIEWERS or self._closing.is_set():
            self.refused += 1
            return protected(web.Response(status=503, headers={"Retry-After": "10"}), "default-src 'none'")
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        viewer = _Viewer(request)
        self._viewers.add(viewer)
        self._board.add_viewer(viewer.news.set)
        try:
            await protected(response, "default-src 'none'").prepare(request)
            await self._send_news(viewer, response, until)
        except ConnectionError:
            pass  # The viewer has gone.
        except TimeoutError:
            self.dropped += 1
            _log.info("a viewer was disconnected: it took nothing for %g s", PATIENCE)
            viewer.drop()
        finally:
            self._viewers.remove(viewer)
            self._board.remove_viewer(viewer.news.set)
            viewer.leave()
        return response

    def close(self) -> None:
        """Let all connections end now; a viewer that is just being sent something loses it."""
        self._closing.set()
        for viewer in self._viewers:
            viewer.news.set()
            if viewer.is_sending:
                viewer.drop()

    async def _send_news(self, viewer: _Viewer, response: web.StreamResponse, until: float) -> None:
        head, sent_at = b"retry: 2000\n\n", time.monotonic()
        while not self._closing.is_set() and viewer.request.transport is not None and time.time() < until:
            viewer.news.clear()
            self._board.refresh()
            message = self._board.message(viewer.seen)
            if message is not None:
                head += b"data: " + message + b"\n\n"
            elif time.monotonic() - sent_at >= SILENCE:
                head += b":\n\n"
            if head:
                await self._send(viewer, response, head)
                head, sent_at = b"", time.monotonic()
            await _event(self._closing, self._board.next_refresh - time.monotonic())
            if not self._board.has_news:
                await _event(viewer.news, TICK)

    async def _send(self, viewer: _Viewer, response: web.StreamResponse, message: bytes) -> None:
        viewer.is_sending = True
        try:
            async with asyncio.timeout(PATIENCE):
                await response.write(message)
        finally:
            viewer.is_sending = False

    def _counters(self) -> list[Counter]:
        return [
            Counter("viewers of this page", len(self._viewers)),
            Counter("viewers dropped", self.dropped, is_trouble=True),
            Counter("viewers refused", self.refused, is_trouble=True),
        ]


async def _event(event: asyncio.Event, timeout: float) -> None:
    """Wait for *event*, at most *timeout* seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await event.wait()
