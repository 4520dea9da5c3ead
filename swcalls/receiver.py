"""The webhook receiver as aiohttp sees it: a handler and its routes. It decides nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self

from aiohttp import StreamReader, web

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
from .serving import ReceiverServer, acknowledgement

Handler = Callable[[Any], Awaitable[object]]
"""Takes a ``Call``."""

BODY_TIMEOUT = 10.0
"""Seconds in which a body must have come; the platform itself gives up after 5."""

UNVERIFIED_BODY = 16 * 1024
"""Bytes that are read of a body that was posted to a forged URL; nobody but a recorder has any use for them."""


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

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        reply = await self._take(request)
        if reply.status == 200 and not reply.body:
            return web.Response()
        return _response(reply.status, reply.body, reply.content_type, reply.headers)

    async def _handle_any(self, request: web.BaseRequest) -> web.StreamResponse:
        """Do what the router does for an application: there is one route only."""
        urls = self._inbox.urls
        if not urls.relative(request.raw_path).startswith(urls.prefix):
            return _response(404)
        if request.method != "POST":
            return _response(405, headers={"Allow": "POST"})
        reply = await self._take(request)
        if reply.status == 200 and not reply.body:
            return acknowledgement(request)
        return _response(reply.status, reply.body, reply.content_type, reply.headers)

    def _take(self, request: web.BaseRequest) -> Awaitable[Reply]:
        # The path as sent: what a URL class makes of it (no fragment, no host) is not what was signed.
        path, headers, content = request.raw_path, request.headers, request.content
        is_plain = "Content-Encoding" not in headers and content.exception() is None
        if is_plain and content.is_eof() and content.total_bytes <= self._inbox.limit:
            # It came with its headers, as nearly all do: there is nothing to wait for, and nothing to save.
            return self._intake.accept(path, headers, content.read_nowait())
        return self._read(request, path, headers, content)

    async def _read(
        self, request: web.BaseRequest, path: str, headers: Mapping[str, str], content: StreamReader
    ) -> Reply:
        inbox, length = self._inbox, request.content_length
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


def _response(
    status: int, body: bytes = b"", content_type: str = "text/plain", headers: Mapping[str, str] | None = None
) -> web.Response:
    response = web.Response(status=status, body=body, content_type=content_type, headers=headers)
    if status != 200:
        response.force_close()
    return response
