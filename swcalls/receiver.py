"""The webhook receiver as aiohttp sees it: a handler, its routes, and a server of its own. It decides nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from ._core.callbacks import CallbackUrls
from ._core.inbox import INBOUND, Inbox, Reply
from ._core.limits import Limits
from ._core.registry import Registry
from ._core.signature import Verifier
from .config import base_url, identity
from .errors import ConfigurationError
from .events import InboundCall
from .recording import LIMIT, Recorder
from .switchboard import log_receipt

Handler = Callable[[Any], Awaitable[object]]
"""Takes a ``Call``."""

BODY_TIMEOUT = 10.0
"""Seconds in which a body must have come; the platform itself gives up after 5."""


class WebhookReceiver:
    """Receives the webhooks of a project in a process that sends no commands; a client has one of its own.

    The parameters are those of ``Client``.
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

        self._answer: Callable[[Handler], Callable[[InboundCall], bool]] | None = None

    @classmethod
    def of(cls, inbox: Inbox, answer: Callable[[Handler], Callable[[InboundCall], bool]]) -> Self:
        """Make a receiver that hands everything to *inbox*; *answer* makes what takes inbound calls for a handler."""
        receiver = cls.__new__(cls)
        receiver._inbox = inbox
        receiver._answer = answer
        return receiver

    @property
    def inbound_url(self) -> str:
        """The URL to give to a phone number, or any other resource, as its SWML webhook. It cannot be guessed.

        Its status callback may be pointed here too: then the end of the call is known as soon as it is told.

        Raises:
            ConfigurationError: There is no public URL, and the receiver is not being served.
        """
        return self._inbox.urls.mint(INBOUND, "calls")

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
        return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)

    async def _handle_any(self, request: web.BaseRequest) -> web.Response:
        """Do what the router does for an application: there is one route only."""
        urls = self._inbox.urls
        if not urls.relative(request.rel_url.raw_path).startswith(urls.prefix):
            return web.Response(status=404)
        if request.method != "POST":
            return web.Response(status=405, headers={"Allow": "POST"})
        return await self._handle(request)

    async def _take(self, request: web.BaseRequest) -> Reply:
        limit = self._inbox.limit
        length = request.content_length
        if length is not None and length > limit:
            return self._inbox.refuse("oversized", request.rel_url.raw_path, request.headers)
        content = request.content
        body = b""
        try:
            # A body that came with its headers, as nearly all do, needs no timer.
            async with asyncio.timeout(None if content.is_eof() else BODY_TIMEOUT):
                while not content.at_eof() and len(body) <= limit:
                    body += await content.readany()
        except (TimeoutError, web.RequestPayloadError, ConnectionError):
            return self._inbox.refuse("malformed", request.rel_url.raw_path, request.headers)
        return self._inbox.accept(request.rel_url.raw_path, request.headers, body)


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
        runner = web.ServerRunner(web.Server(self._handler, access_log=None), shutdown_timeout=1.0)
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
