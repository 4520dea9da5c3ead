"""Connections of our own server: a webhook that comes whole and alone is answered without a request and a task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser

from .._core.webhooks import Reply
from .ingress import Ingress

LARGEST = 64 * 1024
"""Bytes of the largest request, head and body, that is not left to aiohttp. A webhook has less than a thousand."""

_FAILED = Reply(500, b"", "unavailable")

_log = logging.getLogger("swcalls.receiver")


class FastWay:
    """Takes webhooks for all connections of a server, delivers those that came together, then answers them.

    Args:
        ingress: Decides about the webhooks.
        run: Runs a coroutine in a task until it ends or the server stops.
        acknowledgement: Returns the bytes of an empty 200.
    """

    def __init__(
        self,
        ingress: Ingress,
        run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        acknowledgement: Callable[[], bytes],
    ) -> None:
        self._ingress = ingress
        self._run = run
        self._acknowledgement = acknowledgement
        self._loop = asyncio.get_running_loop()
        self._protocol = BaseProtocol(self._loop)
        self._parser: HttpRequestParser | None = None
        self._batch: list[tuple[Connection, str, Mapping[str, str], bytes]] = []

    def take(self, connection: Connection, data: bytes) -> bool:
        """Take *data*, if it is one whole webhook and nothing else. If not, nothing has happened."""
        if len(data) > LARGEST or not data.startswith(b"POST "):
            return False
        parser = self._parser or HttpRequestParser(self._protocol, self._loop, LARGEST, auto_decompress=False)
        # All connections use one parser. It is dropped, unless it has read exactly one plain request to its end.
        self._parser = None
        try:
            messages, is_upgraded, _ = parser.feed_data(data)
        except HttpProcessingError:
            return False
        if is_upgraded or len(messages) != 1:
            return False
        message, content = messages[0]
        body = data[data.find(b"\r\n\r\n") + 4 :]
        # Otherwise the body is chunked, or has not come yet, or a part of the next request has come with it.
        if message.chunked or not content.is_eof() or content.total_bytes != len(body):
            return False
        path, headers, reader = message.path, message.headers, self._ingress.reader
        if (
            message.should_close
            or message.upgrade
            or message.version != HttpVersion11
            or len(body) > reader.limit
            or "Content-Encoding" in headers
            or "Expect" in headers
            or not reader.urls.relative(path).startswith(reader.urls.prefix)
        ):
            return False
        self._parser = parser
        if not self._batch:
            self._loop.call_soon(self._deliver)
        self._batch.append((connection, path, headers, body))
        return True

    def _deliver(self) -> None:
        """Deliver what was taken in this turn of the event loop: so each part of the code runs many times in a row."""
        batch, self._batch = self._batch, []
        replies = []
        for connection, path, headers, body in batch:
            try:
                reply = self._ingress.accept_now(path, headers, body)
            except Exception:  # noqa: BLE001 - the other webhooks are to be delivered
                _log.exception("a webhook could not be handled")
                reply = _FAILED
            if isinstance(reply, Reply):
                replies.append((connection, reply))
            else:
                connection.task = self._run(self._finish(connection, path, headers, body))
        for connection, reply in replies:
            connection.answer(self._encoded(reply), keeps=reply.status == 200)

    async def _finish(self, connection: Connection, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Answer a webhook that another process may own, or that is answered later."""
        try:
            reply = await self._ingress.accept(path, headers, body)
        except Exception:  # noqa: BLE001 - as aiohttp does
            _log.exception("a webhook could not be handled")
            reply = _FAILED
        connection.answer(self._encoded(reply), keeps=reply.status == 200)

    def _encoded(self, reply: Reply) -> bytes:
        if reply.status == 200 and not reply.body:
            return self._acknowledgement()
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Content-Length: {len(reply.body)}",
            f"Content-Type: {reply.content_type}",
            f"Date: {formatdate(usegmt=True)}",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
            *(() if reply.status == 200 else ("Connection: close",)),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + reply.body


class Connection(web.RequestHandler):
    """A connection. The first request that *fast* does not take, and all after it, are left to aiohttp.

    Args:
        server: The server that made it.
        fast: ``None``: every request is left to aiohttp.
        first: Seconds within which the head of the first request must have come.
        idle: Seconds that the connection may be idle after a response.
        options: Those of aiohttp.
    """

    __slots__ = ("_behind", "_clock", "_deadline", "_fast", "_first", "_idle", "_is_busy", "_is_full", "_timer", "task")

    def __init__(self, server: web.Server, *, fast: FastWay | None, first: float, idle: float, **options: Any) -> None:
        self._clock = asyncio.get_running_loop()
        super().__init__(server, loop=self._clock, keepalive_timeout=idle, **options)
        self.task: asyncio.Task[None] | None = None
        """Answers the request that was taken, if that takes time."""
        self._fast = fast
        self._first, self._idle = first, idle
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        """When a connection that was used has been idle for too long."""
        self._is_busy = False
        """A request was taken and is not answered."""
        self._is_full = False
        """The other side does not read the responses."""
        self._behind = b""
        """What came too early. Nothing is read while there is something here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # This stops aiohttp's own timer until aiohttp has handled a request.
        self.keep_alive(True)
        self._timer = self._clock.call_later(self._first, self._expire)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._fast is None:
            super().data_received(data)
        elif self._is_busy or self._is_full:
            self._behind += data
            if self.transport is not None:
                self.transport.pause_reading()
        elif self._fast.take(self, data):
            self._is_busy = True
        else:
            self._fast = None
            super().data_received(data)

    def answer(self, response: bytes, *, keeps: bool) -> None:
        """Send *response* to the request that was taken; *keeps*: keep the connection."""
        self._is_busy, self.task, transport = False, None, self.transport
        if transport is None or transport.is_closing():
            return
        transport.write(response)
        if not keeps:
            self.close()
            transport.close()
            return
        if not self._deadline and self._timer is not None:
            self._timer.cancel()
            self._timer = self._clock.call_later(self._idle, self._expire)
        self._deadline = self._clock.time() + self._idle
        if self._behind:
            self._go_on()

    def pause_writing(self) -> None:
        self._is_full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        super().resume_writing()
        self._go_on()

    def close(self) -> None:
        # From here on aiohttp gets what comes, and ignores it.
        self._fast = None
        super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        self._fast = None
        if self._is_busy:
            # The request is delivered in the next turn of the event loop; what takes longer is a task from then on.
            await asyncio.sleep(0)
        if self.task is not None:
            await asyncio.wait([self.task], timeout=timeout)
        await super().shutdown(timeout)

    def stop_timer(self) -> None:
        """Stop the timer: aiohttp has a request, and a timer of its own after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        """Handle what came too early, unless it still does."""
        if self._behind and self.transport is not None and not self._is_busy and not self._is_full:
            data, self._behind = self._behind, b""
            self.transport.resume_reading()
            self.data_received(data)

    def _expire(self) -> None:
        now = self._clock.time()
        if self._is_busy:
            self._deadline = now + self._idle
        if now < self._deadline:
            self._timer = self._clock.call_at(self._deadline, self._expire)
        elif self.transport is not None:
            self.transport.abort()
