"""HTTP servers that serve only the receiver: `ReceiverServer`, and `StandIn` for while another server shuts down."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
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

from .._core.audio_listeners import Feed
from .._core.callback_urls import CallbackUrls
from .connection import Connection, FastWay
from .ingress import Ingress
from .tasks import each_of, to_the_end

HEADERS_TIMEOUT = 10.0
"""Seconds after which a connection without a complete first request head is closed. aiohttp 3.12 itself would wait for
ever, and 3.14 for ``KEEPALIVE_TIMEOUT``."""

KEEPALIVE_TIMEOUT = 630.0
"""Seconds that a connection may be idle between two requests: longer than a proxy keeps a connection (600 is the usual
maximum), so that no webhook is sent just as the server closes the connection. Only a sender whose webhook was
accepted gets this time; after any other response the connection is closed."""

LINGERING_TIME = 5.0
"""Seconds for which the rest of a refused body is read and discarded, so that the sender can read the response."""

_log = logging.getLogger("swcalls.receiver")


class _Acknowledgement(web.StreamResponse):
    """An empty 200 for a connection that stays open. One stateless instance serves all requests.

    It writes its bytes itself, which saves a fifth of the time of a request: aiohttp would build and check a dict of
    headers. Only where nobody could change the headers: see `acknowledgement`.
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
        transport.write(self.encoded())
        return None

    def encoded(self) -> bytes:
        """Return the bytes of the response."""
        now = int(time.time())
        if now != self._second:
            date = formatdate(now, usegmt=True)
            self._second, self._bytes = now, f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n".encode()
        return self._bytes

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has written the response."""


_ACKNOWLEDGEMENT = _Acknowledgement()


def acknowledgement(request: web.BaseRequest) -> web.StreamResponse:
    """Return an empty 200 for *request*: a new response where middlewares or signals could change it."""
    if request.version != HttpVersion11 or not request.keep_alive:
        return web.Response()
    if isinstance(request, web.Request):
        for app in request.match_info.apps:
            if app.middlewares or app.on_response_prepare:
                return web.Response()
    return _ACKNOWLEDGEMENT


class _Server(web.Server):
    """Answers with *handler*. Closes a connection that sends nothing, sends too slowly, or sends no valid HTTP.

    With *ingress*, a webhook that comes whole and alone goes straight there.
    """

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], ingress: Ingress | None = None
    ) -> None:
        self._answer = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._fast = None if ingress is None else FastWay(ingress, self._run, _ACKNOWLEDGEMENT.encoded)
        super().__init__(self._handle)

    def __call__(self) -> Connection:
        return Connection(
            self,
            fast=self._fast,
            first=HEADERS_TIMEOUT,
            idle=KEEPALIVE_TIMEOUT,
            access_log=None,
            logger=_log,
            lingering_time=LINGERING_TIME,
            auto_decompress=False,
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        # aiohttp runs one task for all requests of a connection.
        if request.task not in self._tasks:
            if isinstance(request.protocol, Connection):
                request.protocol.stop_timer()
            self._keep(request.task)
        return await self._answer(request)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._keep(asyncio.get_running_loop().create_task(work))

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def shutdown(self, timeout: float | None = None) -> None:
        await super().shutdown(timeout)
        # aiohttp does not await tasks that read from a connection that is lost.
        left = tuple(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _hide_request(record: logging.LogRecord) -> bool:
    """Shorten aiohttp's report of a request that is not HTTP to one line, without any bytes of the request."""
    fault = record.exc_info[1] if record.exc_info else None
    if isinstance(fault, HttpProcessingError | web.RequestPayloadError):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = "request refused: not HTTP (%s)", (type(fault).__name__,), None
    return True


_log.addFilter(_hide_request)


class Engine(Protocol):
    """The part of a client's lifetime that a server calls."""

    async def drain(self) -> None:
        """Refuse inbound calls until `resume` is called, and wait for the running handlers."""
        ...

    def resume(self) -> None:
        """Accept inbound calls again."""
        ...


class Address(NamedTuple):
    """The local address at which connections came in."""

    family: int
    name: Any
    """The result of ``getsockname()``: host and port, or the path of a Unix socket."""
    ssl: SSLContext | None
    file: os.stat_result | None
    """The status of the file of a Unix socket."""

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> Self | None:
        """Return the local address of *transport*; ``None``: it has no socket, or the file of the socket is gone."""
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
        """Return a socket that listens at this address. Raises ``OSError`` if the address is in use."""
        with ExitStack() as undo:
            listener = undo.enter_context(socket.socket(self.family, socket.SOCK_STREAM))
            if self.file is not None:
                self._remove_file(self.file)
            elif self.family in (socket.AF_INET, socket.AF_INET6) and os.name == "posix":
                # Old connections may be in TIME_WAIT. On Windows the option would share the port with another process.
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
        """Remove the file of the old socket, unless another process has replaced the file."""
        file = Path(self.name)
        with suppress(FileNotFoundError):
            found = file.stat()
            if (found.st_dev, found.st_ino, found.st_ctime_ns) == (known.st_dev, known.st_ino, known.st_ctime_ns):
                file.unlink()


class StandIn:
    """Receives webhooks at the addresses where another server of this process has stopped listening, until `stop`.

    For a request that is no webhook, the connection is closed without a response.
    """

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handler = handler
        self._runner: web.ServerRunner | None = None

    async def start(self, addresses: Iterable[Address]) -> None:
        """Listen at *addresses*; log those that are in use. All sockets are bound before the first await."""
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
    """The server of ``receiver.serve()``, as a block; ``url`` is its URL. It stops after the handlers have finished."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        urls: CallbackUrls,
        host: str,
        port: int,
        engine: Engine | None = None,
        listeners: Iterable[Feed] = (),
        ingress: Ingress | None = None,
    ) -> None:
        self._handler = handler
        self._ingress = ingress
        self._urls = urls
        self._engine = engine
        self._listeners = listeners
        self._host = host
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._filled_in = False
        self.url: str = ""

    async def __aenter__(self) -> Self:
        runner = web.ServerRunner(_Server(self._handler, self._ingress), shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        address = ip_address(runner.addresses[0][0])
        if address.is_unspecified:
            # An unspecified address means all interfaces, and is not one that a request can be sent to.
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
        for feed in self._listeners:
            feed.leave()
        # Stop the server first: its last requests were signed for the URL, which is cleared after that.
        runner, self._runner = self._runner, None
        try:
            if runner is not None:
                await to_the_end(runner.cleanup())
        finally:
            if self._filled_in:
                self._urls.public_url = None
                self._filled_in = False
