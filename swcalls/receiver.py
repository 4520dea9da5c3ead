"""The webhook receiver as aiohttp sees it: a handler, its routes, and a server of its own. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ._core.callbacks import CallbackUrls
from ._core.inbox import INBOUND, Inbox, Reply
from ._core.limits import Limits
from ._core.registry import Registry
from ._core.signature import Verifier
from .backplane import Backplane
from .config import base_url, identity
from .errors import ConfigurationError
from .events import InboundCall
from .intake import Intake, log_receipt
from .recording import LIMIT, Recorder

Handler = Callable[[Any], Awaitable[object]]
"""Takes a ``Call``."""

BODY_TIMEOUT = 10.0
"""Seconds in which a body must have come; the platform itself gives up after 5."""

HEADERS_TIMEOUT = 10.0
"""Seconds in which the first request of a connection must have begun to be handled. Left alone, aiohttp 3.12 waits for
it for ever, and 3.14 for as long as for a further one."""

KEEPALIVE_TIMEOUT = 630.0
"""Seconds that a connection may be idle between two requests: longer than any proxy keeps one (600 is the longest usual
time), so that none sends a webhook just as we hang up. Only a sender whose webhook was accepted has that long, since
with any other answer its connection is closed."""

LINGERING_TIME = 5.0
"""Seconds for which the rest of a refused body is read and thrown away, so that its sender gets to see the answer."""

UNVERIFIED_BODY = 16 * 1024
"""Bytes that are read of a body that was posted to a forged URL; nobody but a recorder has any use for them."""

_log = logging.getLogger("swcalls.receiver")


class WebhookReceiver:
    """Receives the webhooks of a project in a process that sends no commands; a client has one of its own.

    The parameters are those of ``Client``. With a *backplane*, what comes is handed to the process that waits for it;
    whoever made it closes it.
    """

    def __init__(
        self,
        project: str,
        token: str,
        *,
        public_url: str | None = None,
        path: str = "/swcalls",
        signing_key: str | Sequence[str] | None = None,
        require_signature: bool = False,
        limits: Limits = Limits(),
        backplane: Backplane | None = None,
    ) -> None:
        who = identity(project, token, path, signing_key, require_signature=require_signature)
        reached_at = None if public_url is None else str(base_url("public_url", public_url)).rstrip("/")
        urls = CallbackUrls(project, token, path, reached_at)
        registry = Registry(limits)
        self._inbox = Inbox(
            urls,
            Verifier(who.signing_keys, require=require_signature),
            lambda kind, key, event, size: registry.deliver(kind, key, event, size, time.monotonic()),
            limit=limits.body,
        )
        self._inbox.observers.append(log_receipt)
        self._intake = Intake(self._inbox, project, backplane)
        self._answer: Callable[[Handler], Callable[[InboundCall], bool]] | None = None

    @classmethod
    def of(cls, intake: Intake, answer: Callable[[Handler], Callable[[InboundCall], bool]]) -> Self:
        """Make a receiver that hands everything to *intake*; *answer* makes what takes inbound calls for a handler."""
        receiver = cls.__new__(cls)
        receiver._intake = intake
        receiver._inbox = intake.inbox
        receiver._answer = answer
        return receiver

    @property
    def inbound_url(self) -> str:
        """The URL to give to a phone number, or any other resource, as its SWML webhook. It cannot be guessed.

        Its status callback may be pointed here too: then the end of the call is known as soon as it is told.

        Raises:
            ConfigurationError: There is no public URL, and the receiver is not being served.
        """
        return self._inbox.urls.mint(INBOUND, "calls", shared=True)

    def on_call(self, handler: Handler) -> Handler:
        """Run ``await handler(call)`` for each call that comes in at ``inbound_url``; usable as a decorator.

        The call is answered and parked. A handler that raises is logged, and its call ended; one that returns leaves
        the call as it is. Closing the client waits for handlers, ``Limits.drain`` seconds, and then cancels them.

        Raises:
            ConfigurationError: There is no client to drive the call with.
        """
        if self._answer is None:
            raise ConfigurationError("on_call needs the receiver of a client: this one can send no commands")
        self._inbox.ring = self._answer(handler)
        if self._intake.backplane is not None:
            self._intake.backplane.offer(takes_calls=True)
        return handler

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application: ``app.add_routes(client.receiver.routes())``."""
        return [web.post(f"{self._inbox.urls.prefix}{{callback:.+}}", self._handle)]

    def record(self, file: str | os.PathLike[str], *, limit: int = LIMIT) -> Recorder:
        """Write each delivery to *file*, after what is there, until the recorder is closed; it is a context manager.

        One JSON object a line, with the MAC of the URL masked, for ``swcalls replay``. What was said and pressed stands
        in it, so a new file is readable by its owner only. Only one process may write to it at a time.

        Args:
            limit: How many bytes the file may come to have (> 0); what comes then is dropped, and counted.

        Raises:
            OSError: The file cannot be opened.
        """
        return Recorder(self._inbox, file, limit=limit)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> ReceiverServer:
        """Return a server of its own, to be used in ``async with``; port 0 takes a free one."""
        return ReceiverServer(self._handle_any, self._inbox.urls, host, port)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        reply = await self._take(request)
        if reply.status == 200 and not reply.body:
            return web.Response()
        response = web.Response(
            status=reply.status, body=reply.body, content_type=reply.content_type, headers=reply.headers
        )
        if reply.status != 200:
            response.force_close()
        return response

    async def _handle_any(self, request: web.BaseRequest) -> web.Response:
        """Do what the router does for an application: there is one route only."""
        urls = self._inbox.urls
        if not urls.relative(request.raw_path).startswith(urls.prefix):
            response = web.Response(status=404)
        elif request.method != "POST":
            response = web.Response(status=405, headers={"Allow": "POST"})
        else:
            return await self._handle(request)
        response.force_close()
        return response

    async def _take(self, request: web.BaseRequest) -> Reply:
        # The path as sent: what a URL class makes of it (no fragment, no host) is not what was signed.
        inbox, path, headers, content = self._inbox, request.raw_path, request.headers, request.content
        is_plain = "Content-Encoding" not in headers and content.exception() is None
        if is_plain and content.is_eof() and content.total_bytes <= inbox.limit:
            # It came with its headers, as nearly all do: there is nothing to wait for, and nothing to save.
            body = content.read_nowait()
            found = inbox.accept(path, headers, body)
            return found if isinstance(found, Reply) else await self._intake.forward(found, path, headers, body)
        length = request.content_length
        if length is not None and length > inbox.limit:
            return inbox.refuse("oversized", path, headers)
        is_known = inbox.knows(path)
        limit = inbox.limit if is_known else min(inbox.limit, UNVERIFIED_BODY)
        if "Content-Encoding" in headers:
            # Webhooks come as they are; to unpack one would be to let its sender say how large it becomes.
            return inbox.refuse("malformed" if is_known else "forged", path, headers)
        chunks, size = [], 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                while not content.at_eof() and size <= limit:
                    chunks.append(await content.readany())
                    size += len(chunks[-1])
        except (TimeoutError, web.RequestPayloadError, ConnectionError):
            return inbox.refuse("malformed" if is_known else "forged", path, headers)
        if size > limit and not is_known:
            return inbox.refuse("forged", path, headers)
        return await self._intake.accept(path, headers, b"".join(chunks))


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
        self._await_no_more(request.protocol)
        if request.task not in self._tasks:
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


class ReceiverServer:
    """A receiver's own server; ``url`` is where it is while the block runs."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        urls: CallbackUrls,
        host: str,
        port: int,
    ) -> None:
        self._handler = handler
        self._urls = urls
        self._host = host
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._filled_in = False
        self.url = ""

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
        # First the server: what it is still handling was signed for the URL that is cleared then.
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._filled_in:
            self._urls.public_url = None
            self._filled_in = False
