"""Who hears calls in the audio benchmark: swcalls, and aiohttp handlers that read only, or decode by hand."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import logging
from typing import Any, Self

import msgspec
from aiohttp import WSMsgType, web
from yarl import URL

from swcalls import Call, Client

from .audio_load import Target
from .machine import resident_bytes
from .receivers import Receiving
from .wire import ANYWHERE, PROJECT, TOKEN, Unsent, call_ids

AS_BYTES: dict[str, Any] = (
    {"decode_text": False} if "decode_text" in inspect.signature(web.WebSocketResponse).parameters else {}
)
MAX_LAG = 2.0


class _Params(msgspec.Struct):
    url: str
    authorization_bearer_token: str


class _Command(msgspec.Struct):
    params: _Params


class Hearing(Receiving):
    """A server to which streams are brought."""

    heard = 0

    async def listen(self, count: int) -> list[Target]:
        """Get ready for *count* streams, and say where they are to be brought."""
        self.heard = 0
        return [Target(self._port, f"/audio/{key}", "token") for key in call_ids(count)]

    async def frames(self) -> int:
        """Say how many frames have been heard since `listen`."""
        return self.heard

    async def dropped(self) -> int:
        """Say how many frames were dropped."""
        return 0

    async def leave(self) -> None:
        """Listen no more."""

    async def memory(self) -> int:
        """Say how many bytes this process holds; 0 where the system does not tell."""
        await self.tidy()
        return resident_bytes() or 0


class _Handler(Hearing):
    """A WebSocket handler of aiohttp, as fast as its options make it."""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/audio/{key}", self._handle)
        await self.serve(app)
        return self

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, max_msg_size=65536, **AS_BYTES)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self._take(message.data)
        return socket

    def _take(self, data: bytes) -> None:
        raise NotImplementedError


class ReadsOnly(_Handler):
    """It reads messages, and does not look at them."""

    async def listen(self, count: int) -> list[Target]:
        targets = await super().listen(count)
        self.heard = -count  # The start message of each stream is no frame.
        return targets

    def _take(self, data: bytes) -> None:
        self.heard += 1


class ByHand(_Handler):
    """It decodes with ``json`` and ``base64``, as most do; the samples stay mu-law."""

    def _take(self, data: bytes) -> None:
        message = json.loads(data)
        if message["event"] == "media":
            base64.b64decode(message["media"]["payload"])
            self.heard += 1


class Swcalls(Hearing):
    """``async with call.listen()``, a task for each stream.

    Args:
        reader: ``reads`` the frames, ``decodes`` them, or ``sleeps`` and reads none.
    """

    def __init__(self, reader: str) -> None:
        super().__init__()
        self._reader = reader
        # That a reader is too slow is what is wanted here.
        logging.getLogger("swcalls.audio").setLevel(logging.ERROR)
        self._session = Unsent()
        self._tasks: list[asyncio.Task[None]] = []
        self._dropped = 0

    async def __aenter__(self) -> Self:
        self.client = Client(
            PROJECT, TOKEN, ANYWHERE, public_url=f"http://127.0.0.1:{self._port}", session=self._session
        )
        await self._stack.enter_async_context(self.client)
        app = web.Application()
        app.add_routes(self.client.receiver.routes())
        await self.serve(app)
        return self

    async def listen(self, count: int) -> list[Target]:
        self.heard = self._dropped = 0
        self._session.sent.clear()
        read = {"reads": self._read, "decodes": self._decode, "sleeps": self._sleep}[self._reader]
        self._tasks = [asyncio.ensure_future(read(self.client.call(call_id))) for call_id in call_ids(count)]
        while len(self._session.sent) < count:  # noqa: ASYNC110 - a task sends as soon as it has its turn
            await asyncio.sleep(0)
        found = [msgspec.json.decode(sent.body, type=_Command).params for sent in self._session.sent]
        return [Target(self._port, URL(params.url).raw_path, params.authorization_bearer_token) for params in found]

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def dropped(self) -> int:
        await self.leave()
        return self._dropped

    async def _read(self, call: Call) -> None:
        async with call.listen(start_timeout=60) as audio:
            async for _ in audio:
                self.heard += 1

    async def _decode(self, call: Call) -> None:
        async with call.listen(start_timeout=60) as audio:
            async for frame in audio:
                _ = frame.pcm
                self.heard += 1

    async def _sleep(self, call: Call) -> None:
        async with call.listen(start_timeout=60, max_lag=MAX_LAG) as audio:
            try:
                await asyncio.Event().wait()
            finally:
                self._dropped += audio.dropped_frames
