"""Posts prepared webhooks at a receiver, as fast as it answers; a party of its own.

Not an HTTP client: it writes bytes that were made before, and reads no more of an answer than it must, so that the
receiver is what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, cast

from msgspec import Struct

from .harness import quantile
from .party import Measurable


class Fired(Struct, frozen=True):
    """How a volley was answered. Times in seconds."""

    wall: float
    p50: float
    p99: float
    began: list[float]
    """When each request was posted, in Unix seconds."""


class Load(Measurable):
    """Holds connections to one receiver, each with one request under way at a time."""

    def __init__(self) -> None:
        self._connections: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def connect(self, port: int, count: int) -> None:
        """Open *count* connections."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
            self._connections.append(connection)

    async def disconnect(self) -> None:
        """Close them."""
        for connection in self._connections:
            connection.transport.close()
        self._connections.clear()

    async def fire(self, requests: list[bytes]) -> Fired:
        """Post *requests*, each once, over all connections; fail unless each is answered with 200."""
        began: list[float] = []
        waiting = _in_turn(requests, began)
        started = time.perf_counter()
        await asyncio.gather(*(connection.work(waiting) for connection in self._connections))
        wall = time.perf_counter() - started
        latencies = [latency for connection in self._connections for latency in connection.latencies]
        assert len(latencies) == len(requests)
        for connection in self._connections:
            connection.latencies = []
        return Fired(wall, quantile(latencies, 0.5), quantile(latencies, 0.99), began)


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self._received = b""
        self._waiting: Iterator[bytes] = iter(())
        self._done: asyncio.Future[None] | None = None
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def work(self, waiting: Iterator[bytes]) -> asyncio.Future[None]:
        """Post one request after another, until none is left."""
        self._waiting = waiting
        self._done = done = asyncio.get_running_loop().create_future()
        self._post_next()
        return done

    def _post_next(self) -> None:
        request = next(self._waiting, None)
        if request is not None:
            self._began = time.perf_counter()
            self.transport.write(request)
        elif self._done is not None:
            self._done.set_result(None)
            self._done = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not is_whole(self._received):
            return
        answer, self._received = self._received, b""
        self.latencies.append(time.perf_counter() - self._began)
        if answer.startswith(b"HTTP/1.1 200"):
            self._post_next()
        elif self._done is not None:
            self._done.set_exception(AssertionError(f"a webhook was answered with {answer[:200]!r}"))
            self._done = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None:
            self._done.set_exception(ConnectionError(f"the receiver hung up: {exc}"))
            self._done = None


def _in_turn(requests: Sequence[bytes], began: list[float]) -> Iterator[bytes]:
    for request in requests:
        began.append(time.time())
        yield request


def is_whole(message: bytes) -> bool:
    """Say whether an HTTP message with a Content-Length has come to its end."""
    end = message.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = message[:end].lower()
    start = head.find(b"content-length:")
    if start < 0:
        return True
    stop = head.find(b"\r\n", start)
    return len(message) >= end + 4 + int(head[start + 15 : stop if stop >= 0 else end])
