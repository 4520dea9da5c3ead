"""Where the platform brings the audio of calls: a WebSocket for each stream, opened only to whom it was promised."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from .._core.callbacks import CallbackUrls

AUDIO = "audio"
"""The kind of address that a stream has; its key is the ``control_id``."""

LARGEST_MESSAGE = 64 * 1024
"""Bytes. 40 ms of L16 at 24 kHz take 2.7 KB."""

CLOSED_WITHIN = 2.0
"""Seconds in which the other side must answer a close; then the connection is dropped."""

PING_EVERY = 20.0
"""Seconds without any message after which a ping is sent, since proxies cut a connection that is silent for 60. A ping
that is not answered in the same time again ends the connection."""

# Text is handed on as the bytes that it came in; older versions of aiohttp decode it in any case.
_AS_BYTES: dict[str, Any] = (
    {"decode_text": False} if "decode_text" in inspect.signature(web.WebSocketResponse).parameters else {}
)

_log = logging.getLogger("swcalls.audio")


class Feed(Protocol):
    """What takes the messages of one stream, from one connection."""

    name: str
    bearer: str
    received: int
    refused: int
    was_connected: bool
    is_crowded: bool

    def connect(self, cut: Any) -> None:
        """Take the connection; *cut*, a callable, has it closed soon."""
        ...

    def receive(self, data: bytes | str) -> bool:
        """Take one message in; ``False``: no further one is wanted."""
        ...

    def disconnected(self) -> None:
        """Note that the connection is gone."""
        ...


class AudioServer:
    """The streams that are awaited in this process, and the handler of their connections.

    An address has a MAC, and each stream a bearer token of its own; both are checked, in constant time, before the
    connection is upgraded. A stream takes one connection, and none when nobody listens.

    Args:
        urls: Recognises the addresses.
    """

    def __init__(self, urls: CallbackUrls) -> None:
        self._urls = urls
        self._awaited: dict[str, Feed] = {}

    def __len__(self) -> int:
        return len(self._awaited)

    def __iter__(self) -> Iterator[Feed]:
        return iter(tuple(self._awaited.values()))

    def expect(self, control_id: str, feed: Feed) -> None:
        """Have *feed* take the connection of a stream."""
        self._awaited[control_id] = feed

    def forget(self, control_id: str) -> None:
        """Refuse a connection of this stream from now on."""
        self._awaited.pop(control_id, None)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Check a request, and be its connection until the stream ends."""
        feed = self._checked(request)
        if isinstance(feed, web.Response):
            return feed
        socket = web.WebSocketResponse(
            timeout=CLOSED_WITHIN, autoping=False, compress=False, max_msg_size=LARGEST_MESSAGE, **_AS_BYTES
        )
        if not socket.can_prepare(request):
            return _refusal(400)
        link = _Link(socket, feed)
        feed.connect(link.cut)
        try:
            await socket.prepare(request)
            await link.run()
        finally:
            feed.disconnected()
        return socket

    def _checked(self, request: web.BaseRequest) -> Feed | web.Response:
        """Return whose connection this is to be, or the refusal."""
        address = self._urls.parse(self._urls.relative(request.raw_path))
        if address is None or address.kind != AUDIO:
            return _refusal(403)
        if address.owner and address.owner != self._urls.owner:
            _log.warning(
                "stream %s: a connection is refused (409), since another worker listens to this stream: %r. Pass "
                "Client(audio_url=...), a wss:// URL that leads to the worker that it is given to",
                address.key, address.owner,
            )  # fmt: skip
            return _refusal(409)
        feed = self._awaited.get(address.key)
        if feed is None:
            _log.warning(
                "stream %s: a connection is refused (409), since nobody listens to this stream here: its block has "
                "ended; or there are several workers, and each needs a Client(audio_url=...) of its own",
                address.key,
            )
            return _refusal(409)
        if not _has_token(request, feed.bearer):
            feed.refused += 1
            _log.warning("%s: a connection is refused (403), since its bearer token is absent or wrong", feed.name)
            return _refusal(403)
        if feed.was_connected:
            feed.refused += 1
            _log.warning("%s: a connection is refused (409), since the stream has had its one connection", feed.name)
            return _refusal(409)
        return feed


class _Link:
    """One connection: what it brings goes to the feed, until either side has enough."""

    def __init__(self, socket: web.WebSocketResponse[Any], feed: Feed) -> None:
        self._socket = socket
        self._feed = feed
        self._leash: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._signs = 0
        """How many pings and pongs have come."""
        self._known = 0
        """How much had come, of anything, when it was last looked."""
        self._is_asked = False
        self._is_to_ask = False

    def cut(self) -> None:
        """Have the connection closed, soon."""
        self._is_over = True
        self._interrupt()

    async def run(self) -> None:
        """Read until the end, and close the connection."""
        self._look_later()
        try:
            while not self._is_over:
                # It is interrupted from outside, to be closed or to send a ping: so no message has to set a timer.
                with suppress(TimeoutError):
                    async with asyncio.timeout(None) as self._leash:
                        if self._is_to_ask:
                            self._is_to_ask = False
                            await self._socket.ping()
                        await self._read()
                        self._is_over = True
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSED_WITHIN + 1):
                    await self._socket.close()
        except ConnectionError:
            pass  # It is lost already.
        finally:
            self._leash = None
            if self._timer is not None:
                self._timer.cancel()

    async def _read(self) -> None:
        """Read until a message, or the feed, says that there is no more."""
        receive, feed = self._socket.receive, self._feed
        text = WSMsgType.TEXT
        while True:
            message = await receive()
            if message.type is text or message.type is WSMsgType.BINARY:
                if not feed.receive(message.data):
                    return
                if feed.is_crowded:
                    # It all came at once. Without this turn the reader, which waits, would lose what it could have had.
                    feed.is_crowded = False
                    await asyncio.sleep(0)
            elif message.type is WSMsgType.PING:
                self._signs += 1
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self._signs += 1
            else:
                if message.type is WSMsgType.ERROR:
                    _log.warning("%s: the connection failed: %s", feed.name, type(message.data).__name__)
                return

    def _look(self) -> None:
        """Ask the other side whether it is there, if nothing has come; if nothing came after that either, give up."""
        come = self._feed.received + self._signs
        if come != self._known:
            self._known, self._is_asked = come, False
        elif self._is_asked:
            _log.warning("%s: the connection is closed, since a ping was not answered", self._feed.name)
            self.cut()
            return
        else:
            self._is_asked = self._is_to_ask = True
            self._interrupt()
        self._look_later()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PING_EVERY, self._look)

    def _interrupt(self) -> None:
        leash, self._leash = self._leash, None
        if leash is not None:
            leash.reschedule(0.0)


def _has_token(request: web.BaseRequest, bearer: str) -> bool:
    given = request.headers.getall("Authorization", [])
    if len(given) != 1:
        return False
    scheme, _, token = given[0].partition(" ")
    is_right = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), bearer.encode())
    return is_right and scheme.lower() == "bearer"


def _refusal(status: int) -> web.Response:
    response = web.Response(status=status)
    response.force_close()
    return response
