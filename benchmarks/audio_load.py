"""Brings audio to WebSockets, as the platform would: 50 frames a second for each stream, spread evenly; a party.

Not a WebSocket client: it writes frames that were made before, so that the receiver is what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import struct
import time
from types import TracebackType
from typing import NamedTuple, Self, cast

FRAMES_A_SECOND = 50
_CHANCE = random.Random(20)
_PAYLOADS = [base64.b64encode(_CHANCE.randbytes(160)).decode() for _ in range(64)]
_START = (
    '{"event":"start","sequenceNumber":"1","start":{"streamSid":"3f0c5a9e-6c0f-4d6e-9a53-0d7a6d0f4d11",'
    '"accountSid":"7d0f4d11-6c0f-4d6e-9a53-3f0c5a9e6c0f","callSid":"2e1e66e5-5d07-413d-9668-55542992eec0",'
    '"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}'
)


class Target(NamedTuple):
    """Where a stream is to be brought."""

    port: int
    path: str
    bearer: str


class Brought(NamedTuple):
    """How frames were brought."""

    frames: int
    latest: float
    """Seconds by which the latest of them was late."""


class AudioLoad:
    """Holds the connections of streams."""

    def __init__(self) -> None:
        self._streams: list[_Stream] = []
        self._chunk = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def connect(self, targets: list[Target]) -> None:
        """Open a connection for each of *targets*, and begin its stream."""
        loop = asyncio.get_running_loop()
        for target in targets:
            stream = _Stream(loop.create_future())
            await loop.create_connection(lambda stream=stream: stream, "127.0.0.1", target.port)
            stream.transport.write(_request(target))
            self._streams.append(stream)
        for stream in self._streams:
            await stream.is_open
            stream.transport.write(_frame(_START))
        self._chunk = 0

    async def bring(self, seconds: float) -> Brought:
        """Bring so many seconds of each stream, each frame in its time."""
        count = max(1, round(seconds * FRAMES_A_SECOND))
        streams = self._streams
        frames = [_frame(_media(self._chunk + number)) for number in range(count)]
        self._chunk += count
        a_write = 1 / (FRAMES_A_SECOND * len(streams))
        began, latest, done = time.perf_counter(), 0.0, 0
        while done < count * len(streams):
            now = time.perf_counter() - began
            latest = max(latest, now - done * a_write)
            due = min(count * len(streams), int(now / a_write) + 1)
            while done < due:
                number, which = divmod(done, len(streams))
                streams[which].transport.write(frames[number])
                done += 1
            await asyncio.sleep(max(0.0, done * a_write - (time.perf_counter() - began)))
        return Brought(done, latest)

    async def disconnect(self) -> None:
        """Close the connections."""
        for stream in self._streams:
            stream.transport.write(_frame("", opcode=8))
            stream.transport.close()
        self._streams.clear()


class _Stream(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, is_open: asyncio.Future[None]) -> None:
        self.is_open = is_open
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.is_open.done():
            return
        self._received += data
        if b"\r\n\r\n" not in self._received:
            return
        if self._received.startswith(b"HTTP/1.1 101"):
            self.is_open.set_result(None)
        else:
            self.is_open.set_exception(AssertionError(f"a stream was answered with {self._received[:200]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_open.done():
            self.is_open.set_exception(ConnectionError(f"the receiver hung up: {exc}"))


def _request(target: Target) -> bytes:
    return (
        f"GET {target.path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {target.bearer}\r\n\r\n"
    ).encode()


def _media(number: int) -> str:
    """Make a media message, as long as the platform's; *number* is 0 for the first."""
    return (
        f'{{"event":"media","sequenceNumber":"{number + 2}","media":{{"track":"inbound","chunk":"{number + 1}",'
        f'"timestamp":"{number * 1000 // FRAMES_A_SECOND}","payload":"{_PAYLOADS[number % len(_PAYLOADS)]}"}}}}'
    )


def _frame(text: str, opcode: int = 1) -> bytes:
    """Make a masked WebSocket frame; the mask costs the receiver the same whatever it is."""
    payload, mask = text.encode(), b"\x5a\xa5\x3c\xc3"
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    if len(payload) < 126:
        return struct.pack("!BB", 0x80 | opcode, 0x80 | len(payload)) + mask + masked
    return struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(payload)) + mask + masked
