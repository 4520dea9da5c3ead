"""The webhook receiver: aiohttp routes and a server that pass requests to the `Ingress`, which decides about them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, overload

from aiohttp import StreamReader, web

from ._core.audio_listeners import AUDIO, AudioListeners
from ._core.callback_urls import CallbackUrls
from ._core.limits import Limits
from ._core.registry import Registry
from ._core.signature import Verifier
from ._core.webhooks import INBOUND, Reply, WebhookReader
from ._engine.audio_server import AudioServer
from ._engine.decisions import Decisions
from ._engine.engine import Engine
from ._engine.ingress import Ingress
from ._engine.server import ReceiverServer, acknowledgement
from .actions import check_text
from .backplane import Backplane
from .backplane.handover import Handover
from .backplane.held_calls import HeldCalls
from .config import base_url, identity
from .errors import ConfigurationError, shown
from .recording import LIMIT, Recorder

Handler = Callable[[Any], Coroutine[Any, Any, object]]
"""A coroutine function that takes a ``Call``."""

H = TypeVar("H", bound=Handler)

BODY_TIMEOUT = 10.0
"""Seconds in which a body must have come; the platform itself waits 5 s for the response."""

UNVERIFIED_BODY = 16 * 1024
"""How many bytes of a body to a forged URL are read; only a recorder uses them."""


class WebhookReceiver:
    """Receives the webhooks of a project. Use one in a process without a client; a client has its own (``receiver``).

    The parameters are those of ``Client``. The receiver passes each webhook to its owner over the *backplane*, and does
    not close the backplane.

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
        held_calls = None if backplane is None else HeldCalls(backplane, project, limits.hold)
        handover = None if backplane is None else Handover(backplane, project, held_calls=held_calls)
        decisions = Decisions(urls, limits.hold, _nothing, shared=held_calls)
        self._ingress = Ingress(reader, Registry(limits), handover=handover, decisions=decisions)
        self._listeners: AudioListeners = AudioListeners(urls)
        self._audio: AudioServer = AudioServer(self._listeners)
        self._engine: Engine | None = None

    @classmethod
    def _of(cls, engine: Engine) -> Self:
        """Return the receiver of the client with *engine*."""
        receiver = cls.__new__(cls)
        receiver._ingress = engine.ingress
        receiver._listeners = engine.listeners
        receiver._audio = AudioServer(engine.listeners)
        receiver._engine = engine
        return receiver

    def __repr__(self) -> str:
        urls = self._ingress.reader.urls
        return f"<{type(self).__name__} {urls.public_url or 'without a public URL'}{urls.prefix}>"

    @property
    def inbound_url(self) -> str:
        """The URL to give to a phone number, or any other resource, as its SWML webhook. It cannot be guessed.

        The status callback of the resource may use this URL too: then the end of a call is known at once.

        Raises:
            ConfigurationError: No ``public_url`` is set, and the receiver is not being served.
        """
        return self._ingress.reader.urls.mint(INBOUND, "calls", shared=True)

    @overload
    def on_call(self, handler: H, *, to: str | None = None, hang_up: bool = True, answer: bool = True) -> H: ...

    @overload
    def on_call(
        self, handler: None = None, *, to: str | None = None, hang_up: bool = True, answer: bool = True
    ) -> Callable[[H], H]: ...

    def on_call(
        self, handler: H | None = None, *, to: str | None = None, hang_up: bool = True, answer: bool = True
    ) -> H | Callable[[H], H]:
        """Run ``await handler(call)`` for each inbound call at ``inbound_url``; usable as a decorator.

        ::

            @client.receiver.on_call(to="+15550100001")
            async def sales(call: Call) -> None: ...

            @client.receiver.on_call  # every other number
            async def switchboard(call: Call) -> None: ...

        The call is answered and parked. When the handler returns, raises or is cancelled, the call is hung up, unless
        ``transfer``, or ``update`` with a dialplan, was called. An error of the handler is logged; ``CallEnded`` is no
        error: the caller has hung up. Leaving ``serve()`` or closing the client waits ``Limits.drain`` seconds for
        handlers, and then cancels them.

        Args:
            handler: A coroutine function; a receiver can have one for each *to*.
            to: The called number or address for which the handler is, as ``call.to`` has it: E.164 for a number,
                ``sip:support@example.com`` for a SIP call; case and the parameters of a SIP address do not count.
                ``None``: every address without a handler of its own. A call that has no handler is refused with 503,
                as without any. With a backplane, a process takes only calls that it has a handler for; a process
                without one offers the call to the others in turn, for 3 seconds, half a second to each, and next time
                first to those that take calls to this number.
            hang_up: ``False``: do not hang up when the handler ends.
            answer: ``False``: do not answer the call before the handler calls ``call.answer()``. The handler can refuse
                the call instead, with ``call.reject("busy")``; a handler that does neither refuses it when it ends.
                After ``Limits.hold`` seconds without a decision, the call is answered and parked; with a backplane,
                those of the process that the platform asks. Not confirmed on a live account.

        Raises:
            ConfigurationError: The receiver has a handler for *to* already, or belongs to no client.
            TypeError: The handler is no coroutine function.
        """
        if handler is None:
            return functools.partial(self.on_call, to=to, hang_up=hang_up, answer=answer)
        if self._engine is None:
            raise ConfigurationError("on_call needs the receiver of a client: this one cannot send commands")
        if to is not None:
            check_text("to", to)
        if not _is_coroutine_function(handler):
            raise TypeError(f"on_call: handler={handler!r} must be a coroutine function (async def)")
        there = self._engine.inbound.handler_for(to)
        if there is not None:
            which = "without to" if to is None else f"for to={shown(to)}"
            raise ConfigurationError(f"on_call: handler={handler!r} must be the only one {which}; {there!r} is there")
        self._engine.inbound.handle_with(handler, hang_up=hang_up, answer=answer, to=to)
        return handler

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to an application: ``app.add_routes(client.receiver.routes())``."""
        prefix = self._ingress.reader.urls.prefix
        return [
            web.post(f"{prefix}{{callback:.+}}", self._handle),
            web.get(f"{prefix}{AUDIO}/{{stream:.+}}", self._audio.handle, allow_head=False),
        ]

    def record(self, file: str | os.PathLike[str], *, limit: int = LIMIT) -> Recorder:
        """Append each webhook to *file* until the recorder is closed; the recorder is a context manager.

        One JSON object a line, with the MAC of the URL masked, for ``swcalls replay``. The file holds what parties said
        and pressed, so a new file is readable by its owner only. Only one process may write to it at a time.

        Args:
            limit: How many bytes the file may have (> 0); webhooks beyond that are dropped, and counted.

        Raises:
            OSError: The file cannot be opened.
        """
        return Recorder(self._ingress, file, limit=limit)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> ReceiverServer:
        """Return an HTTP server for the receiver, to be used in ``async with``; port 0 takes a free port.

        When the block ends, inbound calls are refused, and handlers get ``Limits.drain`` seconds to finish, while
        webhooks are still received; after that the handlers are cancelled and their calls ended. Then the server stops.
        """
        lifetime = None if self._engine is None else self._engine.lifetime
        return ReceiverServer(
            self._handle_any, self._ingress.reader.urls, host, port, lifetime, self._listeners, self._ingress
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        reply = await self._take(request)
        if reply.status == 200 and not reply.body:
            return acknowledgement(request)
        return _response(reply.status, reply.body, reply.content_type, reply.headers)

    async def _handle_any(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to our own server, which has two routes and no router."""
        urls = self._ingress.reader.urls
        if request.method == "GET" and self._listeners.is_address(request.raw_path):
            return await self._audio.handle(request)
        if not urls.relative(request.raw_path).startswith(urls.prefix):
            return _response(404)
        if request.method != "POST":
            return _response(405, headers={"Allow": "POST"})
        reply = await self._take(request)
        if reply.status == 200 and not reply.body:
            return acknowledgement(request)
        return _response(reply.status, reply.body, reply.content_type, reply.headers)

    def _take(self, request: web.BaseRequest) -> Awaitable[Reply]:
        # The path as sent: a URL class would change it (no fragment, no host), and the MAC would be wrong.
        path, headers, content = request.raw_path, request.headers, request.content
        is_plain = "Content-Encoding" not in headers and content.exception() is None
        if is_plain and content.is_eof() and content.total_bytes <= self._ingress.reader.limit:
            # The body came together with the headers, as nearly always: no need to wait for it.
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
            # The platform does not compress webhooks, and a small compressed body could expand to any size.
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
    """Receives and verifies webhooks without delivering them: for programs that only watch, such as ``swcalls listen``.

    It has no actions, so the verdict on every genuine webhook is ``early`` or ``unknown``.
    """

    _hands_over: ClassVar[bool] = False


def _nothing(call_id: str, decision: object) -> None:
    """Nothing is told in a process without calls."""


def _is_coroutine_function(handler: object) -> bool:
    while isinstance(handler, functools.partial):
        handler = handler.func
    # `inspect` recognises mocks since 3.12; before, only `asyncio` does.
    check = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction
    return check(handler) or check(getattr(type(handler), "__call__", None))  # noqa: B004 - of its class


def _response(
    status: int, body: bytes = b"", content_type: str = "text/plain", headers: Mapping[str, str] | None = None
) -> web.Response:
    response = web.Response(status=status, body=body, content_type=content_type, headers=headers)
    if status != 200:
        response.force_close()
    return response
