"""A server for nothing but the receiver: quick to acknowledge, and quick to hang up on strangers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, suppress
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from .._core.callback_urls import CallbackUrls
from .tasks import each_of, to_the_end

HEADERS_TIMEOUT = 10.0
"""Seconds in which the first request of a connection must have begun to be handled. Left alone, aiohttp 3.12 waits for
it for ever, and 3.14 for as long as for a further one."""

KEEPALIVE_TIMEOUT = 630.0
"""Seconds that a connection may be idle between two requests: longer than any proxy keeps one (600 is the longest usual
time), so that none sends a webhook just as we hang up. Only a sender whose webhook was accepted has that long, since
with any other answer its connection is closed."""

LINGERING_TIME = 5.0
"""Seconds for which the rest of a refused body is read and thrown away, so that its sender gets to see the answer."""

_log = logging.getLogger("swcalls.receiver")


class _Acknowledgement(web.StreamResponse):
    """An empty 200 for a connection that stays open; has no state, so that one serves all requests.

    It writes its few bytes itself, which saves a fifth of the time that a request takes: aiohttp would make a dict of
    headers, and look through it for what to add. For a server of our own only, since no signal of an application hears
    of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._bytes = b""

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the sender has gone")
        now = int(time.time())
        if now != self._second:
            date = formatdate(now, usegmt=True)
            self._second, self._bytes = now, f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n".encode()
        transport.write(self._bytes)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: all was written."""


_ACKNOWLEDGEMENT = _Acknowledgement()


def acknowledgement(request: web.BaseRequest) -> web.StreamResponse:
    """Make an empty 200 for *request*, which came to a server of our own."""
    if request.version == HttpVersion11 and request.keep_alive:
        return _ACKNOWLEDGEMENT
    return web.Response()


class _Server(web.Server):
    """Answers with *handler*, and hangs up on whoever sends nothing, or too slowly, or something that is not HTTP."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._answer = handler
        self._awaited: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        """Of each connection that has not brought a request yet, when it will be closed."""
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(
            self._handle,
            access_log=None,
            logger=_log,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            lingering_time=LINGERING_TIME,
            auto_decompress=False,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._awaited[handler] = asyncio.get_running_loop().call_later(HEADERS_TIMEOUT, transport.abort)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._await_no_more(handler)
        super().connection_lost(handler, exc)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        # A connection has one task for all of its requests.
        if request.protocol in self._awaited:
            self._await_no_more(request.protocol)
            self._tasks.add(request.task)
            request.task.add_done_callback(self._tasks.discard)
        return await self._answer(request)

    async def shutdown(self, timeout: float | None = None) -> None:
        await super().shutdown(timeout)
        # aiohttp forgets those that still read from a connection that is gone.
        left = tuple(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _await_no_more(self, handler: web.RequestHandler) -> None:
        timer = self._awaited.pop(handler, None)
        if timer is not None:
            timer.cancel()


def _without_what_was_sent(record: logging.LogRecord) -> bool:
    """Make one line, with nothing of a stranger's in it, of aiohttp's report of a request that is not HTTP."""
    fault = record.exc_info[1] if record.exc_info else None
    if isinstance(fault, HttpProcessingError | web.RequestPayloadError):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = "request refused: not HTTP (%s)", (type(fault).__name__,), None
    return True


_log.addFilter(_without_what_was_sent)


class Engine(Protocol):
    """What a server needs of the engine of a client."""

    async def drain(self) -> None:
        """Refuse calls that come in, until `resume` is called, and let the handlers of the others finish."""
        ...

    def resume(self) -> None:
        """Take calls again."""
        ...


class Address(NamedTuple):
    """Where connections came in."""

    family: int
    name: Any
    """What ``getsockname()`` says: host and port, or the path of a Unix socket."""
    ssl: SSLContext | None
    file: os.stat_result | None
    """Of a Unix socket."""

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> Self | None:
        """Return where the connection of *transport* came in; ``None``: it is no socket's, or a file that has gone."""
        connection = transport.get_extra_info("socket")
        if connection is None:
            return None
        name = connection.getsockname()
        try:
            file = Path(name).stat() if isinstance(name, str) else None
        except OSError:
            return None
        return cls(connection.family, name, transport.get_extra_info("sslcontext"), file)

    def listen(self) -> socket.socket:
        """Return a socket that listens here. Raises ``OSError`` if something else does."""
        with ExitStack() as undo:
            listener = undo.enter_context(socket.socket(self.family, socket.SOCK_STREAM))
            if self.file is not None:
                self._remove_file(self.file)
            elif self.family in (socket.AF_INET, socket.AF_INET6) and os.name == "posix":
                # Connections of before may linger. On Windows this would be to share the port with whoever has it now.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.family == socket.AF_INET6 and self.name[0].startswith("::ffff:"):
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(self.name)
            if self.file is not None:
                Path(self.name).chmod(stat.S_IMODE(self.file.st_mode))
            listener.listen(128)
            undo.pop_all()
        return listener

    def _remove_file(self, known: os.stat_result) -> None:
        """Remove the file of the socket that was listened at, but not one that a successor has put in its place."""
        file = Path(self.name)
        with suppress(FileNotFoundError):
            found = file.stat()
            if (found.st_dev, found.st_ino, found.st_ctime_ns) == (known.st_dev, known.st_ino, known.st_ctime_ns):
                file.unlink()


class StandIn:
    """Receives webhooks where another server of this process has just stopped listening, until it is stopped itself.

    Any other request finds nobody, as if nothing listened: its connection is closed.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handler = handler
        self._runner: web.ServerRunner | None = None

    async def start(self, addresses: Iterable[Address]) -> None:
        """Listen at *addresses*, as far as that is possible; they are taken before anything else happens."""
        listeners = []
        for address in addresses:
            try:
                listeners.append((address.listen(), address.ssl))
            except OSError as fault:
                _log.warning("no webhooks can be received at %s while handlers finish: %s", address.name, fault)
        self._runner = runner = web.ServerRunner(_Server(self._answer), shutdown_timeout=1.0)
        await runner.setup()
        for listener, ssl in listeners:
            await web.SockSite(runner, listener, ssl_context=ssl).start()

    async def stop(self) -> None:
        """Stop listening."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await to_the_end(runner.cleanup())

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._handler(request)
        if response.status == 404 and request.transport is not None:
            request.transport.abort()
        return response


class ReceiverServer:
    """A receiver's own server; ``url`` is where it is while the block runs. It stops when handlers have finished."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        urls: CallbackUrls,
        host: str,
        port: int,
        engine: Engine | None = None,
    ) -> None:
        self._handler = handler
        self._urls = urls
        self._engine = engine
        self._host = host
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._filled_in = False
        self.url: str = ""

    async def __aenter__(self) -> Self:
        runner = web.ServerRunner(_Server(self._handler), shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        address = ip_address(runner.addresses[0][0])
        if address.is_unspecified:
            # It stands for all of them, and is none that anybody could post to.
            address = ip_address("127.0.0.1" if address.version == 4 else "::1")
        host = str(address) if address.version == 4 else f"[{address}]"
        self.url = f"http://{host}:{runner.addresses[0][1]}"
        if self._urls.public_url is None:
            self._urls.public_url = self.url
            self._filled_in = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._engine is None:
            await self._stop()
            return
        try:
            await each_of(self._engine.drain, self._stop)
        finally:
            self._engine.resume()

    async def _stop(self) -> None:
        # First the server: what it is still handling was signed for the URL that is cleared then.
        runner, self._runner = self._runner, None
        try:
            if runner is not None:
                await to_the_end(runner.cleanup())
        finally:
            if self._filled_in:
                self._urls.public_url = None
                self._filled_in = False
