"""The webhook receiver as aiohttp sees it: a handler and its routes. It decides nothing."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, overload

from aiohttp import StreamReader, web

from ._core.callback_urls import CallbackUrls
from ._core.limits import Limits
from ._core.registry import Registry
from ._core.signature import Verifier
from ._core.webhooks import INBOUND, Reply, WebhookReader
from ._engine.engine import Engine
from ._engine.ingress import Ingress
from ._engine.server import ReceiverServer, acknowledgement
from .backplane import Backplane
from .backplane.handover import Handover
from .config import base_url, identity
from .errors import ConfigurationError
from .recording import LIMIT, Recorder

Handler = Callable[[Any], Coroutine[Any, Any, object]]
"""A coroutine function that takes a ``Call``."""

H = TypeVar("H", bound=Handler)

BODY_TIMEOUT = 10.0
"""Seconds in which a body must have come; the platform itself gives up after 5."""

UNVERIFIED_BODY = 16 * 1024
"""Bytes that are read of a body that was posted to a forged URL; nobody but a recorder has any use for them."""


class WebhookReceiver:
    """Receives the webhooks of a project in a process that sends no commands; a client has one of its own.

    The parameters are those of ``Client``. The *backplane* hands what comes to the process that waits for it; whoever
    made it closes it.

    Raises:
        ConfigurationError: A setting is wrong, or there is no *backplane*.
    """

    _hands_over: ClassVar[bool] = True

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
        if backplane is None and self._hands_over:
            raise ConfigurationError(
                "backplane=None: a WebhookReceiver needs one, to hand webhooks to the processes that wait for them; "
                "without, they would be answered with 200 and lost. A process with a Client uses client.receiver"
            )
        who = identity(project, token, path, signing_key, require_signature=require_signature)
        reached_at = None if public_url is None else str(base_url("public_url", public_url)).rstrip("/")
        urls = CallbackUrls(project, token, path, reached_at)
        reader = WebhookReader(urls, Verifier(who.signing_keys, require=require_signature), limits.body)
        handover = None if backplane is None else Handover(backplane, project)
        self._ingress = Ingress(reader, Registry(limits), handover=handover)
        self._engine: Engine | None = None
        self._handler: Handler | None = None

    @classmethod
    def _of(cls, engine: Engine) -> Self:
        """Make the receiver of a client."""
        receiver = cls.__new__(cls)
        receiver._ingress = engine.ingress
        receiver._engine = engine
        receiver._handler = None
        return receiver

    @property
    def inbound_url(self) -> str:
        """The URL to give to a phone number, or any other resource, as its SWML webhook. It cannot be guessed.

        Its status callback may be pointed here too: then the end of the call is known as soon as it is told.

        Raises:
            ConfigurationError: There is no public URL, and the receiver is not being served.
        """
        return self._ingress.reader.urls.mint(INBOUND, "calls", shared=True)

    @overload
    def on_call(self, handler: H, *, hang_up: bool = True, answer: bool = True) -> H: ...

    @overload
    def on_call(self, handler: None = None, *, hang_up: bool = True, answer: bool = True) -> Callable[[H], H]: ...

    def on_call(self, handler: H | None = None, *, hang_up: bool = True, answer: bool = True) -> H | Callable[[H], H]:
        """Run ``await handler(call)`` for each call that comes in at ``inbound_url``; usable as a decorator.

        The call is answered and parked. When the handler returns, raises or is cancelled, the call is hung up, unless
        it was handed on, by ``transfer`` or by ``update`` with a dialplan. A handler that raises is logged;
        ``CallEnded`` is no error: the caller has hung up. Leaving ``serve()`` or closing the client waits for handlers,
        ``Limits.drain`` seconds, and then cancels them.

        Args:
            handler: A coroutine function; a receiver has one.
            hang_up: ``False``: a call whose handler has come to its end stays as it is.
            answer: ``False``: the call is not answered before the handler says so, with ``call.answer()``; it can also
                refuse it, with ``call.reject("busy")``. A handler that does neither refuses it when it ends. After
                ``Limits.hold`` seconds without a decision the call is answered and parked. Not with a backplane. Not
                confirmed on a live account.

        Raises:
            ConfigurationError: There is a handler already, or no client to drive the call with; or *answer* is
                ``False``, and the client has a backplane: another process might be asked for the decision.
            TypeError: The handler is no coroutine function.
        """
        if handler is None:
            return functools.partial(self.on_call, hang_up=hang_up, answer=answer)
        if self._engine is None:
            raise ConfigurationError("on_call needs the receiver of a client: this one can send no commands")
        if not _is_coroutine_function(handler):
            raise TypeError(f"on_call: handler={handler!r} must be a coroutine function (async def)")
        if self._handler is not None:
            raise ConfigurationError(f"on_call: handler={handler!r} must be the only one; {self._handler!r} is there")
        if not answer and self._engine.inbound.decisions is None:
            raise ConfigurationError("on_call: answer=False must not be used with a backplane")
        self._handler = handler
        self._engine.inbound.handle_with(handler, hang_up=hang_up, answer=answer)
        return handler

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application: ``app.add_routes(client.receiver.routes())``."""
        return [web.post(f"{self._ingress.reader.urls.prefix}{{callback:.+}}", self._handle)]

    def record(self, file: str | os.PathLike[str], *, limit: int = LIMIT) -> Recorder:
        """Write each delivery to *file*, after what is there, until the recorder is closed; it is a context manager.

        One JSON object a line, with the MAC of the URL masked, for ``swcalls replay``. What was said and pressed stands
        in it, so a new file is readable by its owner only. Only one process may write to it at a time.

        Args:
            limit: How many bytes the file may come to have (> 0); what comes then is dropped, and counted.

        Raises:
            OSError: The file cannot be opened.
        """
        return Recorder(self._ingress, file, limit=limit)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> ReceiverServer:
        """Return a server of its own, to be used in ``async with``; port 0 takes a free one.

        When the block ends, calls that come in are refused, handlers get ``Limits.drain`` seconds to finish while
        webhooks still come in, and the calls of those that do not are ended. Then the server stops.
        """
        lifetime = None if self._engine is None else self._engine.lifetime
        return ReceiverServer(self._handle_any, self._ingress.reader.urls, host, port, lifetime)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        reply = await self._take(request)
        if reply.status == 200 and not reply.body:
            return web.Response()
        return _response(reply.status, reply.body, reply.content_type, reply.headers)

    async def _handle_any(self, request: web.BaseRequest) -> web.StreamResponse:
        """Do what the router does for an application: there is one route only."""
        urls = self._ingress.reader.urls
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
        if is_plain and content.is_eof() and content.total_bytes <= self._ingress.reader.limit:
            # It came with its headers, as nearly all do: there is nothing to wait for, and nothing to save.
            return self._ingress.accept(path, headers, content.read_nowait())
        return self._read(request, path, headers, content)

    async def _read(
        self, request: web.BaseRequest, path: str, headers: Mapping[str, str], content: StreamReader
    ) -> Reply:
        ingress, reader, length = self._ingress, self._ingress.reader, request.content_length
        if length is not None and length > reader.limit:
            return ingress.refuse("oversized", path, headers)
        is_known = reader.knows(path)
        limit = reader.limit if is_known else min(reader.limit, UNVERIFIED_BODY)
        if "Content-Encoding" in headers:
            # Webhooks come as they are; to unpack one would be to let its sender say how large it becomes.
            return ingress.refuse("malformed" if is_known else "forged", path, headers)
        chunks, size = [], 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                while not content.at_eof() and size <= limit:
                    chunks.append(await content.readany())
                    size += len(chunks[-1])
        except (TimeoutError, web.RequestPayloadError, ConnectionError):
            return ingress.refuse("malformed" if is_known else "forged", path, headers)
        if size > limit and not is_known:
            return ingress.refuse("forged", path, headers)
        return await self._ingress.accept(path, headers, b"".join(chunks))


class ObservingReceiver(WebhookReceiver):
    """Answers what it has verified, and hands it to nobody: for whoever wants to see webhooks, and not to act on them.

    Nothing is known to be waiting here, so that everything is told as ``early`` or ``unknown``.
    """

    _hands_over: ClassVar[bool] = False


def _is_coroutine_function(handler: object) -> bool:
    while isinstance(handler, functools.partial):
        handler = handler.func
    # The older one knows mocks, which the newer one does since 3.12.
    check = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction
    return check(handler) or check(getattr(type(handler), "__call__", None))  # noqa: B004 - of its class


def _response(
    status: int, body: bytes = b"", content_type: str = "text/plain", headers: Mapping[str, str] | None = None
) -> web.Response:
    response = web.Response(status=status, body=body, content_type=content_type, headers=headers)
    if status != 200:
        response.force_close()
    return response
