"""The WebSockets that the simulated platform opens to bring audio. Knows nothing of calls."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import aiohttp
from yarl import URL

from swcalls.commands import is_loopback

from .audio_faults import AudioFaults

WAITING = 500
"""How many messages may wait to be sent; further ones are dropped."""
_GOODBYE = 2.0
"""Seconds in which the other side must answer a close."""

_log = logging.getLogger("swcalls.testing")


class AudioLine:
    """One connection: messages go out in their order, as fast as the other side takes them.

    Args:
        opened: Called when it is up.
        lost: Called when it is over, whoever has ended it.
    """

    def __init__(self, opened: Callable[[], object], lost: Callable[[], object]) -> None:
        self.is_over = False
        self._opened = opened
        self._lost = lost
        self._waiting: deque[str] = deque()
        self._is_closing = False
        self._has_more = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    def send(self, message: str) -> None:
        """Send *message*, after those before it, as soon as there is a connection."""
        if len(self._waiting) < WAITING:
            self._waiting.append(message)
            self._has_more.set()

    def close(self) -> None:
        """Close the connection when all is sent."""
        self._is_closing = True
        self._has_more.set()

    def reset(self) -> None:
        """Reset the connection, and lose what is not sent."""
        self._waiting.clear()
        self.close()
        connection = None if self._socket is None else self._socket._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()

    async def run(self, session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
        """Connect, and send until the end; return the HTTP status of the answer (101: connected, 0: there was none)."""
        try:
            timeout = aiohttp.ClientWSTimeout(ws_close=_GOODBYE)
            async with session.ws_connect(URL(url, encoded=True), headers=headers, timeout=timeout) as socket:
                self._socket = socket
                self._opened()
                sending = asyncio.get_running_loop().create_task(self._send(socket))
                try:
                    async for _ in socket:
                        pass
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        except aiohttp.WSServerHandshakeError as refusal:
            return refusal.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.info("the WebSocket of a stream met %s", type(error).__name__)
            return 0
        else:
            return 101
        finally:
            self._socket = None
            self.is_over = True
            self._lost()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with suppress(ConnectionError):
            while True:
                while self._waiting:
                    await socket.send_str(self._waiting.popleft())
                if self._is_closing:
                    await socket.close()
                    return
                self._has_more.clear()
                await self._has_more.wait()


class AudioLines:
    """All connections of a simulator for the audio of its calls."""

    def __init__(self) -> None:
        self.faults: AudioFaults = AudioFaults()
        """What goes wrong; it can be changed at any time, and counts for the streams that begin then."""
        self.refused: deque[int] = deque(maxlen=WAITING)
        """The HTTP statuses with which connections were refused, the latest last; 0: there was no answer."""
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def reaches(self, url: str) -> bool:
        """Return whether *url* is connected to: only this machine is."""
        return is_loopback(url)

    def connect(
        self, url: str, bearer: str | None, opened: Callable[[], object], lost: Callable[[], object]
    ) -> AudioLine:
        """Connect to *url*; *opened* is called when the connection is up, *lost* when it is over."""
        line = AudioLine(opened, lost)
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._run(line, url, {} if bearer is None else {"Authorization": f"Bearer {bearer}"}))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return line

    async def close(self) -> None:
        """Cut all connections."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _run(self, line: AudioLine, url: str, headers: dict[str, str]) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
            )
        status = await line.run(self._session, url, headers)
        if status != 101:
            self.refused.append(status)
