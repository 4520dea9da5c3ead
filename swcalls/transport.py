"""Posts commands, and says how far each got. Knows HTTP and the retry limits; knows no call and no action."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from ._core.responses import interpret
from ._core.retries import Retry
from .commands import Request, secret_values
from .errors import CommandError, CommandNotSent, CommandUnconfirmed

_log = logging.getLogger("swcalls.transport")

CONNECT_TIMEOUT = 10.0

_chance = random.SystemRandom()


class Transport:
    """The way to one space. At most *max_connections* requests are on it at once; the others wait in turn."""

    def __init__(
        self,
        project: str,
        token: str,
        space: URL,
        *,
        timeout: float,
        retry: Retry,
        max_connections: int,
        session: aiohttp.ClientSession | None,
    ) -> None:
        self._url = space.joinpath("api/calling/calls")
        self._token = token
        self._headers = {
            "Authorization": "Basic " + b64encode(f"{project}:{token}".encode()).decode(),
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "swcalls",
        }
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, CONNECT_TIMEOUT))
        self._retry = retry
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(max_connections)
        self._session = session
        self._borrowed = session is not None
        self._encode = msgspec.json.Encoder().encode
        self.sent = 0
        """Requests that were posted, repetitions included."""
        self.retried = 0

    async def open(self) -> None:
        """Make the session, unless one was passed."""
        if self._session is None:
            # The slots bound the flight, and cost less than waiting inside the connector.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        """Close the session, unless it was passed."""
        session, self._session = self._session, None
        if session is not None and not self._borrowed:
            await session.close()

    async def post(
        self, request: Request, *, call_id: str | None, sending: Callable[[], object] | None = None
    ) -> dict[str, Any]:
        """Send one command, again if it was certainly not processed, and return the JSON object of the answer.

        Args:
            call_id: For errors.
            sending: Called when it is about to leave; before that, to give up is to have sent nothing.

        Raises:
            CommandNotSent: The client is not open, or no connection could be made.
            CommandUnconfirmed: The connection broke, or no answer came in time, after the command may have left.
            CommandRejected: The platform refused it.
        """
        body = self._encode(request)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._post_once(request, body, call_id, sending)
            except CommandError as error:
                wait = self._retry.wait(attempt, error, _chance.random())
                if wait is None:
                    raise
                _log.warning("%s; attempt %d of %d in %.2f s", error, attempt + 1, self._retry.attempts, wait)
            self.retried += 1
            await asyncio.sleep(wait)

    async def _post_once(
        self, request: Request, body: bytes, call_id: str | None, sending: Callable[[], object] | None
    ) -> dict[str, Any]:
        command = request.command
        async with self._slots:
            session = self._session
            if session is None or session.closed:
                raise CommandNotSent("the client is not open", command=command, call_id=call_id)
            self.sent += 1
            if sending is not None:
                sending()
            try:
                response = await session.post(
                    self._url, data=body, headers=self._headers, timeout=self._timeout, allow_redirects=False
                )
                async with response:
                    content = await response.read()
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
                message = f"no connection: {fault}"
                raise CommandNotSent(message, command=command, call_id=call_id) from fault
            except (TimeoutError, aiohttp.ClientError, OSError) as fault:
                message = f"it may have arrived, but no answer came: {type(fault).__name__}: {fault}"
                raise CommandUnconfirmed(message, command=command, call_id=call_id) from fault
        return interpret(
            response.status,
            response.headers,
            content,
            command=command,
            call_id=call_id,
            wall_clock=time.time(),
            secrets=() if response.ok else (self._token, *secret_values(request.params)),
        )
