"""Serves the WebSocket to which the platform sends a call's audio: one connection for each expected stream."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from .._core.audio_listeners import AudioListeners, Feed, Refused
from .audio_socket import DirectSocket

LARGEST_MESSAGE = 64 * 1024
"""Bytes. 40 ms of L16 at 24 kHz take 2.7 KB."""

CLOSED_WITHIN = 2.0
"""Seconds in which the other side must answer a close; then the connection is dropped."""

PING_EVERY = 20.0
"""Seconds without any message after which a ping is sent, since proxies cut a connection that is silent for 60. A ping
that is not answered in the same time again ends the connection."""

_DATA = frozenset({WSMsgType.TEXT, WSMsgType.BINARY})

_log = logging.getLogger("swcalls.audio")


class AudioServer:
    """Accepts the connections of streams, and passes their messages to the stream's feed."""

    def __init__(self, listeners: AudioListeners) -> None:
        self._listeners = listeners

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Check a request, and serve its connection until the stream ends."""
        feed = self._listeners.admit(request.raw_path, request.headers.getall("Authorization", ()))
        if isinstance(feed, Refused):
            if feed.is_ours:
                _log.warning("an audio connection is refused (%d): %s", feed.status, feed.reason)
            return _refusal(feed.status)
        link = _Link(feed)
        if not link.socket.can_prepare(request):
            return _refusal(400)
        feed.connect(link.cut)
        try:
            await link.socket.prepare(request)
            await link.run()
        finally:
            feed.disconnected()
        return link.socket


class _Link:
    """One connection: passes its messages to the feed until the platform or the feed ends it."""

    def __init__(self, feed: Feed) -> None:
        self.socket: DirectSocket = DirectSocket(
            self._take, timeout=CLOSED_WITHIN, autoping=False, max_msg_size=LARGEST_MESSAGE
        )
        self._feed = feed
        self._queued = 0
        """How many messages wait in the queue of the socket; no other message may overtake them."""
        self._timeout: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._signs = 0
        """How many pings and pongs have come."""
        self._known = 0
        """How many messages, pings and pongs had come at the last check."""
        self._is_asked = False

    def cut(self) -> None:
        """Close the connection soon."""
        self._is_over = True
        self._interrupt()

    async def run(self) -> None:
        """Read until the end, and close the connection."""
        self._look_later()
        try:
            while not self._is_over:
                # `_interrupt` ends the wait, to close the connection or to send a ping: so no message sets a timer.
                with suppress(TimeoutError):
                    async with asyncio.timeout(None) as self._timeout:
                        if self._is_asked:
                            await self.socket.ping()
                        await self._read()
                        self._is_over = True
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSED_WITHIN + 1):
                    await self.socket.close()
        except ConnectionError:
            pass  # It is lost already.
        finally:
            self._timeout = None
            if self._timer is not None:
                self._timer.cancel()

    async def _read(self) -> None:
        """Read until the connection is closed, or the feed wants no further message."""
        feed = self._feed
        while True:
            message = await self.socket.receive()
            self._queued = max(0, self._queued - 1)
            if message.type in _DATA:
                if not feed.receive(message.data):
                    return
                if feed.is_crowded:
                    # Many messages came at once: the reader runs before more of them push frames out of the buffer.
                    feed.is_crowded = False
                    await asyncio.sleep(0)
            elif message.type is WSMsgType.PING:
                self._signs += 1
                await self.socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._signs += 1
            else:
                if message.type is WSMsgType.ERROR:
                    _log.warning("%s: the connection failed: %s", feed.name, type(message.data).__name__)
                return

    def _take(self, message: Any) -> bool:
        """Pass a message to the feed, and return ``True``; ``False``: the queue of the socket must take it.

        It must when earlier messages wait there, or when the reader has to run first.
        """
        feed = self._feed
        if message.type is WSMsgType.TEXT and not self._queued and not feed.is_crowded:
            if not feed.receive(message.data):
                self.cut()
            return True
        self._queued += 1
        return False

    def _look(self) -> None:
        """Send a ping if nothing has come since the last check; if nothing came after a ping, close the connection."""
        come = self._feed.received + self._signs
        if come != self._known:
            self._known, self._is_asked = come, False
        elif self._is_asked:
            _log.warning("%s: the connection is closed, since a ping was not answered", self._feed.name)
            self.cut()
            return
        else:
            self._is_asked = True
            self._interrupt()
        self._look_later()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PING_EVERY, self._look)

    def _interrupt(self) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            timeout.reschedule(0.0)


def _refusal(status: int) -> web.Response:
    response = web.Response(status=status)
    response.force_close()
    return response
